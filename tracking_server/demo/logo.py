"""The demo firm's logo, drawn: a drop of water that is a leaf."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

SIZE_PX = 256
SMOOTHING = 4


def logo(colour: str) -> bytes:
    """White on the firm's colour, as a WebP of 256 by 256 pixels."""
    side = SIZE_PX * SMOOTHING
    image = Image.new("RGB", (side, side), colour)
    draw = ImageDraw.Draw(image)
    unit = side / 100
    draw.ellipse((28 * unit, 38 * unit, 72 * unit, 82 * unit), fill="white")
    draw.polygon([(50 * unit, 12 * unit), (69.2 * unit, 49 * unit), (30.8 * unit, 49 * unit)], fill="white")
    for (x1, y1), (x2, y2) in (((50, 34), (50, 92)), ((50, 66), (62, 54)), ((50, 72), (38, 60))):
        draw.line((x1 * unit, y1 * unit, x2 * unit, y2 * unit), fill=colour, width=round(3.4 * unit))
    written = io.BytesIO()
    image.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS).save(written, "WEBP", quality=90, method=6)
    return written.getvalue()
