"""How the demo goes on for as long as it runs: technicians ride from door to door, and new customers call."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import cycle
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.tap import TapKind
from tracking_server.clock import Clock
from tracking_server.demo import cast
from tracking_server.demo.drive import Ride, ride
from tracking_server.demo.firm import HOUR_S, MINUTE_S, Firm, Technician, Visit, book, write_summary
from tracking_server.demo.morning import Begun
from tracking_server.demo.rider import Rider
from tracking_server.demo.ways import Ways, way_from
from tracking_server.domain.geo import distance_m
from tracking_server.domain.job import ON_SITE, OPEN, Job, State, next_stop
from tracking_server.replay.phone import Refused
from tracking_server.routing.valhalla import LonLat
from tracking_server.store import jobs as job_store
from tracking_server.store.engine import Contended, Unavailable, transaction

LOOK_EVERY_S = 2.0  # of the machine's: whether the job under way is still theirs
SHORT_S = 15.0  # from the door to the work
WORK_S = 200.0
STANDING_EVERY_S = 10.0
BREAK_S = 120.0
BREAK_AFTER_VISITS = 3
CALLS_EVERY_S = 240.0
MOST_WAITING = 7
AT_THE_DOOR_M = 40.0
TOO_FAR_M = 20_000.0  # a job that somebody made elsewhere: nobody rides there


class Office:
    """Books visits for customers who call."""

    def __init__(self, engine: AsyncEngine, firm: Firm, ways: Ways, clock: Clock, visits: dict[str, Visit]) -> None:
        self._engine = engine
        self._firm = firm
        self._ways = ways
        self._clock = clock
        self._callers = cycle(cast.CALLERS)
        self._turn = cycle(range(1, len(ways.doors)))
        self._visits = {visit.job_id: visit for visit in visits.values()}

    async def run(self) -> None:
        """Somebody calls every few minutes, and gets the technician with the fewest visits."""
        while True:
            await self._clock.sleep(CALLS_EVERY_S)
            with suppress(Unavailable, Contended):
                waiting = {technician: await self.stops(technician) for technician in self._firm.technicians}
                if sum(map(len, waiting.values())) < MOST_WAITING:
                    await self.take_call(min(waiting, key=lambda technician: len(waiting[technician])))

    async def take_call(self, technician: Technician) -> None:
        """A new visit, at a door where nobody else waits. Who watches finds it by its version, within seconds."""
        busy = {(job.geofence.lon, job.geofence.lat) for one in self._firm.technicians for job in await self.stops(one)}
        doors = [self._ways.doors[next(self._turn)] for _ in self._ways.doors[1:]]
        door = next((door for door in doors if door not in busy), doors[0])
        now_s = self._clock.now()
        window = (now_s + 5 * MINUTE_S, now_s + 5 * MINUTE_S + HOUR_S)
        async with transaction(self._engine, self._firm.organisation_id) as connection:
            visit = await book(
                connection, self._firm, next(self._callers), door, [technician], window,
                booked_s=now_s, assigned_s=now_s,
            )  # fmt: skip
        self._visits[visit.job_id] = visit

    async def stops(self, technician: Technician) -> list[Job]:
        """Their open jobs that can be ridden to, in order."""
        organisation_id, now_s = self._firm.organisation_id, self._clock.now()
        async with transaction(self._engine, organisation_id) as connection:
            found = await job_store.read_stops(connection, organisation_id, [technician.id], now_s)
        home = self._ways.doors[0]
        return [
            job
            for job in found[technician.id]
            if job.state in OPEN and distance_m(job.geofence.lon, job.geofence.lat, *home) < TOO_FAR_M
            if not self._is_for_later(job, now_s)
        ]

    @staticmethod
    def _is_for_later(job: Job, now_s: float) -> bool:
        return job.state is State.assigned and job.promised is not None and job.promised[0] > now_s + 12 * HOUR_S

    async def note_done(self, job_id: UUID) -> None:
        """Write down what was done, in the customer's language."""
        visit = self._visits.get(job_id)
        language = visit.customer.language if visit else "en"
        await write_summary(self._engine, self._firm, job_id, cast.SUMMARIES[language])

    def name(self, job_id: UUID) -> str:
        """Whose visit it is."""
        visit = self._visits.get(job_id)
        return visit.customer.name if visit else "a customer"


