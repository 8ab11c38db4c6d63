"""Photos and signatures in pieces: what is here is whole, once, and shown only when it may be."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from PIL import Image

from tech_app.core.jobs import Proof
from tech_app.core.outbox import Outbox
from tech_app.core.proof import small_photo
from tech_app.core.uploads import HttpFiles, Uploads
from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tests.support.phone_clock import SetPhoneClock
from tests.support.queued_picture import keep
from tests.support.rows import job_row, rows
from tests.support.server import serving
from tests.support.staff import Browser, begin_session, hire
from tracking_server.app import create_app
from tracking_server.domain.role import Role
from tracking_server.embedded import Installation
from tracking_server.settings import Settings
from tracking_server.store.attachments import Attachments, FileOf
from tracking_server.store.engine import transaction
from tracking_server.store.maintain import maintain
from tracking_server.store.schema import attachment

EXAMPLES = Path(__file__).parents[1] / "contract" / "examples"
PIECE = 128 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "attachments"


@pytest.fixture
async def client(
    servers: Installation, database: str, clock: SetClock, folder: Path
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url, attachments=str(folder))
    transport = httpx.ASGITransport(create_app(settings, clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep.test") as client:
        yield client


@pytest.fixture
def server_url(servers: Installation, database: str) -> Iterator[str]:
    with serving(servers, database) as server:
        yield server.url


def a_photo(side_px: int = 700) -> bytes:
    """A picture that does not compress, with a place in it."""
    picture = Image.effect_noise((side_px, side_px), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "48.8584 N 2.2945 E"
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80, exif=exif)
    return written.getvalue()


def headers_of(phone: Phone, job_id: UUID, data: bytes, first: int, last: int, kind: str = "photo") -> dict[str, str]:
    return {
        "authorization": f"Bearer {phone.key}",
        "content-type": "image/png" if kind == "signature" else "image/jpeg",
        "content-range": f"bytes {first}-{last}/{len(data)}",
        "x-job": str(job_id),
        "x-kind": kind,
        "x-made-at": "1769503000.0",
        "x-sha256": hashlib.sha256(data).hexdigest(),
    }


async def put(
    client: httpx.AsyncClient, phone: Phone, job_id: UUID, id_: UUID, data: bytes, first: int = 0, **changed: str
) -> httpx.Response:
    """One piece, from `first` on."""
    piece = data[first : first + PIECE]
    headers = headers_of(phone, job_id, data, first, first + len(piece) - 1)
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return await client.put(f"/v1/files/{id_}", content=piece, headers=headers | named)


async def put_all(client: httpx.AsyncClient, phone: Phone, job_id: UUID, id_: UUID, data: bytes) -> httpx.Response:
    """As a phone does: on from where the service is."""
    sent, answer = 0, None
    while sent < len(data):
        answer = await put(client, phone, job_id, id_, data, sent)
        assert answer.status_code == 200, answer.text
        sent = answer.json()["received"]
    assert answer is not None
    return answer


async def test_a_photo_comes_in_pieces(client: httpx.AsyncClient, firm: Firm, folder: Path) -> None:
    """Also twice, from the middle and out of order: kept once as it was sent, for the service's eyes only."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    id_, data = uuid4(), a_photo()
    version = (await job_row(firm, job_id)).version
    assert (await put(client, phone, job_id, id_, data, PIECE)).json() == {"received": 0, "sha256": None}
    assert (await put(client, phone, job_id, id_, data)).json() == {"received": PIECE, "sha256": None}
    assert (await put(client, phone, job_id, id_, data)).json()["received"] == PIECE
    assert (await put(client, phone, job_id, id_, data, 1000)).json()["received"] == PIECE + 1000
    done = await put_all(client, phone, job_id, id_, data)
    expected = {"received": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert done.json() == expected
    assert (await put(client, phone, job_id, id_, data)).json() == expected
    (row,) = await rows(firm, "attachment")
    assert (row.id, row.job_id, row.kind, row.size, row.verdict) == (id_, job_id, "photo", len(data), None)
    assert (await job_row(firm, job_id)).version == version + 1
    files = everything_in(folder)
    (whole,) = (path for path in files if path.name == id_.hex)
    assert whole.read_bytes() == data
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600, 0o700}
    shown = Attachments(folder).open_shown(firm.organisation_id, id_)
    assert shown is not None
    assert b"48.8584" in data
    assert b"48.8584" not in shown


