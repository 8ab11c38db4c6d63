"""The demo's phone against the real service, on a fast clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tech_app.core.tap import TapKind
from tests.support.firm import HOME, METRE, Firm
from tests.support.rows import events, rows
from tests.support.server import Server, serving
from tracking_server.clock import Clock, clock_from
from tracking_server.demo.drive import ride
from tracking_server.demo.rider import Rider
from tracking_server.domain.events import EventKind
from tracking_server.embedded import Installation
from tracking_server.replay.phone import Refused
from tracking_server.store.devices import revoke_devices
from tracking_server.store.engine import transaction

SPEED = 60
STREET = [(HOME[0], HOME[1] - 400 * METRE), HOME]


@dataclass
class Street:
    """A service on a fast clock, and the way to it."""

    clock: Clock
    url: str
    folder: Path

    def rider(self, key: str) -> Rider:
        return Rider(self.folder / "phone.db", self.url, key, self.clock)


@pytest.fixture
def setting() -> str:
    return f"scaled:{time.time()}:{SPEED}"


@pytest.fixture
def fast_server(servers: Installation, database: str, setting: str) -> Iterator[Server]:
    with serving(servers, database, clock=setting) as server:
        yield server


@pytest.fixture
def street(fast_server: Server, setting: str, tmp_path: Path) -> Street:
    return Street(clock_from(setting), fast_server.url, tmp_path)


async def test_a_ride_arrives(street: Street, firm: Firm) -> None:
    """Every fix is kept, the arrival is found by the fixes alone, and taps do what taps do."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    async with street.rider(phone.key) as rider:
        await rider.tap(TapKind.shift_start)
        await rider.tap(TapKind.en_route, job_id)
        driven = ride(STREET, seed=1)
        await rider.follow(driven)
        kept = await rows(firm, "fix")
        assert len(kept) == len(driven.fixes)
        assert {row.verdict for row in kept} == {None}
        assert EventKind.arrived in {row.kind for row in await events(firm, job_id)}
        await rider.tap(TapKind.start, job_id)
        await rider.tap(TapKind.done, job_id)
    assert EventKind.completed in {row.kind for row in await events(firm, job_id)}


async def test_a_ride_that_is_broken_off_leaves_no_gap(street: Street, firm: Firm) -> None:
    """Where a number is missing the service waits for it: the next ride goes on with the next one."""
    phone = await firm.phone()
    async with street.rider(phone.key) as rider:
        await rider.tap(TapKind.shift_start)
        riding = asyncio.create_task(rider.follow(ride(STREET, seed=1)))
        await street.clock.sleep(40)
        riding.cancel()
        with suppress(asyncio.CancelledError):
            await riding
        await rider.follow(ride([HOME], seed=2, dwell_s=10))
    numbers = sorted(row.seq for row in await rows(firm, "fix"))
    assert numbers == list(range(2, len(numbers) + 2))
    assert 11 < len(numbers) < 200


async def test_a_rider_whose_phone_was_revoked_is_told(street: Street, firm: Firm) -> None:
    """... by the next thing that they do."""
    phone = await firm.phone()
    async with street.rider(phone.key) as rider:
        await rider.tap(TapKind.shift_start)
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await revoke_devices(connection, firm.organisation_id, phone.device.technician_id, firm.now_s)
        with pytest.raises(Refused):
            await rider.follow(ride(STREET, seed=1, dwell_s=1_000))
