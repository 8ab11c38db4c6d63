"""A firm in memory: the service's own decisions about shifts, jobs and positions, with dictionaries for a store.

It also keeps what really happened, in lists that none of those decisions read: the witness of who may see what.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tests.support.firm import HOME, Phone, stream_of, trusted
from tracking_server.domain import eta
from tracking_server.domain.assess import Assessment, pass_time
from tracking_server.domain.assignment import assign
from tracking_server.domain.checkpoint import Checkpoint, give_up_gaps
from tracking_server.domain.events import EventKind, Tap, TapKind
from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.shift import open_shift
from tracking_server.domain.updates import Position
from tracking_server.store.devices import Device
from tracking_server.store.fixes import TapReceipt
from tracking_server.store.memory import Technician
from tracking_server.store.views import Details, Firm, JobView, LinkRow, TechnicianCard
from tracking_server.turn import Turn

NOON = 20_000 * 86_400.0 + 43_200
ORGANISATION = UUID(int=1)
STREET_M = 3_000.0  # the doors lie so far apart


@dataclass
class Drive:
    """What the witness knows: who was sent, and when they last set off."""

    technician_id: UUID
    since_s: float | None = None


@dataclass
class World:
    """Two technicians with phones, three jobs with a link each."""

    now_s: float = NOON
    technicians: dict[UUID, Technician] = field(default_factory=dict)
    phones: dict[UUID, Phone] = field(default_factory=dict)
    jobs: dict[UUID, Job] = field(default_factory=dict)
    links: dict[UUID, LinkRow] = field(default_factory=dict)
    unsent: dict[UUID, list[Fix | Tap]] = field(default_factory=dict)
    stored: dict[tuple[UUID, int], Fix] = field(default_factory=dict)
    fixes: list[tuple[UUID, Fix]] = field(default_factory=list)
    shift_taps: dict[UUID, list[Tap]] = field(default_factory=dict)
    drives: dict[UUID, Drive] = field(default_factory=dict)

    @classmethod
    def with_a_firm(cls) -> World:
        world = cls()
        for n in (10, 11):
            id_ = UUID(int=n)
            world.technicians[id_] = Technician(id_, ORGANISATION, 0, Checkpoint(), (), ())
            world.phones[id_] = Phone(Device(UUID(int=n + 10), ORGANISATION, id_), "", stream_of(NOON))
            world.unsent[id_], world.shift_taps[id_] = [], []
        for n in (30, 31, 32):
            id_ = UUID(int=n)
            place = Geofence(HOME[0], HOME[1] + (n - 30) * STREET_M / 111_320)
            window = (NOON + 1800.0, NOON + 5400.0)
            world.jobs[id_] = Job(id_, State.scheduled, 1, place, promise=1, promised=window)
            world.links[id_] = LinkRow(UUID(int=n + 10), ORGANISATION, id_, UUID(int=60), None, False)
        return world

    def tap(self, technician_id: UUID, kind: TapKind, job_id: UUID | None = None, **said: Any) -> None:
        """The technician taps, never twice in one instant; the phone keeps it until it is sent."""
        self.now_s += 0.01
        self.unsent[technician_id].append(self.phones[technician_id].tap(self.now_s, kind, job_id, **said))

    def fix(self, technician_id: UUID, north_m: float, accuracy_m: float) -> None:
        self.unsent[technician_id].append(self.phones[technician_id].fix(self.now_s, north_m, accuracy_m=accuracy_m))

    def send(self, technician_id: UUID, newest_first: bool = False) -> None:
        """Everything the phone holds; or all taps, which travel first and in order, and the newer half of the fixes."""
        held = self.unsent[technician_id]
        taps = [item for item in held if isinstance(item, Tap)]
        fixes = [item for item in held if isinstance(item, Fix)]
        cut = len(fixes) // 2 if newest_first else 0
        self.unsent[technician_id], fixes = list(fixes[:cut]), fixes[cut:]
        turn = Turn.of(self._as_stored(technician_id), self.now_s)
        delivery = self.phones[technician_id].delivery(self.now_s, fixes, taps)
        turn.take(delivery, TapReceipt(frozenset(tap.seq for tap in taps)))
        self.stored |= {(technician_id, fix.seq): fix for fix in trusted(turn)}
        lane = [
            fix for part in turn.lanes for fix in self._stretch(technician_id, part.stretch.first, part.stretch.last)
        ]
        assessment = turn.assess(lane, eta.DEFAULT)
        self.technicians[technician_id] = turn.after(assessment)
        self.fixes += [(technician_id, fix) for fix in fixes]
        self.shift_taps[technician_id] += [tap for tap in taps if tap.job_id is None]
        self._apply(assessment)

    def sweep(self) -> None:
        """The clock's path, for both technicians."""
        for id_ in self.technicians:
            technician = self._as_stored(id_)
            checkpoint, stretches = give_up_gaps(technician.checkpoint, self.now_s)
            lane = [fix for stretch in stretches for fix in self._stretch(id_, stretch.first, stretch.last)]
            assessment = pass_time(checkpoint, technician.jobs, lane, self.now_s)
            self.technicians[id_] = technician._replace(checkpoint=assessment.checkpoint)
            self._apply(assessment)

    def assign(self, job_id: UUID, technician_id: UUID, stop_number: int | None) -> None:
        job = self.jobs[job_id]
        stops = [other for other in self.jobs.values() if other.technician_id in (technician_id, job.technician_id)]
        assessment = assign(job, [stop for stop in stops if stop.technician_id], technician_id, stop_number, self.now_s)
        if assessment is not None:
            self._apply(assessment)
            self.drives[job_id] = Drive(technician_id)

    def end_link(self, job_id: UUID, *, revoke: bool) -> None:
        expires_s = None if revoke else self.now_s
        self.links[job_id] = replace(self.links[job_id], revoked=revoke, expires_s=expires_s)

    def view(self, job_id: UUID) -> JobView:
        """What a read of the store gives a viewer."""
        job = self.jobs[job_id]
        card, version, shift, position, stops = None, 0, None, None, ()
        if job.technician_id is not None:
            technician = self._as_stored(job.technician_id)
            card = TechnicianCard(technician.id, "Ana Sousa", None, None)
            version, shift, stops = technician.version, open_shift(technician.shifts), technician.jobs
            fix = technician.checkpoint.position
            if fix is not None:
                position = Position(ORGANISATION, technician.id, version, fix.time_s, fix.lon, fix.lat, None, None)
        return JobView(
            ORGANISATION,
            Firm("Ribeira"),
            job,
            Details("Leaking tap"),
            "UTC",
            None,
            card,
            version,
            stops,
            shift,
            position,
        )

    def _as_stored(self, technician_id: UUID) -> Technician:
        own = tuple(job for job in self.jobs.values() if job.technician_id == technician_id)
        return self.technicians[technician_id]._replace(jobs=own)

    def _stretch(self, technician_id: UUID, first: int, last: int) -> list[Fix]:
        numbers = [(technician_id, seq) for seq in range(first, last + 1)]
        return sorted((self.stored[key] for key in numbers if key in self.stored), key=lambda fix: fix.time_s)

    def _apply(self, assessment: Assessment) -> None:
        self.jobs |= assessment.jobs
        for item in assessment.happenings:
            drive = self.drives.get(item.after.id)
            if drive is not None and item.event.kind is EventKind.en_route:
                drive.since_s = item.event.at_s
