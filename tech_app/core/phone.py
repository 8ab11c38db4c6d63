"""The whole phone without its screen, put together: what it sees, keeps, sends and fetches.

One process at a time runs it: on Android the foreground service while there is a shift or something left to send, else
the screen's; elsewhere the screen's own loop. Whoever shows it looks at the same file through `desk`.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tech_app.core import doorbell
from tech_app.core.clock import Clock
from tech_app.core.day import Day
from tech_app.core.fetch import Fetch, HttpJobs
from tech_app.core.gps.base import Missing, Source
from tech_app.core.http_line import HttpLine
from tech_app.core.line import Line
from tech_app.core.outbox import NoRoom, open_outbox
from tech_app.core.session import Session, tls
from tech_app.core.status import Connection, Seen, Status
from tech_app.core.tracking import Tracking
from tech_app.core.uplink import Uplink, Way
from tech_app.core.uploads import HttpFiles, Uploads
from tech_app.core.websocket_line import KEY_REVOKED, WebSocketLine

TELL_EVERY_S = 1.0
LOOK_EVERY_S = 60.0
AGAIN_AFTER_S = 10.0
# A service may keep no files at all: nobody is told for ever that they are followed for that.
FILES_WITHIN_S = 3600.0


class RunsElsewhere(Exception):
    """Another process runs this phone."""


def folder_of(data: Path, session: Session) -> Path:
    """Where a paired phone keeps its own: what was seen for one technician is never sent as another's."""
    folder = data / session.device
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Phone:
    """Runs one paired phone. `source` is where its fixes come from."""

    def __init__(
        self,
        folder: Path,
        session: Session,
        source: Source,
        clock: Clock,
        battery_pct: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`folder` is `folder_of` the session. Raises `sqlite3.OperationalError` when its file cannot be opened."""
        trust = tls() if session.url.startswith("https:") else None
        url, key = session.url, session.key
        self._folder, self._clock, self._source = folder, clock, source
        self._begun_s = clock.since_boot()
        self.outbox, self.broken = open_outbox(folder / "outbox.db", clock)
        self.day = Day(self.outbox, clock)
        lines: dict[Way, Line] = {
            Way.websocket: WebSocketLine(url, key, trust, self._on_news),
            Way.http: HttpLine(url, key, trust),
        }
        self.uplink = Uplink(self.outbox, lines, clock)
        self.tracking = Tracking(source, self.outbox, self.uplink, battery_pct)
        self.uploads = Uploads(self.outbox, HttpFiles(url, key, trust), clock)
        self.fetch = Fetch(HttpJobs(url, key, trust), self.day, self.outbox, clock)
        self._seen: Seen | None = None
        self._storage_trouble: str | None = None
        self._changed = asyncio.Event()

    async def run(self, until: Callable[[Phone], bool] = lambda _: False) -> None:
        """Until cancelled, or until `until` holds after something changed; once. Raises `RunsElsewhere`."""
        with closing(self.outbox), _only_one(self._folder):
            loops = [
                lambda: self.uplink.run(self._changed.set),
                lambda: self.uploads.run(self._changed.set),
                lambda: self.fetch.run(self._heed_duty),
                lambda: self.tracking.run(self._see),
                self._listen,
            ]
            running = [asyncio.ensure_future(self._keep_on(loop)) for loop in loops]
            telling = asyncio.ensure_future(self._keep_on(lambda: self._tell(until)))
            try:
                await _first_of(telling, running)
            finally:
                await _end([*running, telling])
                self._source.ask(None)

    @property
    def on_shift(self) -> bool:
        return self.day.shift.on

    @property
    def is_done(self) -> bool:
        """There is no shift, and nothing left that the service would take. Files that it has not taken for an hour wait
        for the next time that the app is opened."""
        facts = self.outbox.facts()
        taken_s = max(self._begun_s, self.uplink.acknowledged_s or 0.0, self.uploads.state.last_answer_s)
        is_file_awaited = facts.files > 0 and self._clock.since_boot() - taken_s < FILES_WITHIN_S
        waits = facts.taps + facts.fixes > 0 or is_file_awaited
        return not self.on_shift and not (waits and self.status().paired)

    def status(self) -> Status:
        """How it is now."""
        uplink, tracking = self.uplink, self.tracking
        followed = self.day.duty.tracked
        return Status(
            paired=uplink.state.paired and self.fetch.state.paired and self.uploads.state.paired,
            connection=_connection(uplink, self.fetch),
            acknowledged_s=uplink.acknowledged_s,
            jobs_s=self.fetch.state.last_answer_s or None,
            skew=uplink.skew,
            profile=tracking.last[1].profile if followed and tracking.last else None,
            seen=self._seen if followed else None,
            uplink_trouble=uplink.trouble,
            jobs_trouble=self.fetch.trouble,
            files_trouble=self.uploads.trouble,
            gps_trouble=(tracking.trouble or self._source.trouble) if followed else None,
            storage_trouble=self._storage_trouble,
        )

    def _on_news(self, what: str) -> None:
        if what == "jobs":
            self.fetch.poke()
        elif what == KEY_REVOKED:
            self.uplink.shut_out(what)
            self._changed.set()

    def _on_ring(self, wanted: str) -> None:
        """The screen wrote something, or wants to see the newest jobs."""
        self.day.reload()
        self._heed_duty()
        self.uplink.poke(urgent=True)
        self.uploads.poke()
        self._on_news(wanted)

    def _heed_duty(self) -> None:
        self.tracking.change(self.day.duty)
        self._changed.set()

    def _see(self) -> None:
        if self.tracking.last is not None:
            fix, _ = self.tracking.last
            at_s = self._clock.since_boot() - max(0.0, self._clock.now() - fix.time_s)
            self._seen = Seen(at_s, fix.lat, fix.lon, fix.accuracy_m, fix.course_deg, fix.speed_mps)
        self._changed.set()

    async def _listen(self) -> None:
        """To the bell; and what was written while nobody heard it is found now and then."""
        with closing(await doorbell.hang(self.outbox, self._on_ring)):
            self._on_ring("")
            while True:
                await self._clock.sleep(LOOK_EVERY_S)
                self.day.reload()
                self._heed_duty()

    async def _tell(self, until: Callable[[Phone], bool]) -> None:
        """Write down how it is, when that changed."""
        told = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            is_over = until(self)
            status = self.status()
            if status != told:
                with suppress(*((sqlite3.Error, NoRoom) if is_over else ())):  # nobody stays for that
                    self.outbox.remember({"status": status.to_json()}, "NORMAL")
                told = status
            if is_over:
                return
            await self._clock.sleep(TELL_EVERY_S)

    async def _keep_on(self, loop: Callable[[], Coroutine[None, None, None]]) -> None:
        """A disk that is full or a receiver that is gone must not end the day."""
        while True:
            try:
                await loop()
                return
            except (sqlite3.Error, NoRoom, OSError, Missing) as error:
                self._storage_trouble = str(error)
            self._changed.set()
            await self._clock.sleep(AGAIN_AFTER_S)
            self._storage_trouble = None


async def _first_of(telling: asyncio.Future[None], running: Sequence[asyncio.Future[None]]) -> None:
    """Until `telling` ends, or one of the others fails. A recording may end by itself."""
    left = {telling, *running}
    while telling in left:
        ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


async def _end(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _connection(uplink: Uplink, fetch: Fetch) -> Connection:
    """By what is sent; before anything is, by what is fetched."""
    if uplink.trouble is not None:
        return Connection.away
    if uplink.acknowledged_s is None:
        if fetch.trouble is not None:
            return Connection.away
        return Connection.http if fetch.state.last_answer_s else Connection.untried
    return Connection.http if uplink.state.websocket_again_s > uplink.acknowledged_s else Connection.websocket


def is_run(folder: Path) -> bool:
    """Whether some process runs the phone of this folder."""
    try:
        with _only_one(folder):
            return False
    except RunsElsewhere:
        return True


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """The kernel gives the lock back however the process that has it ends."""
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunsElsewhere(RunsElsewhere.__doc__) from None
        yield
