"""The phone put together: what one taps on a screen is sent by whoever runs the phone, and what it learns is shown."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread

import pytest

from tech_app.core import doorbell
from tech_app.core.clock import PhoneClock
from tech_app.core.desk import Desk
from tech_app.core.gps.base import Missing
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home
from tech_app.core.jobs import News, State
from tech_app.core.outbox import Outbox, QueuedFile
from tech_app.core.phone import RunsElsewhere, is_run
from tech_app.core.session import Session
from tech_app.core.status import Connection, Status, age_s, read_status
from tech_app.core.tap import TapKind
from tech_app.core.websocket_line import REVOKED
from tests.support.phone_clock import AheadClock
from tests.support.stream_stub import KEY, StreamStub, streaming

JOBS = (Path(__file__).parents[1] / "contract" / "examples" / "jobs_answer.json").read_text()
FIRST, SECOND = "6f9f7c1e-0000-4000-8000-000000000001", "6f9f7c1e-0000-4000-8000-000000000002"
PORTO = (41.1496, -8.6109)


@pytest.fixture
async def stub() -> AsyncIterator[StreamStub]:
    async with streaming(PhoneClock().now) as stub:
        stub.jobs = JOBS
        yield stub


def a_session(stub: StreamStub, device: str = "device-1") -> Session:
    return Session(stub.url, device, "technician-1", KEY)


def a_home(data: Path, start_tracker: Callable[[], None] | None = None) -> Home:
    return Home(data, PhoneClock(), lambda clock: SimulatorSource(clock, PORTO), start_tracker=start_tracker)


@pytest.fixture
def home(stub: StreamStub, tmp_path: Path) -> Home:
    home = a_home(tmp_path)
    home.pair(a_session(stub))
    return home


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    desk = home.desk()
    yield desk
    desk.close()


@asynccontextmanager
async def running(home: Home) -> AsyncIterator[None]:
    home.start()
    try:
        yield
    finally:
        await home.stop()


async def until(holds: Callable[[], object]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it is another process for all the screen knows
            await asyncio.sleep(0.01)


async def test_a_day_through_the_file(home: Home, desk: Desk, stub: StreamStub) -> None:
    """Jobs come, a shift is followed, taps and fixes go; the screen hears of all of it by its file alone."""
    async with running(home):
        await until(lambda: desk.changed() and len(desk.jobs) == 2)
        assert desk.tidings() == []
        desk.tap(TapKind.shift_start)
        await until(lambda: desk.changed() and desk.status().seen is not None)
        desk.tap(TapKind.arrived, FIRST)
        await until(lambda: desk.facts().taps == 0 and desk.status().connection is Connection.websocket)
        status = desk.status()
        assert status.paired
        assert age_s(status.acknowledged_s, PhoneClock().since_boot()) is not None
        assert status.skew is not None
        assert status.seen is not None
        assert (status.seen.lat, status.seen.lon) == pytest.approx(PORTO, abs=1e-3)
        desk.tap(TapKind.shift_end)
        await until(lambda: desk.changed() and desk.status().seen is None)
        await until(lambda: desk.facts().taps + desk.facts().fixes == 0)
    assert len(stub.kept) >= 4


async def test_news_are_fetched_and_told_once(home: Home, desk: Desk, stub: StreamStub, tmp_path: Path) -> None:
    """A job that is somebody else's now: told until the technician has seen it, also after a restart."""
    async with running(home):
        desk.tap(TapKind.shift_start)
        await until(lambda: stub.messages)
        await until(lambda: len(stub.asked_for_jobs) == 1)
        said = json.loads(JOBS)
        stub.jobs = json.dumps({**said, "jobs": said["jobs"][:1]})
        await stub.tell("jobs")
        await until(lambda: desk.changed() and desk.tidings())
    (untold,) = desk.tidings()
    assert (untold.tiding.news, untold.tiding.job.id) == (News.gone, SECOND)
    assert [job.id for job in desk.jobs] == [FIRST]
    async with running(a_home(tmp_path)):
        await until(lambda: len(stub.asked_for_jobs) == 3)
    desk.told(untold)
    assert desk.tidings() == []
    assert stub.asked_for_jobs[0] is None
    assert stub.asked_for_jobs[2] is not None, "what was kept was fetched again"


