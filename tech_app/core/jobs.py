"""Today's and tomorrow's jobs as the phone knows them, what can be tapped on them, and what others changed: pure.

The phone does not wait for the service: a tap changes its own copy at once. What is fetched later is the truth, with
the taps on top that the service had not answered when the fetch began.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Any

from tech_app.core.tap import Tap, TapKind, read_tap


class State(StrEnum):
    """Where a job stands; the words are those of the service."""

    scheduled = "scheduled"
    assigned = "assigned"
    en_route = "en_route"
    arrived = "arrived"
    in_progress = "in_progress"
    completed = "completed"
    cancelled = "cancelled"
    no_access = "no_access"


class Proof(StrEnum):
    """What can be asked for as proof of a visit."""

    photo = "photo"
    signature = "signature"
    note = "note"


class Rule(StrEnum):
    """Whether a proof is asked for."""

    required = "required"
    optional = "optional"
    off = "off"


class Reason(StrEnum):
    """Why a job cannot be done."""

    nobody_home = "nobody_home"
    no_way_in = "no_way_in"
    wrong_address = "wrong_address"
    refused = "refused"
    part_missing = "part_missing"
    unsafe = "unsafe"
    other = "other"


@dataclass(frozen=True, slots=True)
class Note:
    """A line that a customer, a technician or a dispatcher wrote."""

    author: str
    text: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """One visit. `promised` is the window told to the customer; `access` how to get in; `day` an ISO date at the
    door."""

    id: str
    state: State
    version: int
    lat: float
    lon: float
    day: str = ""
    summary: str = ""
    address: str = ""
    customer: str = ""
    phone: str | None = None
    access: str = ""
    stop_number: int | None = None
    promised: tuple[float, float] | None = None
    previous_state: State | None = None
    proof: tuple[tuple[Proof, Rule], ...] = ()
    notes: tuple[Note, ...] = ()
    # Since when the technician waits at a closed door.
    not_home_since_s: float | None = None

    def rule(self, proof: Proof) -> Rule:
        """Optional where nothing was said."""
        return dict(self.proof).get(proof, Rule.optional)


S = State
OPEN = frozenset({S.assigned, S.en_route, S.arrived, S.in_progress})
ENDED = frozenset({S.completed, S.cancelled, S.no_access})
# What a tap may happen in and what it leads to, as the service judges it; None leaves the state.
STEPS: dict[TapKind, tuple[frozenset[State], State | None]] = {
    TapKind.en_route: (frozenset({S.assigned}), S.en_route),
    TapKind.arrived: (frozenset({S.assigned, S.en_route}), S.arrived),
    TapKind.start: (frozenset({S.assigned, S.en_route, S.arrived}), S.in_progress),
    TapKind.done: (OPEN, S.completed),
    TapKind.no_access: (OPEN, S.no_access),
    TapKind.late: (frozenset({S.assigned, S.en_route}), None),
    TapKind.not_home: (frozenset({S.arrived}), None),
    TapKind.note: (OPEN | {S.completed, S.no_access}, None),
}
UNDOABLE = frozenset({S.en_route, S.arrived, S.in_progress, S.completed, S.no_access})
PROGRESS = (S.scheduled, S.assigned, S.en_route, S.arrived, S.in_progress)


def possible_taps(job: Job) -> frozenset[TapKind]:
    """What can be tapped on a job now."""
    taps = {kind for kind, (states, _) in STEPS.items() if job.state in states}
    if job.not_home_since_s is not None:
        taps.discard(TapKind.not_home)
    if job.state in UNDOABLE and job.previous_state is not None:
        taps.add(TapKind.undo)
    return frozenset(taps)


def after_tap(jobs: Sequence[Job], tap: Tap) -> tuple[Job, ...]:
    """The jobs after a tap; the same when it is not possible."""
    job = next((job for job in jobs if job.id == tap.job), None)
    if job is None or tap.kind not in possible_taps(job):
        return tuple(jobs)
    after = _step(job, tap)
    result = tuple(after if other.id == job.id else other for other in jobs)
    if after.state is State.en_route and job.state is not State.en_route:  # one drives to one job at a time
        return tuple(_undo(o) if o.state is State.en_route and o.id != job.id else o for o in result)
    return result


def _step(job: Job, tap: Tap) -> Job:
    match tap.kind:
        case TapKind.undo:
            return _undo(job)
        case TapKind.not_home:
            return replace(job, not_home_since_s=tap.time_s)
        case TapKind.note if tap.text and not any(note.text == tap.text for note in job.notes):
            return replace(job, notes=(*job.notes, Note("technician", tap.text, tap.time_s)))
    _, target = STEPS[tap.kind]
    if target is None:
        return job
    return replace(job, state=target, previous_state=job.state, not_home_since_s=None)


def _undo(job: Job) -> Job:
    return replace(job, state=job.previous_state or State.assigned, previous_state=None, not_home_since_s=None)


def waited_s(job: Job, now_s: float) -> float | None:
    """How long the technician has waited at a closed door; None when they do not."""
    return None if job.not_home_since_s is None else max(0.0, now_s - job.not_home_since_s)


def missing_proof(job: Job, given: Collection[Proof]) -> list[Proof]:
    """What is required before the job is done, and not there yet."""
    return [proof for proof in Proof if job.rule(proof) is Rule.required and proof not in given]


# ---- what others changed ----


class News(StrEnum):
    """What a technician is told of a job that changed without them."""

    new = "new"
    gone = "gone"  # somebody else's now, or nobody's
    cancelled = "cancelled"
    taken_back = "taken_back"  # an earlier state than the phone showed
    window = "window"
    place = "place"
    order = "order"
    access = "access"
    note = "note"


@dataclass(frozen=True, slots=True)
class Tiding:
    """A piece of news about a job, as it is now or was last; `taps` on it are kept by the service without effect."""

    news: News
    job: Job
    before: Job | None = None
    taps: tuple[Tap, ...] = ()


def merge(
    cached: Sequence[Job], fetched: Sequence[Job], pending: Sequence[Tap]
) -> tuple[tuple[Job, ...], list[Tiding]]:
    """The jobs after a fetch, in their order, and what to tell.

    `pending` are the taps that the service had not answered when the fetch began: it may or may not have them by now,
    and either way the result is the same.
    """
    known = {job.id: job for job in cached}
    jobs = _with_taps(tuple(_with_local(job, known.get(job.id)) for job in fetched), pending, known)
    here = {job.id for job in jobs}
    tidings = []
    for job in cached:
        taps = tuple(tap for tap in pending if tap.job == job.id)
        if job.id not in here and (taps or job.state not in ENDED):
            tidings.append(Tiding(News.gone, job, taps=taps))
    for job in jobs:
        before = known.get(job.id)
        tidings += [Tiding(news, job, before) for news in _changes(before, job)]
    return tuple(sorted(jobs, key=lambda job: (job.day, job.stop_number or 0, job.id))), tidings


def _with_taps(jobs: tuple[Job, ...], pending: Sequence[Tap], known: Mapping[str, Job]) -> tuple[Job, ...]:
    """The jobs with the taps that the service had not seen: as many of the last ones as lead nearest to what the phone
    shows. A tap made twice is not always the same as once: a drive that was taken back would begin again."""
    tapped = {tap.job for tap in pending}

    def unlike_shown(jobs: tuple[Job, ...]) -> int:
        mine = [(job, known[job.id]) for job in jobs if job.id in tapped and job.id in known]
        return sum(2 * (a.state is not b.state) + (a.previous_state is not b.previous_state) for a, b in mine)

    readings = [reduce(after_tap, pending[seen:], jobs) for seen in range(len(pending) + 1)]
    return min(readings, key=unlike_shown)


def _with_local(fetched: Job, cached: Job | None) -> Job:
    """The waiting timer is the phone's own."""
    if cached is None or cached.state is not fetched.state:
        return fetched
    return replace(fetched, not_home_since_s=cached.not_home_since_s)


