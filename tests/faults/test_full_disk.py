"""A disk fills up under load: nothing is acknowledged that is not kept, and with room again all of it comes back."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.crowd import all_kept_once, crowd
from tests.support.disks import Disk, small_disk
from tests.support.firm import Firm
from tests.support.server import serving
from tracking_server import embedded
from tracking_server.embedded import Installation
from tracking_server.store.migrate import migrate

PHONES = 10
ROOM_MB, MORE_MB = 900, 300
FULL_S, LONG_FULL_S = 5.0, 30.0
BACK_WITHIN_S = 10.0
TEMPLATE = "doorstep_template"


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with small_disk(ROOM_MB) as disk:
        yield disk


@pytest.fixture(scope="module")
def servers(disk: Disk) -> Iterator[Installation]:
    """With their data on that disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOORSTEP_EMBEDDED_FOLDER", str(disk.folder / "servers"))
        with embedded.running() as installation:
            yield installation
        embedded.stop(installation)


@pytest.fixture(scope="module")
def template(servers: Installation) -> str:
    embedded.create_database(servers, TEMPLATE)
    migrate(servers.owner_url(TEMPLATE))
    return TEMPLATE


async def test_a_full_disk_of_the_store_is_told_and_forgotten(
    disk: Disk, servers: Installation, database: str, firm: Firm, long: bool
) -> None:
    """PostgreSQL ends, and cannot start for lack of room: 503, and nobody has to start it when there is some."""
    with serving(servers, database) as server:
        async with crowd(server.url, firm, PHONES) as phones:
            await phones.all_heard_since(time.monotonic(), 10)
            disk.leave(1)
            await asyncio.to_thread(write_until_it_is_full, servers)
            full_s = time.monotonic()
            await asyncio.sleep(LONG_FULL_S if long else FULL_S)
            room_s = time.monotonic()
            disk.leave(MORE_MB)
            await phones.all_heard_since(room_s, BACK_WITHIN_S)
        answers = [answer for answer in phones.between(full_s, room_s) if answer.sent_s >= full_s]
        assert len(answers) > PHONES
        assert {(answer.status, answer.retry_after is not None) for answer in answers} == {(503, True)}
    await all_kept_once(servers, database, firm, phones)
    said = (servers.folder / "keeper.log").read_text()
    assert "The disk is full: make room." in said


async def test_a_full_disk_of_files_is_told_and_forgotten(servers: Installation, database: str, firm: Firm) -> None:
    """The phone keeps its picture, fixes go on; with room again it goes on where it was."""
    data = bytes(range(256)) * 4096
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    headers = {
        "authorization": f"Bearer {phone.key}",
        "content-type": "image/jpeg",
        "content-range": f"bytes 0-{len(data) - 1}/{2 * len(data)}",
        "x-job": str(job_id),
        "x-kind": "photo",
        "x-made-at": str(firm.now_s),
        "x-sha256": hashlib.sha256(data * 2).hexdigest(),
    }
    address = f"/v1/files/{uuid4()}"
    with small_disk(2) as small, serving(servers, database, attachments=str(small.folder / "files")) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            (small.folder / "others").write_bytes(bytes(1_500_000))
            refused = await client.put(address, content=data, headers=headers)
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            async with crowd(server.url, firm, 1) as phones:
                await phones.all_heard_since(time.monotonic(), 10)
            (small.folder / "others").unlink()
            taken = await client.put(address, content=data, headers=headers)
            assert (taken.status_code, taken.json()["received"]) == (200, len(data))


def write_until_it_is_full(servers: Installation) -> None:
    """Until PostgreSQL does not take anything any more."""
    try:
        with psycopg.connect(
            host=str(servers.socket_folder), user="doorstep_admin", dbname="postgres", autocommit=True
        ) as connection:
            while True:
                connection.execute("SELECT pg_switch_wal()")
                connection.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
    except psycopg.OperationalError:
        return
