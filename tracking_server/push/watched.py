"""The jobs this process has viewers for, kept as fresh as the store.

Updates come from the bus; every three seconds the versions are compared with the store, so that what was published into
the void (a kill after the commit, Redis away) is shown nevertheless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server.clock import Clock
from tracking_server.domain.job import State
from tracking_server.domain.updates import JobChanged, Notice, Position
from tracking_server.live.bus import Bus
from tracking_server.push.telling import Telling
from tracking_server.store.engine import Unavailable, snapshot, watching
from tracking_server.store.views import JobView, LinkRow, read_versions, read_view

log = structlog.get_logger()
COMPARE_EVERY_S = 3.0
# What has no version (the name of a firm, a stop's time that has come) is at most so old for somebody who comes; so a
# job is read once a second, however many come.
FRESH_S = 1.0


@dataclass(eq=False)
class Watched:
    """One job with viewers. Each is woken to look at `view`, in one step of the loop: latest wins, nothing queues.

    It is `stale` when the store may say something else than `view`, which is then read again. `read_version` is the
    job's when it was read; from there to the version of `view` nothing but its window became another.
    """

    organisation_id: UUID
    job_id: UUID
    viewers: set[Callable[[], None]] = field(default_factory=set)
    view: JobView | None = None
    stale: bool = True
    wanted_version: int = 0
    read_version: int = 0
    read_s: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    telling: Telling = field(default_factory=Telling)

    @property
    def is_behind(self) -> bool:
        """Whether the store may say something newer."""
        return self.stale or (self.view is not None and self.view.job.version < self.wanted_version)

    @property
    def is_settled(self) -> bool:
        """Whether `view` can be told as it is, without a word of the store."""
        return not self.is_behind and not self.reading.locked()

    def shows(self, versions: tuple[int, int], now_s: float) -> bool:
        """Whether `view` is good for somebody who came just now, and saw these versions in the store."""
        if self.view is None or not 0.0 <= now_s - self.read_s <= FRESH_S:
            return False
        return (self.view.job.version, self.view.technician_version) >= versions

    @property
    def technician_id(self) -> UUID | None:
        """Whose positions it is about, as far as is known."""
        return None if self.view is None or self.view.technician is None else self.view.technician.id

    def wake(self) -> None:
        for look in tuple(self.viewers):
            look()


class WatchedJobs:
    """All jobs with viewers in this process."""

    def __init__(
        self, engine: AsyncEngine, bus: Bus, clock: Clock, also: Sequence[Callable[[Notice], None]] = ()
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._also = also
        self._jobs: dict[UUID, Watched] = {}
        self._by_technician: dict[UUID, set[Watched]] = {}

    async def run(self) -> None:
        """Hear updates, for those who `also` hear them, and compare versions until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.listen(self._hear_all))
            tasks.create_task(self._compare_forever())

    @contextmanager
    def watch(self, organisation_id: UUID, job_id: UUID, look: Callable[[], None]) -> Iterator[Watched]:
        """Watch a job as one viewer; `look` is called whenever there may be something new."""
        watched = self._jobs.setdefault(job_id, Watched(organisation_id, job_id))
        watched.viewers.add(look)
        self._follow_technician(watched)
        try:
            yield watched
        finally:
            watched.viewers.discard(look)
            if not watched.viewers:
                self._jobs.pop(job_id, None)
                self._forget_technician(watched)

    async def view(self, watched: Watched, seen: tuple[int, int] | None = None) -> JobView | None:
        """The job as it is now; one read of the store per job and version, however many viewers are told.

        A viewer who comes has `seen` the versions in the store: what the others were told last may be as old as the
        last comparison.
        """

        def is_good() -> bool:
            return not watched.is_behind and (seen is None or watched.shows(seen, self._clock.now()))

        if not is_good() or watched.reading.locked():  # who comes while it is read waits for what is read
            async with watched.reading:
                if not is_good():
                    await self._read_again(watched)
        return watched.view

    async def look(self, link: LinkRow, seen: tuple[int, int]) -> JobView | None:
        """The job of a link for somebody who does not stay, shared with all who come within a second."""
        watched = self._jobs.setdefault(link.job_id, Watched(link.organisation_id, link.job_id))
        return await self.view(watched, seen)

    async def _read_again(self, watched: Watched) -> None:
        watched.read_s = self._clock.now()
        wanted_version = watched.wanted_version
        watched.stale = False  # what makes it stale from here on is perhaps not in what is read
        try:
            view = await self.read(watched.organisation_id, watched.job_id)
        except BaseException:
            watched.stale = True
            raise
        self._forget_technician(watched)
        watched.view = view
        if view is not None:
            watched.read_version = view.job.version
            if watched.wanted_version == wanted_version:  # what was heard of before is in it
                watched.wanted_version = view.job.version
        self._follow_technician(watched)

    def _follow_technician(self, watched: Watched) -> None:
        if watched.viewers and watched.technician_id is not None:
            self._by_technician.setdefault(watched.technician_id, set()).add(watched)

    def _forget_technician(self, watched: Watched) -> None:
        technician_id = watched.technician_id
        if technician_id is not None and technician_id in self._by_technician:
            self._by_technician[technician_id].discard(watched)
            if not self._by_technician[technician_id]:
                del self._by_technician[technician_id]

    async def read(self, organisation_id: UUID, job_id: UUID) -> JobView | None:
        """A job's view straight from the store."""
        async with snapshot(self._engine, organisation_id) as connection:
            return await read_view(connection, organisation_id, job_id, self._clock.now())

    def _hear_all(self, update: Notice) -> None:
        for hear in (self.hear, *self._also):
            hear(update)

    def hear(self, update: Notice) -> None:
        """Take one update from the bus."""
        if isinstance(update, JobChanged):
            watched = self._jobs.get(update.job_id)
            if watched is not None and update.version > watched.wanted_version:
                watched.wanted_version = update.version
                _take_eta(watched, update)
                watched.wake()
        elif isinstance(update, Position):
            concerned = set(self._by_technician.get(update.technician_id, ()))
            if update.job_id is not None and update.job_id in self._jobs:
                concerned.add(self._jobs[update.job_id])
            for watched in concerned:
                _move(watched, update)

    async def _compare_forever(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_EVERY_S)
            try:
                await self._compare()
            except Unavailable as error:
                log.warning("versions_not_compared", error=error.reason)

    async def _compare(self) -> None:
        for job_id in [id_ for id_, one in self._jobs.items() if not one.viewers and not one.reading.locked()]:
            del self._jobs[job_id]  # looked at since the last comparison, by nobody who stayed
        if not self._jobs:
            return
        async with watching(self._engine) as connection:
            versions = await read_versions(connection, list(self._jobs))
        for job_id, (version, technician_version) in versions.items():
            watched = self._jobs.get(job_id)
            if watched is None:
                continue
            view, stale = watched.view, watched.stale  # stale still: the store was away when it was read
            if stale or not view or version > view.job.version or technician_version > view.technician_version:
                watched.stale = True
                watched.wake()


def _take_eta(watched: Watched, update: JobChanged) -> None:
    """Take a window that came with its update, unless something was missed before it: then the store is read."""
    view = watched.view
    if view is None or update.eta is None or view.job.version != update.version - 1:
        return
    job = replace(view.job, version=update.version, eta=update.eta, eta_made_at_s=update.eta_made_at_s)
    watched.view = replace(view, job=job)


def _move(watched: Watched, position: Position) -> None:
    """Take a position for the one job it is for: a technician who drives elsewhere moves nobody else's marker."""
    if position.job_id == watched.job_id and position.job_version > watched.wanted_version:
        watched.wanted_version = position.job_version
        watched.wake()
    view = watched.view
    if view is None or view.technician is None or view.technician.id != position.technician_id:
        return
    if position.version <= view.technician_version:
        return
    if position.job_id == watched.job_id:
        watched.view = replace(view, technician_version=position.version, position=position)
        watched.wake()
    elif view.job.state is not State.en_route:  # else something was missed, and the comparison brings it
        watched.view = replace(view, technician_version=position.version)
