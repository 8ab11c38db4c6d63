"""I7 and I10: what pages were told, against what the store says and who was entitled to it at that moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from tests.faults.kill.fixes import unsure_s
from tests.faults.kill.history import (
    Back,
    Begun,
    Disturbed,
    Heard,
    JobRow,
    Killed,
    LinkRow,
    Opened,
    Paired,
    Record,
    Stored,
    TechnicianRow,
)
from tests.faults.kill.violation import Violation
from tests.faults.kill.visits import NOWHERE, Visit
from tracking_server import words
from tracking_server.domain.audience import Sight, link_ends_s, positions_seen_from_s
from tracking_server.domain.events import SHIFT_TAPS, Tap, TapKind
from tracking_server.domain.job import Job, State, stops_before
from tracking_server.domain.page_state import PageState, Showing, page_state
from tracking_server.domain.shift import Shift, after_taps, open_shift

ON_ITS_WAY_S = 1.0  # what was sent before a commit may be heard after it
# The same when somebody was killed, as what was not published is found by a look at the store, and on a machine that
# does other things beside; what took longer than a second is counted.
COMPARED_WITHIN_S = 5.0
NOTICED_WITHIN_S = 17.0  # that a link is over, by a ping every 15 s
CLOCKS_S = 0.1  # between the store's time of a commit and ours of what follows from it
PLACE_DECIMALS = 6
GONE = 410

Place = tuple[float, float]


@dataclass(slots=True)
class Fault:
    """Somebody was down, or something stopped; `until_s` is None while that lasts."""

    what: str
    at_s: float
    until_s: float | None = None

    def touches(self, at_s: float) -> bool:
        """Whether what it held up may come at this moment."""
        return self.at_s <= at_s and (self.until_s is None or self.until_s >= at_s - COMPARED_WITHIN_S)


@dataclass(slots=True)
class Subscriber:
    """What one reader's page shows: what a browser's script makes of the updates."""

    link: str = ""
    number: int = 0
    versions: tuple[int, int] = (0, 0)
    status: Heard | None = None
    position: Heard | None = None
    changed_s: float = 0.0
    over: bool = False
    over_s: float = 0.0  # since when
    fresh: bool = True  # nothing was heard of this stream yet

    @property
    def shows(self) -> tuple[str | None, str | None, Place | None]:
        """In which state, whom and where."""
        place = None if self.position is None else (self.position.lon or 0.0, self.position.lat or 0.0)
        return (None, None, place) if self.status is None else (self.status.showing, self.status.technician, place)


@dataclass(slots=True)
class Work:
    """A technician's shifts as their taps make them; `steps` are when that was committed, and whether they are at work
    and not on a break from then on."""

    shifts: list[Shift] = field(default_factory=list)
    steps: list[tuple[float, bool]] = field(default_factory=list)
    taken: set[tuple[str, int, int]] = field(default_factory=set)


@dataclass(slots=True)
class Pages:
    """Takes a history; `check` says what is wrong with pages, `wrong` which are not yet right."""

    offset_s: float = 0.0  # from the history's clock to UTC
    names: dict[str, str] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=lambda: defaultdict(Subscriber))
    right_s: list[float] = field(default_factory=list)  # how long after the last fault and change pages were right
    late: int = 0  # updates heard later than `ON_ITS_WAY_S` after they were forbidden, without a fault
    _places: dict[Place, tuple[str, float]] = field(default_factory=dict)
    _technicians: dict[str, str] = field(default_factory=dict)
    _work: dict[str, Work] = field(default_factory=lambda: defaultdict(Work))
    _heard: list[tuple[str, Heard]] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _back_s: float = 0.0
    _found: list[Violation] = field(default_factory=list)

    def take(self, record: Record) -> None:
        match record:
            case Begun():
                self.offset_s = record.epoch_s - record.at_s
            case Paired():
                self.names[record.technician] = record.name
                self._technicians[record.device] = record.technician
            case Opened():
                self._open(record)
            case Heard():
                self._hear(record)
            case Killed(at_s, victim, _):
                self._faults.append(Fault(victim, at_s))
            case Back(at_s, victim, killed_s):
                self._back_s = at_s
                for fault in self._faults:
                    if fault.what == victim and fault.until_s is None and fault.at_s <= killed_s:
                        fault.until_s = at_s
            case Disturbed(at_s, until_s, what):
                self._faults.append(Fault(what, at_s, until_s))

    # ---- what pages show ----

    def _open(self, opened: Opened) -> None:
        if self.subscribers[opened.subscriber].link != opened.link:
            self.subscribers[opened.subscriber] = Subscriber()
        subscriber = self.subscribers[opened.subscriber]
        subscriber.link, subscriber.number, subscriber.fresh = opened.link, opened.number, True
        subscriber.over, subscriber.over_s = opened.status == GONE, opened.at_s

    def _hear(self, heard: Heard) -> None:
        subscriber = self.subscribers[heard.subscriber]
        if heard.name == "end":
            subscriber.over, subscriber.over_s = True, heard.at_s
            return
        self._heard.append((subscriber.link, heard))
        versions = heard.job_version, heard.technician_version
        named = f"subscriber {heard.subscriber}, stream {heard.number}"
        if subscriber.fresh and heard.name != "status":
            self._found.append(Violation("I7", f"{named} begins with a {heard.name}", heard.at_s))
        if versions < subscriber.versions:
            what = f"{named} is told version {versions} after {subscriber.versions}"
            self._found.append(Violation("I7", what, heard.at_s))
        subscriber.fresh = False
        subscriber.versions = max(versions, subscriber.versions)
        before = subscriber.shows
        if heard.name == "status":
            subscriber.status = heard
            if not heard.position:
                subscriber.position = None
        else:
            subscriber.position = heard
        if subscriber.shows != before:  # other words may come of the time of day
            subscriber.changed_s = heard.at_s

    def wrong(self, stored: Stored) -> dict[str, str]:
        """The subscribers whose page is not right, each with what it shows instead."""
        now_epoch_s = stored.at_s + self.offset_s
        links = {row.link: row for row in stored.links}
        jobs = {row.job: row for row in stored.jobs}
        technicians = {row.technician: row for row in stored.technicians}
        wrong = {}
        for name, subscriber in self.subscribers.items():
            link = links.get(subscriber.link)
            if link is None:
                wrong[name] = f"its link {subscriber.link} is not stored"
                continue
            page, position = expected_page(jobs[link.job], jobs.values(), technicians, link, now_epoch_s)
            if page.showing is Showing.expired and _has_just_ended(link, jobs[link.job], now_epoch_s):
                continue
            why = self._difference(subscriber, page, position, jobs[link.job], stored.at_s)
            if why is not None:
                wrong[name] = why
        return wrong

    def _difference(
        self, subscriber: Subscriber, page: PageState, position: Place | None, job: JobRow, at_s: float
    ) -> str | None:
        if page.showing is Showing.expired:
            return None if subscriber.over else "it is open, and its link is not"
        showing, technician, place = subscriber.shows
        if showing is None:
            return "it was never told anything"
        name = self.names.get(job.technician or "") if page.names_technician else None
        if (showing, technician) != (page.showing.value, name):
            return f"it shows {showing} with {technician}, not {page.showing.value} with {name}"
        if place != position:
            return f"it shows the position {place}, not {position}"
        if subscriber.over and subscriber.over_s <= at_s and page.showing is not Showing.cancelled:
            return f"it was told that nothing more comes, and the visit is {page.showing.value}"
        return None

    # ---- the end of a round ----

    def check(self, stored: Stored, visits: dict[str, Visit], *, emptied: bool) -> Iterator[Violation]:
        for row in stored.fixes:
            place = round(row.lon, PLACE_DECIMALS), round(row.lat, PLACE_DECIMALS)
            self._places[place] = (self._technicians.get(row.device, ""), row.time_epoch_s + unsure_s(row))
        self._follow_shifts(stored)
        yield from self._found
        self._found = []
        links = {row.link: row for row in stored.links}
        for link_id, heard in self._heard:
            link = links.get(link_id)
            if link is None:
                continue  # the subscriber is wrong, and said to be
            visit = visits.get(link.job)
            if visit is None or self._why_not_entitled(heard, link, visit, ON_ITS_WAY_S) is None:
                continue
            why = self._why_not_entitled(heard, link, visit, COMPARED_WITHIN_S)
            if why is None:
                self.late += not any(fault.touches(heard.at_s) for fault in self._faults)
            else:
                named = f"{heard.name} of subscriber {heard.subscriber}, stream {heard.number}"
                yield Violation("I10", f"{named}, for job {link.job}: {why}", heard.at_s)
        self._heard = []
        if emptied:
            wrong = self.wrong(stored)
            for name, why in sorted(wrong.items()):
                if self.subscribers[name].changed_s > stored.at_s:
                    continue  # something happened since: the next round says
                yield Violation("I7", f"the page of subscriber {name} is not right: {why}", stored.at_s)
            self._measure(stored, wrong)
        self._faults = [fault for fault in self._faults if fault.touches(stored.at_s)]

    def _follow_shifts(self, stored: Stored) -> None:
        taps = [tap for tap in stored.taps if tap.kind in SHIFT_TAPS and tap.verdict is None]
        for row in sorted(taps, key=lambda tap: (tap.committed_epoch_s, tap.at_epoch_s)):
            technician = self._technicians.get(row.device, "")
            work = self._work[technician]
            if row[:3] not in work.taken:
                work.taken.add(row[:3])
                work.shifts = after_taps(work.shifts, [Tap(row.stream, row.seq, row.at_epoch_s, TapKind(row.kind))])
                shift = open_shift(work.shifts)
                resting = shift is not None and bool(shift.breaks) and shift.breaks[-1][1] is None
                work.steps.append((row.committed_epoch_s, shift is not None and not resting))

    def _measure(self, stored: Stored, wrong: dict[str, str]) -> None:
        """How long after the victims were back, and all was committed that it shows, each page was right."""
        links = {row.link: row for row in stored.links}
        changed_s: dict[str, float] = defaultdict(float)
        for event in stored.events:
            changed_s[event.job] = max(changed_s[event.job], event.committed_epoch_s - self.offset_s)
        for fix in stored.fixes:
            technician = self._technicians.get(fix.device, "")
            changed_s[technician] = max(changed_s[technician], fix.received_epoch_s - self.offset_s)
        technicians = {row.job: row.technician for row in stored.jobs}
        for name, subscriber in self.subscribers.items():
            if name not in wrong and not subscriber.over:
                job = links[subscriber.link].job
                since_s = max(self._back_s, changed_s[job], changed_s[technicians[job] or ""])
                self.right_s.append(max(subscriber.changed_s - since_s, 0.0))

    def _why_not_entitled(self, heard: Heard, link: LinkRow, visit: Visit, on_its_way_s: float) -> str | None:
        """None when there was a moment, as long ago as an update can be on its way, at which it could be told."""
        to_s = heard.at_s + self.offset_s + CLOCKS_S
        from_s = self._from_s(heard.at_s, on_its_way_s) + self.offset_s - CLOCKS_S
        jobs = visit.within(from_s, to_s)
        if link.revoked_epoch_s is not None and link.changed_epoch_s < from_s:
            return f"the link was revoked at {link.changed_epoch_s - self.offset_s:.3f} s"
        ends = [link_ends_s(link.expires_epoch_s, job.ended_at_s) for job in jobs]
        if all(end_s is not None and end_s < from_s for end_s in ends):
            return "the link was over"
        if heard.name == "status":
            names = {self.names.get(str(job.technician_id)) for job in jobs}
            if heard.technician is not None and heard.technician not in names:
                return f"it names {heard.technician}; the visit was that of {names}"
            return None
        place = (heard.lon or 0.0, heard.lat or 0.0)
        whose, measured_s = self._places.get(place, ("", 0.0))
        if not whose:
            return f"nobody was ever at {place}"
        drives = [job for job in jobs if job.state is State.en_route and str(job.technician_id) == whose]
        if not drives:
            was = {(job.state.value, self.names.get(str(job.technician_id))) for job in jobs}
            return f"it is where {self.names.get(whose)} was; the visit was {was}"
        if all(measured_s < (job.en_route_at_s or 0.0) - CLOCKS_S for job in drives):
            return "it was measured before the drive"
        if not self._was_at_work(whose, from_s, to_s):
            return f"{self.names.get(whose)} was not at work"
        return None

    def _from_s(self, at_s: float, on_its_way_s: float) -> float:
        """Since when what is heard at a moment may have been on its way: a fault holds it up."""
        near = (fault.at_s for fault in self._faults if fault.touches(at_s))
        return min([at_s, *near]) - on_its_way_s if on_its_way_s > ON_ITS_WAY_S else at_s - on_its_way_s

    def _was_at_work(self, technician: str, from_s: float, to_s: float) -> bool:
        """Whether there was a moment between these two at which the taps known then said so."""
        steps = self._work[technician].steps
        first = bisect_left(steps, from_s, key=_since) - 1
        return any(working for _, working in steps[max(first, 0) : bisect_right(steps, to_s, key=_since)])


def _since(step: tuple[float, bool]) -> float:
    return step[0]


def _has_just_ended(link: LinkRow, job: JobRow, now_epoch_s: float) -> bool:
    """Whether only time ended it: a page to which nothing is told hears so with its next ping."""
    ends_s = link_ends_s(link.expires_epoch_s, job.ended_epoch_s)
    return link.revoked_epoch_s is None and ends_s is not None and now_epoch_s - ends_s < NOTICED_WITHIN_S


def expected_page(
    row: JobRow, rows: Iterable[JobRow], technicians: dict[str, TechnicianRow], link: LinkRow, now_epoch_s: float
) -> tuple[PageState, Place | None]:
    """The page of a link by the domain's own function, and the place on its map."""
    job, who = job_of(row), technicians.get(row.technician or "")
    stops = [job_of(other) for other in rows if other.technician is not None and other.technician == row.technician]
    shift = None if who is None or who.shift is None else Shift(who.shift[0], None, who.shift[1])
    sight = Sight(
        state=job.state,
        stops_before=stops_before(job, stops),
        on_shift=shift is not None,
        on_break=shift is not None and shift.on_break(now_epoch_s),
        link_expires_s=link_ends_s(link.expires_epoch_s, job.ended_at_s),
        link_revoked=link.revoked_epoch_s is not None,
        position_s=None if who is None else who.position_epoch_s,
        seen_from_s=positions_seen_from_s(job.en_route_at_s, shift),
    )
    today = job.promised is None or words.same_day(job.promised[0], now_epoch_s, row.time_zone)
    page = page_state(job, sight, now_epoch_s, today=today)
    if who is None or not page.position or who.lon is None or who.lat is None:
        return page, None
    return page, (round(who.lon, PLACE_DECIMALS), round(who.lat, PLACE_DECIMALS))


def job_of(row: JobRow) -> Job:
    """What decides about a page; estimates do not."""
    return Job(
        id=UUID(row.job),
        state=State(row.state),
        version=row.version,
        geofence=NOWHERE,
        technician_id=None if row.technician is None else UUID(row.technician),
        stop_number=row.stop_number,
        previous_state=None if row.previous_state is None else State(row.previous_state),
        visit=row.visit,
        assignment=row.assignment,
        promise=row.promise,
        late_promise=row.late_promise,
        promised=row.promised,
        assigned_at_s=row.assigned_epoch_s,
        en_route_at_s=row.en_route_epoch_s,
        arriving_at_s=row.arriving_epoch_s,
        arrived_at_s=row.arrived_epoch_s,
        started_at_s=row.started_epoch_s,
        ended_at_s=row.ended_epoch_s,
    )
