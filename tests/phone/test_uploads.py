"""Photos arrive whole, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tech_app.core.jobs import Proof
from tech_app.core.outbox import Outbox
from tech_app.core.proof import PIECE_BYTES
from tech_app.core.uploads import HttpFiles, Uploads
from tests.support.answering import answering
from tests.support.phone_clock import NOON_S, SetPhoneClock
from tests.support.queued_picture import keep


@dataclass
class FileService:
    """What it has of each file. `refuse` answers that many requests with 503, `spoil` turns the first bytes."""

    files: dict[str, bytes] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    refuse: int = 0
    spoil: int = 0
    url: str = ""

    def put(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object]]:
        if self.refuse:
            self.refuse -= 1
            return 503, {}
        self.headers.append(headers)
        name = path.removeprefix("/v1/files/")
        first, size = (int(number) for number in re.findall(r"bytes (\d+)-\d+/(\d+)", headers["content-range"])[0])
        has = self.files.get(name, b"")[:first] if first else b""
        if len(has) == first:
            has += body[::-1] if self.spoil else body
            self.spoil = max(0, self.spoil - 1)
        self.files[name] = has
        return 200, {"received": len(has), "sha256": hashlib.sha256(has).hexdigest() if len(has) == size else None}


@pytest.fixture
def service() -> Iterator[FileService]:
    service = FileService()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = service.put(self.path, headers, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    with answering(Handler) as service.url:
        yield service


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


@pytest.fixture
def queue(tmp_path: Path, clock: SetPhoneClock) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", clock)
    yield queue
    queue.close()


PHOTO = random.Random(1).randbytes(384_000)  # three pieces


async def drain(uploads: Uploads, queue: Outbox, clock: SetPhoneClock) -> None:
    for _ in range(50):
        if queue.next_file() is None:
            return
        if not await uploads.step():
            clock.pass_time(130)
    raise AssertionError(f"files are left: {uploads.trouble}")


async def test_a_photo_arrives_in_pieces(
    service: FileService, queue: Outbox, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """Whole, with its job and hash, and then it leaves the phone."""
    file = keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S)
    await drain(Uploads(queue, HttpFiles(service.url, "key", None), clock), queue, clock)
    assert service.files == {file.id: PHOTO}
    assert len(service.headers) == len(PHOTO) // PIECE_BYTES + 1
    assert service.headers[1]["content-range"] == f"bytes 131072-262143/{len(PHOTO)}"
    assert (service.headers[0]["x-job"], service.headers[0]["x-kind"]) == ("a%20job", "photo")
    assert service.headers[0]["x-sha256"] == file.sha256
    assert not file.path.exists()


async def test_an_upload_survives_trouble(
    service: FileService, queue: Outbox, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """The service is away, forgets what it had, gets wrong bytes: in the end it has the right ones."""
    file = keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S)
    uploads = Uploads(queue, HttpFiles(service.url, "key", None), clock)
    assert await uploads.step()
    service.files.clear()
    service.refuse, service.spoil = 2, 1
    await drain(uploads, queue, clock)
    assert service.files == {file.id: PHOTO}
    assert uploads.trouble is None


async def test_one_file_never_stops_the_others(
    service: FileService, queue: Outbox, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """One that is gone from the phone is said and passed over; one that was refused lets the next go first."""
    lost = keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S)
    signature = keep(queue, tmp_path, "a job", Proof.signature, b"a signature", NOON_S)
    lost.path.unlink()
    uploads = Uploads(queue, HttpFiles(service.url, "key", None), clock)
    assert await uploads.step()
    assert uploads.trouble is not None
    assert "take it again" in uploads.trouble
    await drain(uploads, queue, clock)
    assert service.files == {signature.id: b"a signature"}
    photos = [keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S) for _ in range(2)]
    service.refuse = 1
    assert not await uploads.step()
    assert queue.next_file() == photos[1]


async def test_a_photo_that_cannot_be_read_for_now_stays(
    service: FileService, queue: Outbox, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """A loose card, here a folder in the photo's place: it is tried again, and not forgotten."""
    file = keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S)
    file.path.unlink()
    file.path.mkdir()
    assert not await Uploads(queue, HttpFiles(service.url, "key", None), clock).step()
    assert queue.next_file() == file


async def test_nobody_there_is_waited_for(queue: Outbox, clock: SetPhoneClock, tmp_path: Path) -> None:
    """With a growing pause; the photo stays."""
    keep(queue, tmp_path, "a job", Proof.photo, PHOTO, NOON_S)
    uploads = Uploads(queue, HttpFiles("http://127.0.0.1:1", "key", None), clock, luck=lambda: 1.0)
    pauses = []
    for _ in range(3):
        assert not await uploads.step()
        pauses.append(uploads.state.not_before_s - clock.since_boot())
        clock.pass_time(pauses[-1])
    assert pauses == [1, 2, 4]
    assert queue.next_file() is not None
