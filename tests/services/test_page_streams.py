"""The streams of one job: told together, decided when they are sent, whatever the reader's line is like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.types import Message, Scope

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tests.support.rows import statements
from tracking_server.domain.eta import Window
from tracking_server.domain.events import TapKind
from tracking_server.domain.updates import JobChanged, Position
from tracking_server.journey import Journey
from tracking_server.links import revoke_link
from tracking_server.live.bus import Bus
from tracking_server.push import stream as page_stream
from tracking_server.push.access import Access
from tracking_server.push.reader import Reader
from tracking_server.push.stream import Stream
from tracking_server.push.watched import Watched, WatchedJobs
from tracking_server.store.engine import transaction


@dataclass
class Line:
    """A reader's line: what they were sent, and whether it takes anything now."""

    sent: list[str] = field(default_factory=list)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: bool = False

    def __post_init__(self) -> None:
        self.takes.set()

    async def send(self, message: Message) -> None:
        if not self.takes.is_set():
            await self.takes.wait()
        if message.get("body"):
            self.sent.append(message["body"].decode())
            self.news.set()
        if message["type"] == "http.response.body" and not message["more_body"]:
            self.over.set()

    async def receive(self) -> Message:
        await self.over.wait()
        return {"type": "http.disconnect"}

    def drop(self) -> None:
        self.dropped = True
        self.over.set()

    @property
    def names(self) -> list[str]:
        """Of the updates."""
        lines = "".join(self.sent).splitlines()
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]

    async def until(self, name: str) -> None:
        async with asyncio.timeout(5):
            while name not in self.names:
                self.news.clear()
                await self.news.wait()


@dataclass
class Visit:
    """A job that a technician drives to, its open pages, and what processes tell each other about it."""

    engine: AsyncEngine
    firm: Firm
    phone: Phone
    job_id: UUID
    token: str
    jobs: WatchedJobs
    clock: SetClock

    @asynccontextmanager
    async def page(self, line: Line) -> AsyncIterator[Stream]:
        """A page that listens, once it shows where the technician is."""
        access = Access(self.engine, self.clock, secure=False)
        scope: Scope = {"type": "http", "headers": [], "query_string": b"", "extensions": {"abort": line.drop}}
        scope["path_params"] = {"token": self.token}
        visitor = await access.visitor(Request(scope))
        assert visitor is not None
        stream = Stream(self.jobs, self.clock, access, visitor, Reader(scope, line.receive, line.send))
        running = asyncio.create_task(stream.run())
        await line.until("position")
        line.sent.clear()
        try:
            yield stream
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Watched]:
        """The job as this process has it."""
        with self.jobs.watch(self.firm.organisation_id, self.job_id, lambda: None) as watched:
            yield watched

    async def position(self) -> Position:
        """The next one of the drive, as it is published."""
        view = await self.jobs.read(self.firm.organisation_id, self.job_id)
        assert view is not None
        assert view.position is not None
        at = view.position
        return replace(
            at, version=at.version + 1, time_s=at.time_s + 1, job_id=self.job_id, job_version=view.job.version
        )

    async def revoke(self) -> JobChanged:
        links = Access(self.engine, self.clock, secure=False)
        link = await links.open(self.token)
        assert link is not None
        async with transaction(self.engine, self.firm.organisation_id) as connection:
            change = await revoke_link(connection, self.firm.organisation_id, link.id, self.clock.now_s)
        assert change is not None
        return change


@pytest.fixture
async def visit(engine: AsyncEngine, bus: Bus, firm: Firm, journey: Journey, clock: SetClock) -> AsyncIterator[Visit]:
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    jobs = WatchedJobs(engine, bus, clock)
    running = asyncio.create_task(jobs.run())
    taps = [phone.tap(clock.now_s - 20, TapKind.shift_start), phone.tap(clock.now_s - 10, TapKind.en_route, job_id)]
    await journey.accept(phone.delivery(clock.now_s, [phone.fix(clock.now_s - 1, 5000.0, accuracy_m=8.0)], taps))
    yield Visit(engine, firm, phone, job_id, await firm.link(job_id), jobs, clock)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_all_pages_of_a_job_are_told_in_one_step(visit: Visit, engine: AsyncEngine) -> None:
    """Before the next thing happens in the process, with one task for each page that is open and none for telling."""
    lines = [Line() for _ in range(3)]
    async with visit.page(lines[0]), visit.page(lines[1]), visit.page(lines[2]):
        at = await visit.position()
        with statements(engine) as asked:
            visit.jobs.hear(at)
        assert [line.names for line in lines] == [["position"]] * 3
        assert asked == []
        assert sum("Stream." in repr(task) for task in asyncio.all_tasks()) == 3


