"""From a technician's taps and fixes to what happened to their jobs: pure, one pass per technician."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tracking_server.domain import eta, geofence
from tracking_server.domain.checkpoint import Checkpoint, Stay
from tracking_server.domain.events import EVENT_OF_TAP, SHIFT_TAPS, Cause, Event, EventKind, Tap, TapKind, TapVerdict
from tracking_server.domain.fix import Fix
from tracking_server.domain.geo import distance_m
from tracking_server.domain.geofence import Presence
from tracking_server.domain.job import ON_SITE, OPEN, Job, State, advance, is_late, late_at_s, next_stop, stops_before

ETA_EVERY_S = 20.0
ARRIVING_WITHIN_S = 300.0  # five minutes
FRESH_S = 60.0  # an older position announces nothing
AT_THE_DOOR_S = 300.0  # who stands still is seen seldom


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that took place, with the job as it was and as it became."""

    before: Job
    after: Job
    event: Event


@dataclass(slots=True)
class Assessment:
    """What one technician's batch came to. `tap_verdicts` names, by stream and seq, the taps that changed nothing.

    `only_eta` says that a job at a new version has another window and is else as it was, for whoever looks at it.
    """

    checkpoint: Checkpoint
    jobs: dict[UUID, Job]
    happenings: list[Happening] = field(default_factory=list)
    tap_verdicts: dict[tuple[int, int], TapVerdict] = field(default_factory=dict)
    only_eta: bool = False

    def happen(self, job: Job, event: Event) -> bool:
        """Let an event happen to a job if it can; says whether it did."""
        after = advance(job, event)
        if after is None:
            return False
        self.jobs[job.id] = after
        self.happenings.append(Happening(job, after, event))
        return True

    def presence(self, job: Job) -> Presence | None:
        """The geofence's memory of this assignment of the job."""
        stay = self.checkpoint.stays.get(job.id)
        return stay.presence if stay is not None and stay.assignment == job.assignment else None

    def remember(self, job: Job, presence: Presence) -> None:
        stays = {**self.checkpoint.stays, job.id: Stay(job.assignment, presence)}
        self.checkpoint = self.checkpoint._replace(stays=stays)


def assess(
    checkpoint: Checkpoint,
    jobs: Collection[Job],
    taps: Sequence[Tap],
    fixes: Sequence[Fix],
    now_s: float,
    correction: eta.Correction,
    *,
    shift_changed: bool,
) -> Assessment:
    """Judge `fixes`, which are trusted and in order, and `taps` between them, then look at the arrival time anew.

    `jobs` are the technician's stops and what they finished lately; `checkpoint` already knows the newest position.
    """
    assessment = Assessment(checkpoint, {job.id: job for job in jobs})
    rest = list(fixes)
    for tap in sorted(taps, key=lambda tap: (tap.time_s, tap.seq)):
        before = [fix for fix in rest if fix.time_s < tap.time_s]
        rest = rest[len(before) :]
        _judge_places(assessment, before)
        _apply_tap(assessment, tap)
    _judge_places(assessment, rest)
    if assessment.checkpoint.position is not None:
        _judge_eta(assessment, assessment.checkpoint.position, now_s, correction)
    _finish(assessment, jobs, now_s, shift_changed=shift_changed)
    assessment.only_eta = not shift_changed and not assessment.happenings
    return assessment


def pass_time(checkpoint: Checkpoint, jobs: Collection[Job], fixes: Sequence[Fix], now_s: float) -> Assessment:
    """The clock's path: a dwell or a departure that ends without another fix, after a gap's `fixes` were judged."""
    assessment = Assessment(checkpoint, {job.id: job for job in jobs})
    _judge_places(assessment, fixes)
    for job in _watched(assessment):
        presence = assessment.presence(job)
        if presence is not None:
            presence, sightings = geofence.tick(job.geofence, presence, now_s)
            assessment.remember(job, presence)
            _apply_sightings(assessment, job.id, sightings, Cause.clock)
    return _finish(assessment, jobs, now_s, shift_changed=False)