def everything_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_a_wrong_hash_begins_anew(client: httpx.AsyncClient, firm: Firm, folder: Path) -> None:
    """Nothing is kept, and the phone is told what came instead; the right bytes are taken then."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    id_, data = uuid4(), a_photo(200)
    wrong = bytes(len(data))
    answer = await put(client, phone, job_id, id_, wrong, x_sha256=hashlib.sha256(data).hexdigest())
    assert answer.json() == {"received": len(data), "sha256": hashlib.sha256(wrong).hexdigest()}
    assert await rows(firm, "attachment") == []
    assert [path for path in everything_in(folder) if path.is_file()] == []
    await put_all(client, phone, job_id, id_, data)
    assert len(await rows(firm, "attachment")) == 1


async def test_two_uploads_of_one_file_make_one(client: httpx.AsyncClient, firm: Firm) -> None:
    """Side by side, from two processes of a phone: one row, and the whole file."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    for _ in range(5):
        id_, data = uuid4(), a_photo(500)
        await asyncio.gather(*(put_all(client, phone, job_id, id_, data) for _ in range(4)))
    found = await rows(firm, "attachment")
    assert [row.verdict for row in found] == [None] * 5


async def test_somebody_elses_visit_is_not_told_by_it(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Another technician's job, another firm's, none at all, no picture: kept for a while, never shown.

    Another phone cannot write on, or over, a file."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    job_id = await firm.job(phone.device.technician_id)
    foreign = await Firm.create(firm.engine, now_s, "Another firm")
    elsewhere = await foreign.job()
    data = a_photo(100)
    for job in (job_id, elsewhere, uuid4()):
        await put_all(client, other, job, uuid4(), data)
    await put_all(client, phone, job_id, uuid4(), b"<svg onload=alert(1)>" * 50)
    verdicts = [row.verdict for row in await rows(firm, "attachment")]
    assert sorted(verdicts) == ["not_yours", "not_yours", "not_yours", "unreadable"]
    id_ = uuid4()
    await put_all(client, phone, job_id, id_, data)
    assert (await put(client, other, job_id, id_, data)).status_code == 409


async def test_the_office_sees_photos_of_its_own_visits(client: httpx.AsyncClient, firm: Firm, clock: SetClock) -> None:
    """On the job's page, small; another firm's staff find nothing, under whichever job; nobody else is let in."""
    phone, other = await firm.phone(), await Firm.create(firm.engine, firm.now_s, "Another firm")
    job_id, elsewhere = await firm.job(phone.device.technician_id), await firm.job()
    id_ = uuid4()
    await put_all(client, phone, job_id, id_, a_photo(1500))
    browser, path = Browser(client), f"/board/jobs/{job_id}/proof/{id_}"
    assert (await browser.get(path)).status_code == 303
    browser.wear(await begin_session(firm.engine, await hire(firm, Role.viewer), clock.now_s))
    assert f'src="{path}"' in (await browser.get(f"/board?job={job_id}")).text
    shown = await browser.get(path)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(shown.content)) as picture:
        assert picture.size == (1024, 1024)
    assert (await browser.get(f"/board/jobs/{elsewhere}/proof/{id_}")).status_code == 404
    browser.wear(await begin_session(firm.engine, await hire(other, email="x@x.example"), clock.now_s))
    for job in (job_id, await other.job()):
        assert (await browser.get(f"/board/jobs/{job}/proof/{id_}")).status_code == 404


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"authorization": "Bearer x"}, 401),
        ({"content_range": "bytes 0-9/9000000000"}, 400),
        ({"content_range": "bytes 0-1999999/8000000"}, 413),
        ({"content_range": "bytes 0-9/8388609"}, 413),
        ({"content_range": "bytes 5-2/100"}, 400),
        ({"content_range": "bytes 0-5/100"}, 400),
        ({"content_range": "lines 0-5/100"}, 400),
        ({"content_type": "image/svg+xml"}, 415),
        ({"content_type": "text/html"}, 415),
        ({"x_kind": "video"}, 400),
        ({"x_sha256": "A" * 64}, 400),
        ({"x_made_at": "nan"}, 400),
        ({"x_made_at": "1e400"}, 400),
        ({"x_job": "../../etc/passwd"}, 400),
    ],
)
async def test_what_is_no_piece_is_refused_in_a_line(
    client: httpx.AsyncClient, firm: Firm, changed: dict[str, str], status: int
) -> None:
    """Wrong ranges, kinds, hashes, times and ids: one line that says what is wrong, and nothing kept."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    answer = await put(client, phone, job_id, uuid4(), a_photo(60), **changed)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert await rows(firm, "attachment") == []


async def test_a_full_disk_is_told_and_loses_nothing(
    client: httpx.AsyncClient, firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a time to come again; what was there before is gone on with."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    id_, data = uuid4(), a_photo()
    await put(client, phone, job_id, id_, data)
    with monkeypatch.context() as patch:
        patch.setattr("tracking_server.store.attachments.os.open", full)
        refused = await put(client, phone, job_id, id_, data, PIECE)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "600")
    await put_all(client, phone, job_id, id_, data)
    assert len(await rows(firm, "attachment")) == 1


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


async def test_the_phones_own_core_sends_its_photo(server_url: str, firm: Firm, tmp_path: Path) -> None:
    """From a picture of a camera to the row, through the queue of the phone; the phone then forgets the file."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    clock = SetPhoneClock(firm.now_s)
    queue = Outbox(tmp_path / "outbox.db", clock)
    (tmp_path / "proof").mkdir()
    photo = small_photo(a_photo(1500))
    keep(queue, tmp_path / "proof", str(job_id), Proof.photo, photo, clock.now())
    uploads = Uploads(queue, HttpFiles(server_url, phone.key, None), clock)
    while queue.facts().files:
        assert await uploads.step(), uploads.trouble
    (row,) = await rows(firm, "attachment")
    assert (row.size, row.verdict) == (len(photo), None)
    assert list((tmp_path / "proof").iterdir()) == []
    queue.close()


