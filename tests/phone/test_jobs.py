"""Jobs on the phone: a tap shows at once, what others changed is told, and nothing is lost in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tech_app.core.jobs import (
    STEPS,
    UNDOABLE,
    Job,
    News,
    Note,
    Proof,
    Rule,
    State,
    after_tap,
    merge,
    missing_proof,
    possible_taps,
    read_jobs,
    waited_s,
    write_jobs,
)
from tech_app.core.tap import Tap, TapKind
from tests.support.phone_clock import NOON_S
from tracking_server.domain import job as service
from tracking_server.domain.events import EVENT_OF_TAP, Cause, Event
from tracking_server.domain.geofence import Geofence

EXAMPLE = Path(__file__).parents[1] / "contract" / "examples" / "jobs_answer.json"
FIRST = Job("a", State.assigned, 1, 41.15, -8.61, "2026-01-27", stop_number=1)
SECOND = replace(FIRST, id="b", stop_number=2)
JOB_TAPS = [TapKind.en_route, TapKind.arrived, TapKind.start, TapKind.done, TapKind.no_access, TapKind.undo]


def tap(kind: TapKind, job: str = "a", at_s: float = 0.0, text: str | None = None) -> Tap:
    return Tap(NOON_S + at_s, kind, job, text=text)


def after(jobs: Sequence[Job], *taps: Tap) -> dict[str, State]:
    """The states after these taps."""
    for one in taps:
        jobs = after_tap(jobs, one)
    return {job.id: job.state for job in jobs}


def news(cached: Sequence[Job], fetched: Sequence[Job], *pending: Tap) -> list[News]:
    return [tiding.news for tiding in merge(cached, fetched, pending)[1]]


def test_the_example_answer_is_read() -> None:
    """Every field of the example means what it says, and comes back as it was kept."""
    today, tomorrow = read_jobs(EXAMPLE.read_text())
    assert (today.state, today.previous_state, today.promised) == (
        State.en_route,
        State.assigned,
        (1769500800, 1769504400),
    )
    assert (today.customer, today.access) == ("Maria Lopes", "gate code 12, dog in the yard")
    assert today.notes == (Note("customer", "the bell is broken", 1769499000),)
    assert [today.rule(proof) for proof in Proof] == [Rule.required, Rule.optional, Rule.off]
    assert (tomorrow.day, tomorrow.stop_number, tomorrow.phone) == ("2026-01-28", None, None)
    assert read_jobs(write_jobs([today, tomorrow])) == (today, tomorrow)
    nowhere = '{"jobs": [{"id": "a", "state": "assigned", "version": 1, "lat": "here", "lon": 2}]}'
    for nothing in (
        "{}",
        "[]",
        '{"jobs": [{}]}',
        "<html>",
        '{"jobs": [{"id": "a", "state": "odd"}]}',
        nowhere,
        "[" * 9000,
    ):
        with pytest.raises(ValueError, match=r".+"):
            read_jobs(nothing)


def test_the_phone_judges_taps_as_the_service_does() -> None:
    """For every state and tap: possible on both sides or on none, and it leads to the same state."""
    for state in State:
        for kind in JOB_TAPS:
            previous = State.assigned if state in UNDOABLE else None
            phones = after([replace(FIRST, state=state, previous_state=previous)], tap(kind))["a"]
            theirs = service.Job(
                UUID(int=1),
                service.State(state),
                1,
                Geofence(0, 0),
                previous_state=None if previous is None else service.State(previous),
            )
            moved = service.advance(theirs, Event(EVENT_OF_TAP[kind.value], NOON_S, Cause.tap))  # type: ignore[index]
            assert phones == (state if moved is None else moved.state), (state, kind)
    assert set(STEPS) | {TapKind.undo} >= set(JOB_TAPS)


def test_a_day_of_taps() -> None:
    """To the door, a mistake undone, and on to the next: one drives to one job at a time."""
    jobs = (FIRST, SECOND)
    to_first = tap(TapKind.en_route)
    assert after(jobs, to_first) == {"a": State.en_route, "b": State.assigned}
    assert after(jobs, to_first, tap(TapKind.en_route, "b")) == {"a": State.assigned, "b": State.en_route}
    assert after(jobs, to_first, tap(TapKind.arrived), tap(TapKind.undo)) == {"a": State.en_route, "b": State.assigned}
    assert after(jobs, tap(TapKind.done), tap(TapKind.start)) == {"a": State.completed, "b": State.assigned}
    assert after(jobs, tap(TapKind.done, "nobody's")) == after(jobs)


def test_the_wait_at_a_closed_door_is_timed() -> None:
    """From the tap on, until somebody opens; it survives a fetch."""
    there = replace(FIRST, state=State.arrived)
    (waiting,) = after_tap([there], tap(TapKind.not_home))
    assert waited_s(waiting, NOON_S + 600) == 600
    assert TapKind.not_home not in possible_taps(waiting)
    (fetched,), _ = merge([waiting], [there], [])
    assert waited_s(fetched, NOON_S + 60) == 60
    (begun,) = after_tap([waiting], tap(TapKind.start, at_s=700))
    assert waited_s(begun, NOON_S + 800) is None


def test_required_proof_is_missed() -> None:
    """Only what is required, and only until it is there."""
    job = replace(FIRST, proof=((Proof.photo, Rule.required), (Proof.signature, Rule.optional)))
    assert missing_proof(job, []) == [Proof.photo]
    assert missing_proof(job, [Proof.photo]) == []
    assert missing_proof(FIRST, []) == []


def test_what_others_changed_is_told() -> None:
    """Each kind of change in its own words; what the phone did itself is no news."""
    assert news([FIRST], [FIRST]) == []
    assert news([], [FIRST]) == [News.new]
    assert news([FIRST, SECOND], [FIRST]) == [News.gone]
    assert news([replace(FIRST, state=State.completed)], []) == []
    assert news([FIRST], [replace(FIRST, state=State.cancelled)]) == [News.cancelled]
    assert news([replace(FIRST, state=State.arrived)], [FIRST]) == [News.taken_back]
    assert news([replace(FIRST, state=State.en_route)], [replace(FIRST, state=State.arrived)]) == []
    assert news([FIRST], [replace(FIRST, promised=(1.0, 2.0))]) == [News.window]
    assert news([FIRST], [replace(FIRST, lat=41.2, address="next door")]) == [News.place]
    assert news([FIRST], [replace(FIRST, stop_number=3)]) == [News.order]
    assert news([FIRST], [replace(FIRST, access="gate code 7")]) == [News.access]
    written = replace(FIRST, notes=(Note("customer", "ring twice", 1.0), Note("technician", "done", 2.0)))
    assert news([FIRST], [written]) == [News.note]
    assert news([written], [written]) == []
    assert news([FIRST], [replace(FIRST, notes=written.notes[1:])]) == []


def test_a_job_given_to_somebody_else_takes_its_taps_along() -> None:
    """What was tapped on it while the phone was away is named, so that the technician knows."""
    done = tap(TapKind.done)
    jobs, (tiding,) = merge([replace(FIRST, state=State.completed)], [], [done])
    assert jobs == ()
    assert (tiding.news, tiding.job.id, tiding.taps) == (News.gone, "a", (done,))


def test_a_note_is_not_written_twice() -> None:
    """The service may have it already when the jobs are fetched."""
    note = tap(TapKind.note, text="valve behind the fridge")
    (job,) = after_tap([FIRST], note)
    (merged,), tidings = merge([job], [job], [note])
    assert merged.notes == (Note("technician", "valve behind the fridge", NOON_S),)
    assert tidings == []


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.builds(tap, st.sampled_from(JOB_TAPS), st.sampled_from("ab")), max_size=8), st.integers(0, 8))
def test_it_makes_no_difference_how_far_the_service_was(taps: list[Tap], answered: int) -> None:
    """Whichever of the waiting taps it had when it told the jobs, the phone shows the same."""
    local: Sequence[Job] = (FIRST, SECOND)
    theirs, made = local, list[Tap]()
    for one in taps:
        if one.kind not in possible_taps(next(job for job in local if job.id == one.job)):
            continue  # nobody could
        local = after_tap(local, one)
        theirs = after_tap(theirs, one) if len(made) < answered else theirs
        made.append(one)
    merged, tidings = merge(local, theirs, made)
    assert {job.id: job.state for job in merged} == {job.id: job.state for job in local}
    assert tidings == []
