"""One reader's stream of updates. Access is decided anew for every update."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tracking_server.clock import Clock
from tracking_server.domain.page_state import Showing
from tracking_server.push import wire
from tracking_server.push.access import Access, Visitor
from tracking_server.push.reader import Reader
from tracking_server.push.watched import Watched, WatchedJobs
from tracking_server.store.engine import Unavailable

PING_EVERY_S = 15.0
SAME_FIX_S = 0.001  # the bus and the store round a fix's time differently


class Stream:
    """Sends the present state, then every change of it."""

    def __init__(
        self,
        jobs: WatchedJobs,
        clock: Clock,
        access: Access,
        watched: Watched,
        news: asyncio.Event,
        visitor: Visitor,
        reader: Reader,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._access = access
        self._watched = watched
        self._news = news
        self._visitor = visitor
        self._reader = reader
        self._said = ""
        self._shown_s: float | None = None
        self._version = visitor.versions[0]

    async def run(self) -> None:
        """Write until nothing more may come."""
        await self._reader.open()
        while await self._tell_if_possible():
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                await self._reader.write(wire.PING)
            self._news.clear()
        await self._reader.write(wire.end(), last=True)

    async def _tell_if_possible(self) -> bool:
        """While the store is away the page keeps what it shows, with its age; the next comparison brings the rest."""
        try:
            return await self._tell()
        except Unavailable:
            self._watched.stale = True
            return True

    async def _tell(self) -> bool:
        """Send what is new; says whether more may come. What was finished can be undone: only the link's end, and a
        cancelled visit, are for good."""
        view = await self._jobs.view(self._watched)
        if view is None or not await self._still_opens(view.job.version):
            return False
        told = self._watched.telling.told(view, self._visitor, self._clock.now())
        if told.showing is Showing.expired:
            return False
        if told.said != self._said:
            self._said = told.said
            await self._reader.write(told.status)
        if told.position is None:
            self._shown_s = None  # the page took it down: when it may be seen again, it is sent again
        elif self._shown_s is None or abs(told.position_s - self._shown_s) > SAME_FIX_S:
            self._shown_s = told.position_s
            await self._reader.write(told.position)
        return told.showing is not Showing.cancelled

    async def _still_opens(self, version: int) -> bool:
        """Look at the link again when its job changed: revoking a link counts its job's version up."""
        if version != self._version:
            link = await self._watched.telling.link(self._visitor.token, version, self._access.open)
            if link is None:
                return False
            self._visitor, self._version = replace(self._visitor, link=link), version
        return True