async def test_a_screen_asks_for_the_newest_jobs(home: Home, desk: Desk, stub: StreamStub) -> None:
    """Whoever opens the app does not wait for minutes."""
    async with running(home):
        await until(lambda: desk.changed() and desk.jobs)
        desk.refresh()
        await until(lambda: len(stub.asked_for_jobs) == 2)


async def test_a_revoked_phone_says_so_and_keeps_everything(
    home: Home, desk: Desk, stub: StreamStub, tmp_path: Path
) -> None:
    """Paired again as the same device it goes on; as another it does not send what was seen before."""
    stub.handshake = HTTPStatus.UNAUTHORIZED
    async with running(home):
        desk.tap(TapKind.shift_start)
        await until(lambda: desk.changed() and not desk.status().paired)
    assert desk.facts().taps == 1
    stub.handshake = None

    other = a_home(tmp_path)
    other.pair(a_session(stub, "device-2"))
    others = other.desk()
    async with running(other):
        others.tap(TapKind.shift_start)
        await until(lambda: others.facts().taps == 0)
    others.close()
    assert desk.facts().taps == 1

    other.pair(a_session(stub))
    async with running(other):
        await until(lambda: desk.facts().taps == 0)


async def test_a_revoked_phone_hears_it_by_the_end_of_its_stream(home: Home, desk: Desk, stub: StreamStub) -> None:
    """At once, and by nothing else: whom it asks then may remember the key for some seconds."""
    async with running(home):
        desk.tap(TapKind.shift_start)
        await until(lambda: desk.facts().taps == 0 and desk.changed() and desk.status().paired)
        await stub.connections[-1].close(REVOKED, "revoked")
        await until(lambda: desk.changed() and not desk.status().paired)
        desk.tap(TapKind.break_start)
    assert desk.facts().taps == 1


