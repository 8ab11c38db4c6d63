"""What pairs a phone, for a camera and for fingers: the service's address with a one-time code behind it.

The code stands behind `#`, which no browser sends to anybody.
"""

from __future__ import annotations

import io

import segno


def invitation(public_url: str, code: str) -> str:
    """As the phone's app reads it."""
    return f"{public_url}/#{code}"


def as_picture(address: str) -> str:
    """A QR code as a `data:` URI of an SVG."""
    return str(segno.make(address, error="m", micro=False).svg_data_uri(scale=4, border=4, light="white"))


def as_text(address: str) -> str:
    """A QR code for a terminal."""
    written = io.StringIO()
    segno.make(address, error="m", micro=False).terminal(written, compact=True, border=4)
    return written.getvalue()