def decide(
    checkpoint: Checkpoint, jobs: Collection[Job], job_id: UUID, event: Event, now_s: float
) -> Assessment | None:
    """A dispatcher's word on one of a technician's jobs: cancelled, or its last step taken back.

    None when the job's state does not allow it. Who has no technician yet comes alone, with an empty checkpoint.
    """
    assessment = Assessment(checkpoint, {job.id: job for job in jobs})
    job = assessment.jobs[job_id]
    after = advance(job, event)
    if after is None:
        return None
    if after.state is State.en_route:
        _leave_other_drive(assessment, job, event)
    assessment.happen(job, event)
    if event.kind is EventKind.undone and job.state is State.arrived:
        assessment.remember(job, geofence.undo(assessment.presence(job) or Presence()))
    return _finish(assessment, jobs, now_s, shift_changed=False)


def _judge_places(assessment: Assessment, fixes: Sequence[Fix]) -> None:
    judged = assessment.checkpoint.judged
    fresh = fixes if judged is None else [fix for fix in fixes if fix.time_s > judged.time_s]
    if not fresh:
        return
    for job in _watched(assessment):
        assigned_at_s = job.assigned_at_s or 0.0
        since = [fix for fix in fresh if fix.time_s >= assigned_at_s]
        if since:
            presence = assessment.presence(job) or Presence()
            presence, sightings = geofence.observe_many(job.geofence, presence, since)
            assessment.remember(job, presence)
            _apply_sightings(assessment, job.id, sightings, Cause.geofence)
    assessment.checkpoint = assessment.checkpoint._replace(judged=fresh[-1])


def _watched(assessment: Assessment) -> list[Job]:
    """The stops whose fences matter now: the next one, those the technician is at or was last, and those whose
    baseline (was the technician there already when it was assigned?) is not known yet."""
    ahead = next_stop(assessment.jobs.values())
    return [
        job
        for job in assessment.jobs.values()
        if job is ahead or job.state in ON_SITE or _is_undecided(assessment, job)
    ]


def _is_undecided(assessment: Assessment, job: Job) -> bool:
    known = assessment.presence(job) is not None
    return not known if job.state in OPEN else known


def _apply_sightings(
    assessment: Assessment, job_id: UUID, sightings: Iterable[geofence.Sighting], cause: Cause
) -> None:
    for sighting in sightings:
        event = Event(EventKind(sighting.kind), sighting.at_s, cause, sighting.evidence)
        job = assessment.jobs[job_id]
        if event.kind is not EventKind.arriving or job.arriving_at_s is None:
            assessment.happen(job, event)


def _apply_tap(assessment: Assessment, tap: Tap) -> None:
    if tap.kind in SHIFT_TAPS:
        return
    job = assessment.jobs.get(tap.job_id) if tap.job_id else None
    if job is None:
        assessment.tap_verdicts[tap.stream, tap.seq] = TapVerdict.not_yours
        return
    evidence: dict[str, Any] = {"stream": tap.stream, "seq": tap.seq}
    last = assessment.checkpoint.judged
    if tap.kind is TapKind.en_route and last is not None and tap.time_s - last.time_s < FRESH_S:
        evidence["distance_m"] = round(_away_m(job, last))  # what travel times are learnt from
    if tap.kind in (TapKind.not_home, TapKind.no_access):
        evidence |= _waiting(job, tap, last)
    if tap.kind is TapKind.late:
        evidence["minutes"] = tap.minutes
    event = Event(EVENT_OF_TAP[tap.kind], tap.time_s, Cause.tap, evidence, tap.minutes, tap.text)
    after = advance(job, event)
    if after is None:
        assessment.tap_verdicts[tap.stream, tap.seq] = TapVerdict.not_now
        return
    if after.state is State.en_route:
        _leave_other_drive(assessment, job, event)
    assessment.happen(job, event)
    presence = assessment.presence(job) or Presence()
    if event.kind is EventKind.arrived:
        assessment.remember(job, geofence.tell_arrived(presence, tap.time_s))
    elif event.kind is EventKind.undone and job.state is State.arrived:
        assessment.remember(job, geofence.undo(presence))


def _waiting(job: Job, tap: Tap, last: Fix | None) -> dict[str, Any]:
    """What shows that a technician stood at the door, and for how long."""
    known: dict[str, Any] = {} if tap.reason is None else {"reason": tap.reason}
    if job.not_home_at_s is not None:
        known["waited_s"] = round(max(tap.time_s - job.not_home_at_s, 0.0))
    elif tap.minutes is not None:
        known["waited_s"] = tap.minutes * 60
    if last is not None and abs(tap.time_s - last.time_s) < AT_THE_DOOR_S:
        known |= {"distance_m": round(_away_m(job, last)), "accuracy_m": last.accuracy_m, "fix_time_s": last.time_s}
    return known


