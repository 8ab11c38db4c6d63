"""A phone's picture made anew to be shown: small, upright, and nothing in it but its pixels."""

from __future__ import annotations

import io

MOST_PIXELS = 20_000_000  # phones send 2.6 million; this one takes 60 MB for a moment
LONGEST_SIDE_PX = 1024
QUALITY = 75
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}


def picture_to_show(data: bytes, media_type: str) -> bytes | None:
    """A JPEG of what a picture shows; None when it is none, is not what it says, or is absurdly large.

    What was hidden in it (a place, a script, another file) is not in the copy.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=[FORMATS[media_type]]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            picture.draft("RGB", (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            upright.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            bare = Image.new("RGB", upright.size, "white")
            bare.paste(upright, mask=upright.getchannel("A"))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError):
        return None
    small = io.BytesIO()
    bare.save(small, "JPEG", quality=QUALITY)
    return small.getvalue()
