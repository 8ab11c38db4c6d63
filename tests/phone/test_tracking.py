"""The phone is followed on shift, and at no other time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tech_app.core.fix import Fix, read_fix
from tech_app.core.gps.base import Missing, Request
from tech_app.core.outbox import NoRoom, Outbox
from tech_app.core.sampling import Profile
from tech_app.core.tracking import Duty, Tracking
from tech_app.core.uplink import Uplink
from tests.support.phone_clock import NOON_S, SetPhoneClock

ON_SHIFT = Duty(tracked=True)


class Given:
    """A source that gives what it is handed, and notes what it is asked for."""

    trouble: str | None = None

    def __init__(self) -> None:
        self.asked: list[float | None] = []
        self._fixes: asyncio.Queue[Fix | None] = asyncio.Queue()

    def ask(self, request: Request | None) -> None:
        self.asked.append(None if request is None else request.interval_s)

    def give(self, *fixes: Fix | None) -> None:
        for fix in fixes:
            self._fixes.put_nowait(fix)

    async def fixes(self) -> AsyncIterator[Fix]:
        while (fix := await self._fixes.get()) is not None:
            yield fix


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", SetPhoneClock())
    yield queue
    queue.close()


def kept(queue: Outbox) -> list[Fix]:
    batch = queue.next_batch(500)
    return [] if batch is None else [read_fix(row.body) for row in batch.fixes]


async def test_nothing_is_kept_off_shift(queue: Outbox) -> None:
    """Before the shift, on a break and after it the GPS is off, and a fix that comes all the same is dropped."""
    source = Given()
    tracking = Tracking(source, queue, Uplink(queue, {}, SetPhoneClock()), lambda: 83.4)
    fixes = [Fix(NOON_S + 20 * n, 41 + n * 1e-3, -8.61, 8.0) for n in range(4)]
    for n, duty in enumerate([Duty(), ON_SHIFT, Duty(), ON_SHIFT]):
        tracking.change(duty)
        source.give(fixes[n], None)
        await tracking.run()
    assert [fix.time_s - NOON_S for fix in kept(queue)] == [20, 60]
    assert kept(queue)[0].battery_pct == 83
    assert source.asked == [5, 5, None, 5, 5]


async def test_a_drive_is_followed_more_closely(queue: Outbox) -> None:
    """The customer waits: the uplink is told, and near the door the GPS is asked more often."""
    source = Given()
    uplink = Uplink(queue, {}, SetPhoneClock())
    tracking = Tracking(source, queue, uplink, lambda: None)
    tracking.change(ON_SHIFT)
    tracking.change(Duty(tracked=True, goal=(41.0, -8.61)))
    assert uplink.followed
    source.give(Fix(NOON_S, 41.001, -8.61, 8.0), None)
    await tracking.run()
    assert tracking.last is not None
    assert tracking.last[1].profile is Profile.near
    assert source.asked == [5, 5, 3]
    tracking.change(ON_SHIFT)
    assert not uplink.followed


async def test_trouble_is_said(queue: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone without GPS and one without room go on, and say what to do; a GPS that is allowed later is asked then."""
    source = Given()
    tracking = Tracking(source, queue, Uplink(queue, {}, SetPhoneClock()), lambda: None)

    def no_gps(request: Request | None) -> None:
        raise Missing("this device has no GPS: choose another source")

    def no_room(fix: Fix) -> int:
        raise NoRoom(NoRoom.__doc__)

    with monkeypatch.context() as patch:
        patch.setattr(source, "ask", no_gps)
        tracking.change(ON_SHIFT)
    assert tracking.trouble == "this device has no GPS: choose another source"
    tracking.change(ON_SHIFT)
    assert (tracking.trouble, source.asked) == (None, [5])
    monkeypatch.setattr(queue, "append_fix", no_room)
    source.give(Fix(NOON_S, 41, -8.61), None)
    await tracking.run()
    assert tracking.trouble is not None
    assert "delete something" in tracking.trouble