def test_the_example_is_what_is_read_and_answered() -> None:
    """The contract's example names exactly the headers that are needed."""
    example = json.loads((EXAMPLES / "file_upload.json").read_text())
    headers = headers_of(Phone(None, "", 0), uuid4(), b"x", 0, 0)  # type: ignore[arg-type]
    assert set(example["request"]["headers"]) == set(headers) - {"authorization"}
    assert set(example["answer"]) == set(example["last_answer"]) == {"received", "sha256"}


async def test_old_files_and_strays_are_cleared_away(
    client: httpx.AsyncClient, servers: Installation, database: str, firm: Firm, folder: Path
) -> None:
    """A year later a photo goes with its row; pieces that nobody goes on with, and files without a row, go sooner.
    What is new, or just begun, stays."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    old, new, begun, given_up = (uuid4() for _ in range(4))
    for id_ in (old, new):
        await put_all(client, phone, job_id, id_, a_photo(60))
    for id_ in (begun, given_up):
        await put(client, phone, job_id, id_, a_photo())
    stray = folder / firm.organisation_id.hex / "ab" / uuid4().hex
    age(folder, given_up.hex, 8)
    await change(firm, attachment.update().where(attachment.c.id == old).values(received_at=days_ago(400)))
    make(stray, 2)
    said = await asyncio.to_thread(maintained, servers, database, folder)
    assert [line for line in said if "stray" in line] == [
        f"{firm.organisation_id}: deleted 1 old photos and signatures, 2 stray files"
    ]
    assert {path.stem for path in everything_in(folder) if path.is_file()} == {new.hex, begun.hex}
    assert [row.id for row in await rows(firm, "attachment")] == [new]


def test_what_is_finished_while_strays_are_looked_for_stays(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that was listed a moment ago is in its place already: the round goes on. What is whole only now is new,
    however long its pieces waited."""
    files = Attachments(tmp_path)
    file = FileOf(firm.organisation_id, uuid4(), uuid4())
    files.put_piece(file, 0, b"x")
    age(tmp_path, file.id.hex, 2)
    stray = tmp_path / firm.organisation_id.hex / "ab" / uuid4().hex
    make(stray, 2)
    listed = sorted(tmp_path.rglob("*"))
    files.finish(file, 1, hashlib.sha256(b"x").digest(), lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rglob", lambda *_: iter(listed))
        assert files.delete_orphans(firm.organisation_id, []) == 1
    assert not stray.exists()
    assert files.delete_orphans(firm.organisation_id, []) == 0, "its row was committed after the others were read"


def maintained(servers: Installation, database: str, folder: Path) -> list[str]:
    return list(maintain(servers.owner_url(database), files=Attachments(folder)))


def age(folder: Path, name: str, days: float) -> None:
    """As if it was last written to so long ago."""
    for path in folder.rglob(name):
        os.utime(path, (time.time() - days * 86_400,) * 2)


def make(path: Path, days: float) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x")
    age(path.parent, path.name, days)


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def change(firm: Firm, statement: sa.Executable) -> None:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(statement)


async def test_a_service_that_dies_between_two_pieces_goes_on(servers: Installation, database: str, firm: Firm) -> None:
    """SIGKILL after the first piece: the second one continues it in the next process."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    id_, data = uuid4(), a_photo()
    with serving(servers, database) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await put(client, phone, job_id, id_, data)).json()["received"] == PIECE
        server.kill()
        await asyncio.to_thread(server.start_again)
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await put(client, phone, job_id, id_, data, PIECE)).json()["received"] == min(2 * PIECE, len(data))