async def test_a_window_alone_is_told_without_the_store(
    visit: Visit, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with its update; what the pages are told with it is what the store says."""
    line, clock = Line(), visit.clock
    async with visit.page(line), visit.watching() as watched:
        clock.now_s += 600
        with monkeypatch.context() as patch:
            patch.setattr(visit.jobs, "read", None)
            fix = visit.phone.fix(clock.now_s - 1, 4900.0, accuracy_m=8.0)
            await journey.accept(visit.phone.delivery(clock.now_s, [fix]))
            await line.until("status")
        fresh = await visit.jobs.read(visit.firm.organisation_id, visit.job_id)
        assert fresh is not None
        assert watched.view is not None
        assert watched.view.job.eta is not None
        assert fresh.job.eta is not None
        assert abs(watched.view.job.eta.likely_s - fresh.job.eta.likely_s) < 1e-5
        told = replace(watched.view.job, eta=fresh.job.eta, eta_made_at_s=fresh.job.eta_made_at_s)
        assert told == replace(fresh.job, due_s=told.due_s)
        assert watched.view.job.version > watched.read_version
        assert watched.is_settled


async def test_a_window_after_something_missed_is_read(visit: Visit) -> None:
    """The update in between may have been the link's end: the store is asked, and the page is closed."""
    line = Line()
    async with visit.page(line):
        change = await visit.revoke()
        window = Window(visit.clock.now_s, visit.clock.now_s + 60, visit.clock.now_s + 120, 0.8)
        visit.jobs.hear(replace(change, version=change.version + 1, eta=window, eta_made_at_s=visit.clock.now_s))
        await line.until("end")
        assert line.names == ["end"]


async def test_a_marker_moves_before_the_words_are_put_together(visit: Visit) -> None:
    """The words of the new minute follow, to every page."""
    lines = [Line(), Line()]
    async with visit.page(lines[0]), visit.page(lines[1]):
        visit.clock.now_s += 90
        visit.jobs.hear(await visit.position())
        assert [line.names for line in lines] == [["position"], ["position"]]
        for line in lines:
            await line.until("status")


async def test_what_a_slow_reader_is_sent_is_decided_when_they_take_it(visit: Visit) -> None:
    """A position that came while their line was full is not sent any more once their link is revoked."""
    line = Line()
    async with visit.page(line):
        line.takes.clear()
        visit.jobs.hear(await visit.position())
        visit.jobs.hear(await visit.revoke())
        await asyncio.sleep(0)
        assert line.sent == []
        line.takes.set()
        await line.until("end")
        assert line.names == ["end"]


async def test_a_slow_reader_is_told_the_newest(visit: Visit) -> None:
    """Nothing queues: of what came meanwhile they get one position; others get each."""
    slow, quick = Line(), Line()
    async with visit.page(slow), visit.page(quick):
        slow.takes.clear()
        at = await visit.position()
        for n in range(3):
            visit.jobs.hear(replace(at, version=at.version + n, time_s=at.time_s + n, lat=at.lat + n))
            await asyncio.sleep(0)
        slow.takes.set()
        await slow.until("position")
        assert slow.names == ["position"]
        assert f'"lat":{round(at.lat + 2, 6)}' in slow.sent[0]
        assert quick.names == ["position"] * 3


async def test_a_quiet_page_hears_that_its_line_stands(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what time has changed on it meanwhile."""
    line = Line()
    async with visit.page(line) as stream:
        stream.ping_if_quiet()
        assert line.names == []
        monkeypatch.setattr(page_stream, "PING_EVERY_S", 0.0)
        visit.clock.now_s += 200
        stream.ping_if_quiet()
        assert line.names == ["ping", "status"]
        assert "The position is not shown at the moment." in line.sent[1]


async def test_stopping_ends_full_lines_too(visit: Visit) -> None:
    """Who takes something is let go in form, who takes nothing is dropped; nobody is told an end."""
    full, free = Line(), Line()
    async with visit.page(full) as stuck, visit.page(free) as well:
        full.takes.clear()
        visit.jobs.hear(await visit.position())
        for stream in (stuck, well):
            stream.stop()
        assert (full.dropped, free.dropped, free.over.is_set()) == (True, False, True)
        assert free.names == ["position"]
        assert full.names == []


async def test_one_stream_s_fault_is_nobody_else_s(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page is dropped, and connects again; the process goes on telling."""
    broken, well = Line(), Line()
    async with visit.page(broken) as stream, visit.page(well):

        def fail() -> bool:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(Stream, "_tell", lambda self: fail() if self is stream else tell(self))
        visit.jobs.hear(await visit.position())
        assert broken.dropped
        assert well.names == ["position"]


tell = Stream._tell