def _leave_other_drive(assessment: Assessment, job: Job, event: Event) -> None:
    """A technician drives to one stop at a time: setting off to this one, or being on the way to it again after an
    undo, takes back the other."""
    for other in list(assessment.jobs.values()):
        if other.state is State.en_route and other.id != job.id:
            taken_back = Event(EventKind.undone, event.at_s, event.cause, {**event.evidence, "for_job": str(job.id)})
            # after an undone arrival a tap could take nothing more back: this drive is over all the same
            assessment.happen(replace(other, previous_state=State.assigned), taken_back)


def _judge_eta(assessment: Assessment, position: Fix, now_s: float, correction: eta.Correction) -> None:
    job = next_stop(assessment.jobs.values())
    if job is None or job.state is not State.en_route:
        return
    if job.eta is not None and now_s - (assessment.checkpoint.eta_s or 0) < ETA_EVERY_S:
        return
    away_m = _away_m(job, position)
    travel_s = eta.straight_line_travel_s(away_m, correction)
    window = eta.window(travel_s, position.time_s, now_s, correction)
    assessment.checkpoint = assessment.checkpoint._replace(eta_s=now_s)
    if job.eta is None or eta.moved(job.eta, window):
        job = replace(job, eta=window, eta_made_at_s=now_s, version=job.version + 1)
        assessment.jobs[job.id] = job
    soon = window.likely_s - now_s < ARRIVING_WITHIN_S and now_s - position.time_s < FRESH_S
    if soon and job.arriving_at_s is None:
        evidence = {"likely_s": window.likely_s, "distance_m": round(away_m), "fix_time_s": position.time_s}
        assessment.happen(job, Event(EventKind.arriving, position.time_s, Cause.eta, evidence))


def _away_m(job: Job, position: Fix) -> float:
    """The straight line to the job's door."""
    lon, lat = job.geofence.entrance or (job.geofence.lon, job.geofence.lat)
    return distance_m(position.lon, position.lat, lon, lat)


def _finish(assessment: Assessment, before: Collection[Job], now_s: float, *, shift_changed: bool) -> Assessment:
    for job in list(assessment.jobs.values()):
        if is_late(job, now_s):
            evidence = {"promised": job.promised, "likely_s": job.eta.likely_s if job.eta else None}
            assessment.happen(job, Event(EventKind.delayed, now_s, Cause.clock, evidence))
    touch_neighbours(assessment, before, shift_changed=shift_changed)
    _forget_stays(assessment)
    watched = {job.id for job in _watched(assessment)}
    for job in list(assessment.jobs.values()):
        presence = assessment.presence(job) if job.id in watched else None
        times = [
            geofence.due_s(presence) if presence is not None else None,
            assessment.checkpoint.gap_due_s if job.state in OPEN else None,
            late_at_s(job),
        ]
        due_s = min((at_s for at_s in times if at_s is not None), default=None)
        if job.due_s != due_s:
            assessment.jobs[job.id] = replace(job, due_s=due_s)
    return assessment


def touch_neighbours(assessment: Assessment, before: Collection[Job], *, shift_changed: bool) -> None:
    """A page also shows the shift and how many stops come before: jobs for which these changed are at a new version."""
    if not shift_changed and not assessment.happenings:
        return
    for job in before:
        now = assessment.jobs[job.id]
        if now.technician_id != job.technician_id:
            continue  # given to somebody else just now: told already
        mine_before = [other for other in before if other.technician_id == job.technician_id]
        mine_now = [other for other in assessment.jobs.values() if other.technician_id == job.technician_id]
        moved_up = stops_before(job, mine_before) != stops_before(now, mine_now)
        if moved_up and now.state is State.assigned and stops_before(now, mine_now) == 0:
            last = assessment.happenings[-1].event
            assessment.happen(now, Event(EventKind.next_up, last.at_s, last.cause))
        elif now.version == job.version and now.state in OPEN and (shift_changed or moved_up):
            assessment.jobs[job.id] = replace(now, version=now.version + 1)


def _forget_stays(assessment: Assessment) -> None:
    """Keep the memories of the technician's present jobs only."""
    stays = assessment.checkpoint.stays
    kept = {job.id: stays[job.id] for job in assessment.jobs.values() if assessment.presence(job) is not None}
    if len(kept) != len(stays):
        assessment.checkpoint = assessment.checkpoint._replace(stays=kept)
