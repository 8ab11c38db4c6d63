"""Proof of a visit: small, without what nobody asked for, and whole when it arrives."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tech_app.core import proof
from tech_app.core.outbox import Outbox, QueuedFile
from tech_app.core.proof import (
    PIECE_BYTES,
    Again,
    Finished,
    NoPicture,
    Piece,
    after_answer,
    next_piece,
    signature_png,
    small_photo,
)
from tests.support.phone_clock import NOON_S, SetPhoneClock

EXAMPLE = Path(__file__).parents[1] / "contract" / "examples" / "file_upload.json"
ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825
TURNED_RIGHT = 6


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", SetPhoneClock())
    yield queue
    queue.close()


def a_photo(width: int = 4000, height: int = 3000) -> bytes:
    """As a phone takes it: lying on its side, red at the top, with everything that a camera writes."""
    picture = Image.new("RGB", (width, height), "white")
    picture.paste("red", (0, 0, width // 4, height))
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_RIGHT
    exif[MAKE] = "Acme Camera"
    exif.get_ifd(GPS)[2] = (41.0, 8.0, 58.5)
    written = io.BytesIO()
    picture.save(written, "JPEG", exif=exif, comment=b"secret place")
    return written.getvalue()


def test_a_photo_is_small_upright_and_bare() -> None:
    """Turned as it was seen, at most 1600 pixels, and not a byte of its camera, place or comment left."""
    data = a_photo()
    assert b"Acme Camera" in data
    assert b"secret place" in data
    small = small_photo(data)
    with Image.open(io.BytesIO(small)) as photo:
        assert photo.format == "JPEG"
        assert photo.size == (1200, 1600)
        assert photo.getexif() == {}
        red, _, blue = photo.getpixel((600, 10))  # type: ignore[misc]
        assert red > 200 > blue
    assert not any(word in small for word in (b"Acme", b"secret", b"Exif"))
    assert len(small) < 400_000


@pytest.mark.parametrize("data", [b"", b"no picture", a_photo()[:2000], b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_said(data: bytes) -> None:
    """One sentence, whatever was handed over."""
    with pytest.raises(NoPicture, match="take another"):
        small_photo(data)


def test_a_picture_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it says of itself, before it is unpacked; a large JPEG is read at a fraction of its size."""
    monkeypatch.setattr(proof, "MOST_PIXELS", 13_000_000)
    assert small_photo(a_photo(8000, 6000))
    written = io.BytesIO()
    Image.new("L", (4000, 4000)).save(written, "PNG")
    with pytest.raises(NoPicture):
        small_photo(written.getvalue())


def test_a_signature_is_drawn() -> None:
    """Lines and dots, dark on white."""
    with Image.open(io.BytesIO(signature_png([[(10, 10), (90, 10)], [(50, 50)]], 100, 60))) as picture:
        assert picture.size == (100, 60)
        assert [picture.getpixel(at) for at in ((50, 10), (50, 50), (50, 30))] == [0, 0, 255]


A_FILE = QueuedFile("an id", "a job", "photo", Path("photo.jpg"), "5ha", 300_000, NOON_S)


def test_an_upload_goes_on_where_it_stopped() -> None:
    """By what the service says it has; in the end the hash decides."""
    assert next_piece(A_FILE) == Piece(0, PIECE_BYTES)
    assert next_piece(replace(A_FILE, sent=262_144)) == Piece(262_144, 37_856)
    assert after_answer(A_FILE, 131_072, None) == 131_072
    assert after_answer(replace(A_FILE, sent=262_144), 0, None) == 0
    assert after_answer(A_FILE, 300_000, "5ha") == Finished()
    assert after_answer(A_FILE, 300_000, "another") == Again()
    assert after_answer(A_FILE, 300_001, "5ha") == Again()


def test_the_example_upload_is_the_second_piece() -> None:
    """The request and the answers that both sides keep to."""
    example = json.loads(EXAMPLE.read_text())
    piece = next_piece(replace(A_FILE, sent=131_072))
    assert piece == Piece(131_072, 131_072)
    assert example["request"]["headers"]["content-range"] == f"bytes 131072-{131_072 + 131_072 - 1}/300000"
    assert after_answer(A_FILE, **example["answer"]) == 262_144
    done = replace(A_FILE, sha256=example["request"]["headers"]["x-sha256"])
    assert after_answer(done, **example["last_answer"]) == Finished()


@given(st.integers(1, 1_000_000), st.lists(st.floats(0, 1), max_size=50))
def test_any_breaks(size: int, breaks: list[float]) -> None:
    """However much of each piece arrives, the file is whole in the end and no byte is sent for nothing."""
    file, arrived, sent = replace(A_FILE, size=size), 0, 0
    shares = [*breaks, *([1.0] * (size // PIECE_BYTES + 2))]
    while isinstance(piece := next_piece(file), Piece):
        assert piece.offset == arrived
        share = shares.pop(0) if shares else 1.0
        got = int(piece.size * share)
        arrived, sent = arrived + got, sent + got
        after = after_answer(file, arrived, "5ha")
        file = replace(file, sent=size if isinstance(after, Finished) else after)
    assert arrived == sent == size
