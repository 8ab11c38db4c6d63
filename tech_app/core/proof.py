"""Photos and signatures: made small, without what a camera writes into them, and sent in pieces that can be resumed.

Pillow does it, also on Android, where the build has a recipe for it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from tech_app.core.outbox import QueuedFile

LONGEST_SIDE_PX = 1600  # a type plate can be read on it; 200-400 kB
QUALITY = 80
MOST_PIXELS = 60_000_000  # in memory, where a large JPEG is a fraction of itself
PIECE_BYTES = 128 * 1024  # ten seconds on a bad network; lost at most when it breaks


class NoPicture(Exception):
    """This is no picture that can be read: take another."""


def small_photo(data: bytes) -> bytes:
    """A JPEG of at most 1600 pixels a side, upright, and without place, time or make of the camera in it.

    Raises `NoPicture`.
    """
    from PIL import Image, ImageOps  # 60 ms, and only where a photo is taken

    try:
        with Image.open(io.BytesIO(data)) as photo:
            photo.draft("RGB", (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            if photo.width * photo.height > MOST_PIXELS:
                raise NoPicture(NoPicture.__doc__)
            upright = ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPicture(NoPicture.__doc__) from error
    upright.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    small = io.BytesIO()
    bare.save(small, "JPEG", quality=QUALITY)
    return small.getvalue()


def signature_png(strokes: list[list[tuple[float, float]]], width: int, height: int) -> bytes:
    """A signature as a picture, dark on white, from the strokes of a finger in pixels from the top left."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(picture)
    for stroke in strokes:
        if len(stroke) == 1:
            x, y = stroke[0]
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=0)
        else:
            draw.line(stroke, fill=0, width=4, joint="curve")
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True)
    return written.getvalue()


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of a file, from `offset` on. An empty one asks the service how far it is."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The service has the whole file."""


@dataclass(frozen=True, slots=True)
class Again:
    """What the service has is not this file: begin anew."""


def next_piece(file: QueuedFile) -> Piece | Finished:
    """What to send of a file that the service has `file.sent` bytes of."""
    if file.sent >= file.size:
        return Finished()
    return Piece(file.sent, min(PIECE_BYTES, file.size - file.sent))


def after_answer(file: QueuedFile, received: int, sha256: str | None) -> int | Finished | Again:
    """What follows from the service's word that it has `received` bytes: the new offset, or the end.

    The hash, which it tells with the last piece, decides whether those are the right bytes.
    """
    if received < file.size:
        return max(0, received)
    return Finished() if received == file.size and sha256 == file.sha256 else Again()