class Round:
    """One technician's day: to the next door, work there, a break now and then."""

    def __init__(
        self, technician: Technician, rider: Rider, office: Office, ways: Ways, road_engine: str, clock: Clock
    ) -> None:
        self.technician = technician
        self.doing = "waits"
        self._rider = rider
        self._office = office
        self._ways = ways
        self._road_engine = road_engine
        self._clock = clock
        self._at = ways.doors[0]
        self._visits = 0

    async def run(self, at: LonLat, begun: Begun | None = None) -> None:
        """Go on from a place, or from the middle of a ride. Waits for ever once the phone is shut out."""
        self._at = at
        while True:
            try:
                await self._next(begun)
                begun = None
            except (Unavailable, Contended):
                await asyncio.sleep(LOOK_EVERY_S)
            except Refused:
                self.doing = "has lost the phone"
                await asyncio.Event().wait()

    async def _next(self, begun: Begun | None) -> None:
        stops = await self._office.stops(self.technician)
        job = next((stop for stop in stops if stop.state in ON_SITE), None) or next_stop(stops)
        if job is None:
            await self._office.take_call(self.technician)
        elif job.state in ON_SITE:
            await self._work(job)
        elif self._visits >= BREAK_AFTER_VISITS:
            await self._rest()
        else:
            await self._ride_to(job, begun)

    async def _ride_to(self, job: Job, begun: Begun | None) -> None:
        door = (job.geofence.lon, job.geofence.lat)
        self.doing = f"rides to {self._office.name(job.id)}"
        sets_off_to = job.id if job.state is State.assigned else None
        if begun is None:
            shape = self._ways.known(self._at, door) or await way_from(self._road_engine, self._at, door)
            begun = Begun(ride(shape, self._visits), self._clock.now())
        riding = asyncio.create_task(self._rider.follow(begun.ride, begun.start_s, sets_off_to))
        try:
            await asyncio.wait([riding], timeout=LOOK_EVERY_S)
            while not riding.done() and await self._is_under_way(job):
                await asyncio.wait([riding], timeout=LOOK_EVERY_S)
        finally:
            riding.cancel()
            place = _place(begun.ride, self._clock.now() - begun.start_s)
            self._at = door if distance_m(*place, *door) < AT_THE_DOOR_M else place
            with suppress(asyncio.CancelledError):
                await riding
        if await self._is_under_way(job):
            await self._rider.tap(TapKind.arrived, job.id)

    async def _is_under_way(self, job: Job) -> bool:
        """Whether they still ride to it: it may have been given to somebody else, or they are there."""
        stops = await self._office.stops(self.technician)
        return any(stop.id == job.id and stop.state is State.en_route for stop in stops)

    async def _work(self, job: Job) -> None:
        self.doing = f"works at {self._office.name(job.id)}"
        if job.state is State.arrived:
            await self._stand(SHORT_S)
            await self._rider.tap(TapKind.start, job.id)
        await self._stand(WORK_S)
        await self._office.note_done(job.id)
        await self._rider.tap(TapKind.done, job.id)
        self._visits += 1

    async def _rest(self) -> None:
        self.doing = "has a break"
        self._visits = 0
        await self._rider.tap(TapKind.break_start)
        await self._clock.sleep(BREAK_S)
        await self._rider.tap(TapKind.break_end)

    async def _stand(self, for_s: float) -> None:
        await self._rider.follow(ride([self._at], self._visits, dwell_s=for_s, every_s=STANDING_EVERY_S))


def _place(ride: Ride, after_s: float) -> LonLat:
    """Where the rider is by then."""
    passed = [fix for fix in ride.fixes if fix.after_s <= after_s] or list(ride.fixes[:1])
    return (passed[-1].lon, passed[-1].lat)
