"""One reader's stream of updates. Access is decided anew for every update, when it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from tracking_server.clock import Clock
from tracking_server.domain.page_state import Showing
from tracking_server.push import wire
from tracking_server.push.access import Access, Visitor
from tracking_server.push.reader import Reader
from tracking_server.push.telling import Said
from tracking_server.push.watched import Watched, WatchedJobs
from tracking_server.store.engine import Unavailable

log = structlog.get_logger()
PING_EVERY_S = 15.0
SAME_FIX_S = 0.001  # the bus and the store round a fix's time differently


class Stream:
    """Sends the present state, then every change of it.

    All streams of a job are told in one step of the loop, without a task of their own. Only what has to be waited for,
    the store or a reader who takes nothing now, is waited for by a task, which then tells what is so at that moment.
    """

    __slots__ = (
        "_access", "_clock", "_ended", "_jobs", "_loop", "_opens", "_pings", "_reader", "_said", "_shown_s", "_stopped",
        "_told_s", "_version", "_visitor", "_waiting", "_watched",
    )  # fmt: skip
    _watched: Watched

    def __init__(self, jobs: WatchedJobs, clock: Clock, access: Access, visitor: Visitor, reader: Reader) -> None:
        self._jobs = jobs
        self._clock = clock
        self._access = access
        self._visitor = visitor
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Task[None] | None = None
        self._said: Said | None = None
        self._shown_s: float | None = None
        self._version = visitor.versions[0]
        self._told_s = 0.0
        self._pings = False
        self._opens = True
        self._ended = True  # until it has begun
        self._stopped = False

    async def run(self) -> None:
        """Tell until nothing more may come, or the reader is gone. Raises `Unavailable` before anything is sent."""
        link = self._visitor.link
        with self._jobs.watch(link.organisation_id, link.job_id, self.look) as self._watched:
            await self._jobs.view(self._watched, self._visitor.versions)
            await self._reader.open()
            self._ended = False
            try:
                if self._stopped:
                    self.stop()
                self.look()
                await self._reader.gone()
            finally:
                self._ended = True
                if self._waiting is not None:
                    self._waiting.cancel()

    def look(self) -> None:
        """Tell what may be new."""
        if self._ended or self._waiting is not None:
            return
        try:
            if not self._tell():
                self._waiting = self._loop.create_task(self._catch_up())
        except Exception as error:
            self._fail(error)

    def ping_if_quiet(self) -> None:
        """Say something when nothing was said for long; time may have changed the page, too."""
        if not self._ended and self._loop.time() - self._told_s >= PING_EVERY_S:
            self._pings = True
            self.look()

    def stop(self) -> None:
        """End the answer, but not what it tells of: the page connects again."""
        self._stopped = True
        if self._ended:
            return
        self._ended = True
        if self._waiting is not None:
            self._waiting.cancel()
        if not self._reader.offer(b"", last=True):
            self._reader.drop()

    async def _catch_up(self) -> None:
        """While the store is away the page keeps what it shows, with its age; the next comparison brings the rest."""
        try:
            while not self._ended and not self._tell():
                await self._look_up()
                await self._reader.ready()
        except Unavailable:
            self._watched.stale = True
        except Exception as error:
            self._fail(error)
        finally:
            self._waiting = None

    async def _look_up(self) -> None:
        """Have the job as the store has it, and look at the link again when it changed: revoking a link counts its
        job's version up."""
        await self._jobs.view(self._watched)
        version = self._watched.read_version
        if self._version < version:
            link = await self._watched.telling.link(self._visitor.token, version, self._access.open)
            self._version, self._opens = version, link is not None
            if link is not None:
                self._visitor = replace(self._visitor, link=link)

    def _tell(self) -> bool:
        """Send what is new; False when something has to be waited for before. What was finished can be undone: only
        the link's end, and a cancelled visit, are for good."""
        watched = self._watched
        if not watched.is_settled or self._version < watched.read_version:
            return False
        if self._pings and not self._send(wire.PING):
            return False
        self._pings = False
        if watched.view is None or not self._opens:
            return self._end()
        told = watched.telling.told(watched.view, self._visitor, self._clock.now())
        if told.showing is Showing.expired:
            return self._end()
        if told.position is None:
            self._shown_s = None  # the page took it down: when it may be seen again, it is sent again
        elif self._shown_s is not None and abs(told.position_s - self._shown_s) > SAME_FIX_S:
            if not self._send(told.position):
                return False
            self._shown_s = told.position_s
            if told.said is not self._said:
                self._loop.call_soon(self.look)  # a marker that moves does not wait for words that are put together
            return True
        if told.said is not None and told.said is not self._said:
            if not told.said.is_like(self._said) and not self._send(told.status()):
                return False
            self._said = told.said
        if told.position is not None and self._shown_s is None:
            if not self._send(told.position):
                return False
            self._shown_s = told.position_s
        return self._end() if told.showing is Showing.cancelled else True

    def _send(self, data: bytes) -> bool:
        self._told_s = self._loop.time()
        return self._reader.offer(data)

    def _end(self) -> bool:
        self._ended = self._reader.offer(wire.end(), last=True)
        return self._ended

    def _fail(self, error: Exception) -> None:
        """Nobody else's stream is concerned."""
        log.warning("stream_failed", error=type(error).__name__)
        self._ended = True
        self._reader.drop()