async def test_one_process_runs_a_phone(home: Home, desk: Desk, stub: StreamStub, tmp_path: Path) -> None:
    """The second is told so; when the first dies, however it dies, the lock is free."""
    folder = tmp_path / "device-1"
    holds = "import sys; from pathlib import Path; from tech_app.core import phone\n" + (
        "with phone._only_one(Path(sys.argv[1])):\n print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: ASYNC220 - started and told to die, no more
        [sys.executable, "-c", holds, str(folder)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_run(folder)
        with pytest.raises(RunsElsewhere):
            await home.phone().run()
        async with running(home):
            desk.tap(TapKind.shift_start)
            other.kill()
            await until(lambda: desk.facts().taps == 0)
    assert not is_run(folder)


async def test_the_tracker_runs_the_shift(desk: Desk, stub: StreamStub, tmp_path: Path) -> None:
    """On a system with a background service: it is started with the shift, and ends when all of it is told."""
    trackers: list[asyncio.Task[None]] = []
    at_home = a_home(tmp_path, lambda: trackers.append(asyncio.create_task(track(a_home(tmp_path)))))

    async def track(there: Home) -> None:
        await there.phone().run(lambda phone: phone.is_done)

    async with running(at_home):
        await until(lambda: desk.changed() and desk.jobs)
        assert not trackers
        desk.tap(TapKind.shift_start)
        await until(lambda: trackers and is_run(tmp_path / "device-1"))
        await until(lambda: desk.changed() and desk.status().seen)
        desk.tap(TapKind.shift_end)
        await until(lambda: trackers[0].done())
        assert (desk.facts().taps, desk.facts().fixes) == (0, 0)
        trackers[0].result()
    assert len(trackers) == 1


async def test_a_tracker_that_may_not_start_is_asked_again(
    desk: Desk, stub: StreamStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Android lets nobody start it while the app is out of sight."""
    monkeypatch.setattr("tech_app.core.home.LOOK_AGAIN_S", 0.01)
    asked: list[None] = []

    def refused() -> None:
        asked.append(None)
        raise OSError("not now")

    desk.tap(TapKind.shift_start)
    async with running(a_home(tmp_path, refused)):
        await until(lambda: len(asked) > 1)


async def test_a_tracker_has_done_when_nothing_can_be_done(home: Home, desk: Desk) -> None:
    """Not during a shift, even when all is sent; after it, when nothing waits, or the service takes nothing."""
    phone = home.phone()
    done = [phone.is_done]
    for kind, sent in ((TapKind.shift_start, True), (TapKind.shift_end, False)):
        desk.tap(kind)
        phone.day.reload()
        batch = phone.outbox.next_batch(10)
        assert batch is not None
        if sent:
            phone.outbox.forget(batch, [(1, 10)], {})
        done.append(phone.is_done)
    phone.uplink.state = replace(phone.uplink.state, paired=False)
    assert [*done, phone.is_done] == [True, False, False, True]
    phone.outbox.close()


async def test_a_tracker_does_not_wait_for_ever_for_a_file(stub: StreamStub, tmp_path: Path) -> None:
    """A service that keeps none never takes it: after an hour it is left for the next time that the app is opened."""
    clock = AheadClock()
    home = Home(tmp_path, clock, lambda clock: SimulatorSource(clock, PORTO))
    home.pair(a_session(stub))
    phone = home.phone()
    phone.outbox.add_file(QueuedFile("a", FIRST, "photo", tmp_path / "a.jpg", "0" * 64, 10, clock.now()))
    done = [phone.is_done]
    clock.pass_time(3590)
    done.append(phone.is_done)
    phone.uploads.state = replace(phone.uploads.state, last_answer_s=clock.since_boot())
    clock.pass_time(20)
    done.append(phone.is_done)
    clock.pass_time(3600)
    assert [*done, phone.is_done] == [False, False, False, True]
    phone.outbox.close()


async def test_without_gps_the_day_goes_on(stub: StreamStub, tmp_path: Path) -> None:
    """A source that does not work here says what to do."""

    def none(clock: object) -> SimulatorSource:
        raise Missing("this device has no GPS: choose another source")

    home = Home(tmp_path, PhoneClock(), none)
    home.pair(a_session(stub))
    desk = home.desk()
    async with running(home):
        desk.tap(TapKind.shift_start)
        await until(lambda: desk.facts().taps == 0 and desk.changed() and desk.status().gps_trouble)
    assert desk.status().gps_trouble == "this device has no GPS: choose another source"
    desk.close()


async def test_a_disk_that_is_full_for_a_while(
    home: Home, desk: Desk, stub: StreamStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and when there is room again everything goes on."""
    monkeypatch.setattr("tech_app.core.phone.TELL_EVERY_S", 0.01)
    monkeypatch.setattr("tech_app.core.phone.AGAIN_AFTER_S", 0.3)
    forget, failed = Outbox.forget, []

    def full_once(self: Outbox, *arguments: object) -> int:
        if not failed:
            failed.append(True)
            raise sqlite3.OperationalError("database or disk is full")
        return forget(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Outbox, "forget", full_once)
    async with running(home):
        desk.tap(TapKind.shift_start)
        await until(lambda: desk.changed() and desk.status().storage_trouble)
        await until(lambda: desk.facts().taps == 0)
        await until(lambda: desk.changed() and desk.status().storage_trouble is None)


@pytest.mark.parametrize("method", ["__init__", "remember", "facts"])
async def test_a_disk_that_is_full_when_the_app_starts(
    home: Home, desk: Desk, stub: StreamStub, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever cannot be opened or written then: when there is room again, what waits is sent."""
    monkeypatch.setattr("tech_app.core.phone.AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr("tech_app.core.home.LOOK_AGAIN_S", 0.05)
    desk.tap(TapKind.shift_start)
    ordinary, failed = getattr(Outbox, method), []

    def full_at_first(self: Outbox, *arguments: object) -> object:
        if len(failed) < 3:
            failed.append(True)
            raise sqlite3.OperationalError("database or disk is full")
        return ordinary(self, *arguments)

    monkeypatch.setattr(Outbox, method, full_at_first)
    async with running(home):
        await until(lambda: len(failed) == 3 and desk.facts().taps == 0)


def test_a_bell_without_a_hearer(tmp_path: Path) -> None:
    """Nobody runs the phone: nothing happens, and nothing breaks."""
    queue = Outbox(tmp_path / "outbox.db", PhoneClock())
    doorbell.ring(queue)
    queue.remember({doorbell.NAME: "9 of somebody who is gone"})
    doorbell.ring(queue)
    queue.close()


async def test_a_stranger_at_the_bell_is_not_heard(tmp_path: Path) -> None:
    """Other apps of the phone reach the port too, and do not know the password."""
    heard: list[str] = []
    queue = Outbox(tmp_path / "outbox.db", PhoneClock())
    bell = await doorbell.hang(queue, heard.append)
    address = bell.get_extra_info("sockname")
    bell.sendto(b"jobs", address)
    bell.sendto(b"\xff\xfe jobs", address)
    doorbell.ring(queue, "jobs")
    await until(lambda: heard)
    assert heard == ["jobs"]
    bell.close()
    queue.close()


def test_a_status_survives_the_file() -> None:
    """With and without everything in it; a time of before the phone was switched on is no age."""
    assert read_status(None) == Status()
    assert read_status(Status().to_json()) == Status()
    away = replace(Status(), paired=False, connection=Connection.away, uplink_trouble="no connection")
    assert read_status(away.to_json()) == away
    assert age_s(90.0, 100.0) == 10.0
    assert age_s(110.0, 100.0) is None


async def test_taps_and_fetches_of_two_processes_do_not_undo_each_other(home: Home, stub: StreamStub) -> None:
    """A tap on old jobs does not bring back what was fetched meanwhile, nor the other way round."""
    phone, desk = home.phone(), home.desk()
    phone.day.fetched(JOBS, [])
    desk.tap(TapKind.arrived, FIRST)  # the desk has seen no jobs yet
    said = json.loads(JOBS)
    phone.day.fetched(json.dumps({**said, "jobs": said["jobs"][:1]}), [])
    assert [(job.id, job.state) for job in phone.day.jobs] == [(FIRST, State.arrived)]
    desk.tap(TapKind.undo, FIRST)
    phone.day.reload()
    assert [(job.id, job.state) for job in phone.day.jobs] == [(FIRST, State.en_route)]
    desk.close()
    phone.outbox.close()


def test_taps_and_fetches_at_the_same_time(home: Home) -> None:
    """Two processes write the jobs; neither ever writes down what it read before the other wrote."""
    said, done = json.loads(JOBS), Event()
    few, many = (json.dumps({**said, "jobs": said["jobs"][:count]}) for count in (1, 2))
    phone = home.phone()
    phone.day.fetched(many, [])

    def tap() -> None:
        desk = home.desk()
        while not done.is_set():
            desk.tap(TapKind.late, FIRST, minutes=5)
            time.sleep(0.002)  # a hand leaves the other some room
        desk.close()

    tapping = Thread(target=tap)
    tapping.start()
    seen = []
    for n in range(20):
        phone.day.fetched(few if n % 2 else many, [])
        time.sleep(0.005)
        phone.day.reload()
        seen.append(len(phone.day.jobs))
    done.set()
    tapping.join()
    assert seen == [2, 1] * 10
    phone.outbox.close()


def test_a_phone_that_is_not_paired_is_nobody(tmp_path: Path) -> None:
    """... and nothing is started for it."""
    home = a_home(tmp_path)
    home.start()
    with pytest.raises(LookupError):
        home.desk()
    assert list(tmp_path.iterdir()) == []
