"""I8 and I9: every job's events, told again by the domain's own rules, against its row, its audit and its messages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID

from tests.faults.kill.history import Acted, Asked, EventRow, JobRow, MessageRow, Record, Stored
from tests.faults.kill.violation import Violation
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State, advance
from tracking_server.domain.message import Channel, Contact, Message, MessageKind, Reason, Standing, owed_for, why_not

NOWHERE = Geofence(0.0, 0.0)
WORDS = "something"  # what a note said is not kept with its event
NUMBERED_ELSEWHERE = frozenset({MessageKind.reminder, MessageKind.new_link})  # owed by no event of a job
DECIDED_WITHIN_S = 15.0  # between what a worker read of a job and its note that the message was skipped
MAYBE_SENT = "maybe_sent"

Owed = tuple[str, int]  # kind and occasion


@dataclass(frozen=True, slots=True)
class Step:
    """A job as an event left it, from the moment of the commit."""

    since_epoch_s: float
    job: Job


def _since(step: Step) -> float:
    return step.since_epoch_s


@dataclass(slots=True)
class Visit:
    """What became of one job."""

    steps: list[Step]
    last_version: int = 0
    owed: dict[Owed, int] = field(default_factory=dict)  # by which version of the job
    messages: dict[Owed, list[str]] = field(default_factory=lambda: defaultdict(list))

    def within(self, from_epoch_s: float, to_epoch_s: float) -> list[Job]:
        """Everything that the job was between two moments."""
        first = bisect_left(self.steps, from_epoch_s, key=_since) - 1
        return [step.job for step in self.steps[max(first, 0) : bisect_right(self.steps, to_epoch_s, key=_since)]]


class Visits:
    """Takes a history; `check` says what is wrong with jobs and messages at the end of a round."""

    def __init__(self) -> None:
        self.visits: dict[str, Visit] = {}
        self._events = 0
        self._audits: Counter[tuple[str, str, str, str, str | None]] = Counter()  # wanted less found
        self._audit_count = 0
        self._messages: dict[str, MessageRow] = {}
        self._asked: dict[str, list[Asked]] = defaultdict(list)
        self._new_keys: set[str] = set()
        self._acted: list[Acted] = []

    @property
    def sent(self) -> int:
        """How many messages are on record as sent."""
        return sum(row.state == Standing.sent for row in self._messages.values())

    def take(self, record: Record) -> None:
        match record:
            case Asked() if record.taken:
                self._asked[record.key].append(record)
                self._new_keys.add(record.key)
            case Acted() if record.error is None and record.answered_s is not None:
                self._acted.append(record)

    def check(self, stored: Stored) -> Iterator[Violation]:
        if stored.whole:
            stored = self._only_new(stored)
        by_job: dict[str, list[EventRow]] = defaultdict(list)
        for row in stored.events:
            by_job[row.job].append(row)
        rows = {row.job: row for row in stored.jobs}
        for job_id, events in by_job.items():
            if job_id not in rows:
                yield Violation("I9", f"events of job {job_id}, which there is not", stored.at_s)
                continue
            yield from self._tell_again(rows[job_id], events, stored.at_s)
        yield from self._jobs(stored)
        yield from self._audit(stored)
        yield from self._answered(stored, rows)
        yield from self._owed(stored)
        yield from self._sent(stored)

    def _only_new(self, stored: Stored) -> Stored:
        """Of a whole reading what was not looked at before; the counts tell whether the rest is still there."""
        last_audits = stored.audits[self._audit_count :]
        return replace(stored, events=stored.events[self._events :], audits=last_audits)

    # ---- I9 ----

    def _tell_again(self, row: JobRow, events: list[EventRow], at_s: float) -> Iterator[Violation]:
        """The job's events in the order of its versions, each of which must be possible where it comes."""
        visit = self.visits.get(row.job)
        if visit is None:
            draft = Job(UUID(row.job), State.draft, 1, NOWHERE, promised=row.promised)
            visit = self.visits[row.job] = Visit([Step(0.0, draft)])
        for event in sorted(events, key=lambda event: (event.version, event.id)):
            self._events += 1
            before = visit.steps[-1].job
            named = f"event {event.id} ({event.kind}, version {event.version}) of job {row.job}"
            if event.version <= visit.last_version:
                yield Violation("I9", f"{named} comes after version {visit.last_version}", at_s)
            visit.last_version = max(visit.last_version, event.version)
            before, after, what = _happen(before, event)
            if after is None:
                yield Violation(
                    "I9", f"{named} cannot happen in state {before.state} after {before.previous_state}", at_s
                )
                continue
            if what.kind is EventKind.arriving and before.arriving_at_s is not None:
                yield Violation("I9", f"{named} happened before", at_s)
            visit.steps.append(Step(event.committed_epoch_s, after))
            visit.owed |= {(owed.kind.value, owed.occasion): event.version for owed in owed_for(before, after, what)}
            if before.state is not after.state or before.technician_id != after.technician_id:
                self._audits[_move(row.job, event.kind, before, after)] += 1

    def _jobs(self, stored: Stored) -> Iterator[Violation]:
        """Each row is what its events made of it."""
        if stored.event_count != self._events:
            what = f"{stored.event_count} events are stored, and {self._events} were read"
            yield Violation("I9", what, stored.at_s)
        for row in stored.jobs:
            visit = self.visits.get(row.job)
            if visit is None:
                if row.state != State.draft:
                    yield Violation("I9", f"job {row.job} is {row.state}, and nothing happened to it", stored.at_s)
                continue
            job = visit.steps[-1].job
            told = (job.state.value, job.technician_id, job.visit, job.assignment)
            kept = (row.state, _id(row.technician), row.visit, row.assignment)
            if told != kept or row.version < visit.last_version:
                what = (
                    f"job {row.job} is {kept} at version {row.version}; its events to {visit.last_version} say {told}"
                )
                yield Violation("I9", what, stored.at_s)

    def _audit(self, stored: Stored) -> Iterator[Violation]:
        """One row for each transition, and none besides."""
        for row in stored.audits:
            self._audit_count += 1
            self._audits[row.job, row.action, row.from_state, row.to_state, row.technician] -= 1
        if stored.audit_count != self._audit_count:
            what = f"{stored.audit_count} audit rows are stored, and {self._audit_count} were read"
            yield Violation("I9", what, stored.at_s)
        for move, left in self._audits.items():
            if left:
                many = "no audit row" if left > 0 else "an audit row too many"
                yield Violation("I9", f"{many} for {move}", stored.at_s)
        self._audits.clear()  # a transition and its audit row are of one transaction

    def _answered(self, stored: Stored, rows: dict[str, JobRow]) -> Iterator[Violation]:
        """What somebody at the firm was told is done, is done."""
        links = {row.link: row for row in stored.links}
        for acted in self._acted:
            row = rows.get(acted.job)
            if row is None or row.version < (acted.version or 0):
                found = None if row is None else row.version
                what = f"{acted.what} of job {acted.job} was answered at version {acted.version}, and it is at {found}"
                yield Violation("I9", what, acted.answered_s)
            if acted.what == "revoke" and acted.link is not None:
                link = links.get(acted.link)
                if link is None or link.revoked_epoch_s is None:
                    yield Violation("I9", f"link {acted.link} was revoked, and opens", acted.answered_s)
        self._acted = []

    # ---- I8 ----

    def _owed(self, stored: Stored) -> Iterator[Violation]:
        """Each event that makes a message due has one, once for each way and recipient, and there is no other."""
        changed: set[str] = set()
        for row in stored.messages:
            if self._messages.get(row.message) != row:
                changed.add(row.message)
            if row.message not in self._messages and row.job in self.visits:
                self.visits[row.job].messages[row.kind, row.occasion].append(row.message)
            self._messages[row.message] = row
        if stored.message_count != len(self._messages):
            what = f"{stored.message_count} messages are stored, and {len(self._messages)} were read"
            yield Violation("I8", what, stored.at_s)
        for job_id, visit in self.visits.items():
            for kind, occasion in sorted(visit.owed.keys() - visit.messages.keys()):
                yield Violation("I8", f"{kind} {occasion} of job {job_id} happened, and nobody is owed it", stored.at_s)
            for (kind, occasion), ids in visit.messages.items():
                if (kind, occasion) not in visit.owed and kind not in NUMBERED_ELSEWHERE:
                    yield Violation(
                        "I8", f"{kind} {occasion} of job {job_id} is owed, and nothing happened", stored.at_s
                    )
                ways = Counter((self._messages[id_].channel, self._messages[id_].recipient) for id_ in ids)
                for way, times in ways.items():
                    if times > 1:
                        what = f"{kind} {occasion} of job {job_id} is owed {times} times by {way}"
                        yield Violation("I8", what, stored.at_s)
        for id_ in sorted(changed):
            yield from self._settled(self._messages[id_], stored.at_s)
        if stored.whole:
            for row in self._messages.values():
                if row.state == Standing.owed:
                    yield Violation("I8", f"{_told(row)} is still owed after {row.tries} tries", stored.at_s)

    def _settled(self, row: MessageRow, at_s: float) -> Iterator[Violation]:
        """What is on record is what happened: sent when the gateway took it, skipped when the rules say so."""
        keys = [row.message, *(f"{row.message}.{n}" for n in range(1, row.resends + 1))]
        taken = [key for key in keys if key in self._asked]
        match row.state:
            case Standing.sent if not taken:
                yield Violation("I8", f"{_told(row)} is on record as sent, and the gateway never took it", at_s)
            case Standing.failed:
                yield Violation("I8", f"{_told(row)} failed ({row.reason}), and the gateway refuses nothing", at_s)
            case Standing.skipped if taken and not row.about.get(MAYBE_SENT):
                yield Violation("I8", f"{_told(row)} is on record as skipped ({row.reason}), and was shown", at_s)
            case Standing.skipped if not self._may_skip(row):
                yield Violation("I8", f"{_told(row)} was skipped as {row.reason}, and that is not so", at_s)
        if len(taken) > 1:
            yield Violation("I8", f"{_told(row)} was shown under {len(taken)} keys", at_s)

    def _may_skip(self, row: MessageRow) -> bool:
        """Whether the rules give this reason, of the job as it was when that was decided."""
        visit = self.visits.get(row.job)
        if visit is None or row.settled_epoch_s is None or row.reason is None:
            return False
        if row.reason == Reason.nothing_to_correct:
            return True
        contact = Contact(UUID(row.contact), row.recipient, "en", True, phone=row.recipient) if row.contact else None
        message = Message(
            UUID(row.message), UUID(row.job), MessageKind(row.kind), row.occasion, row.recipient, Standing.owed,
            row.expires_epoch_s, row.about, Standing.sent, Channel(row.channel),
        )  # fmt: skip
        jobs = visit.within(row.settled_epoch_s - DECIDED_WITHIN_S, row.settled_epoch_s + DECIDED_WITHIN_S)
        since = visit.owed.get((row.kind, row.occasion), 0)
        reasons = {why_not(message, contact, job, row.settled_epoch_s) for job in jobs if job.version >= since}
        return row.reason in reasons

    def _sent(self, stored: Stored) -> Iterator[Violation]:
        """What the gateway took since, somebody was owed, in the same words each time."""
        since = {key for key in self._new_keys if self._asked[key][-1].at_s >= stored.at_s}
        for key in sorted(self._new_keys - since):
            asked = self._asked[key]
            row = self._messages.get(key.partition(".")[0])
            if row is None:
                yield Violation("I8", f"the gateway took {key}, which nobody is owed", asked[-1].at_s)
            elif any(one.to != row.recipient for one in asked):
                yield Violation("I8", f"{_told(row)} went to another number", asked[-1].at_s)
            if len({one.text for one in asked}) > 1:
                yield Violation("I8", f"the gateway took {key} with different words", asked[-1].at_s)
        self._new_keys = since