def _changes(before: Job | None, now: Job) -> Iterable[News]:
    if before is None:
        if now.state in OPEN:
            yield News.new
        return
    if now.state is State.cancelled and before.state is not State.cancelled:
        yield News.cancelled
        return
    if _is_earlier(now.state, before.state):
        yield News.taken_back
    if now.state in ENDED:
        return
    if now.promised != before.promised:
        yield News.window
    if (now.address, now.lat, now.lon) != (before.address, before.lat, before.lon):
        yield News.place
    if now.stop_number != before.stop_number or now.day != before.day:
        yield News.order
    if now.access != before.access:
        yield News.access
    if any(note.author != "technician" for note in now.notes if note not in before.notes):
        yield News.note


def _is_earlier(now: State, before: State) -> bool:
    if now not in PROGRESS:
        return False
    return before in ENDED or PROGRESS.index(now) < PROGRESS.index(before)


# ---- JSON ----


def write_jobs(jobs: Sequence[Job]) -> str:
    """As `read_jobs` reads them."""
    return json.dumps({"jobs": [{**asdict(job), "proof": dict(job.proof)} for job in jobs]})


def read_jobs(text: str) -> tuple[Job, ...]:
    """The jobs of an answer of the service. What is not known is passed over; raises ValueError when it is none."""
    try:
        return tuple(_read_job(said) for said in json.loads(text)["jobs"])
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"these are no jobs ({error!r})") from error


def write_tiding(tiding: Tiding) -> str:
    """As `read_tiding` reads it."""
    jobs = [tiding.job] if tiding.before is None else [tiding.job, tiding.before]
    said = {"news": tiding.news, "jobs": write_jobs(jobs), "taps": [tap.to_json() for tap in tiding.taps]}
    return json.dumps(said)


def read_tiding(text: str) -> Tiding:
    """The reverse of `write_tiding`."""
    said = json.loads(text)
    job, *before = read_jobs(said["jobs"])
    return Tiding(News(said["news"]), job, before[0] if before else None, tuple(map(read_tap, said["taps"])))


def _read_job(said: dict[str, Any]) -> Job:
    known = {name: said[name] for name in Job.__slots__ if said.get(name) is not None}
    known |= {"state": State(said["state"]), "lat": float(said["lat"]), "lon": float(said["lon"])}
    if "previous_state" in known:
        known["previous_state"] = State(known["previous_state"])
    if "promised" in known:
        earliest_s, latest_s = known["promised"]
        known["promised"] = (float(earliest_s), float(latest_s))
    proof = said.get("proof") or {}
    known["proof"] = tuple((name, Rule(proof[name])) for name in Proof if name in proof)
    known["notes"] = tuple(Note(note["author"], note["text"], note["time_s"]) for note in said.get("notes") or ())
    return Job(**known)