def _happen(job: Job, row: EventRow) -> tuple[Job, Job | None, Event]:
    """The job just before an event, after it (None when it cannot happen), and the event."""
    evidence = row.evidence
    what = Event(
        EventKind(row.kind), row.at_epoch_s, Cause(evidence["cause"]), evidence, evidence.get("minutes"), WORDS
    )  # fmt: skip
    job = replace(job, version=row.version - 1)  # an estimate or a revoked link counts it up without an event
    if what.kind is EventKind.undone and "for_job" in evidence:
        job = replace(job, previous_state=State.assigned)  # as the domain does with a drive that ends for another one
    after = advance(job, what)
    if after is not None and what.kind in (EventKind.assigned, EventKind.reassigned):
        after = replace(after, technician_id=UUID(evidence["to"]))
    if after is not None and what.kind is EventKind.scheduled:
        after = replace(after, promise=1)
    return job, after, what


def _move(job_id: str, kind: str, before: Job, after: Job) -> tuple[str, str, str, str, str | None]:
    technician = None if after.technician_id is None else str(after.technician_id)
    return job_id, kind, before.state.value, after.state.value, technician


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _told(row: MessageRow) -> str:
    return f"message {row.message} ({row.kind} {row.occasion} of job {row.job} by {row.channel})"
