"""The job's state machine."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from tracking_server.domain.eta import Window
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State, advance, is_late, late_at_s, next_stop, stops_before
from tracking_server.domain.message import MessageKind, owed_for

JOB = Job(UUID(int=1), State.assigned, 3, Geofence(-8.61, 41.14), UUID(int=9), 1, assignment=1)


def after(job: Job, *kinds: EventKind) -> Job:
    for n, kind in enumerate(kinds):
        advanced = advance(job, Event(kind, 100.0 + n, Cause.tap))
        assert advanced is not None, kind
        assert advanced.version == job.version + 1
        job = advanced
    return job


def test_a_visit_from_door_to_done() -> None:
    """Each step has its time."""
    job = after(JOB, EventKind.en_route, EventKind.arriving, EventKind.arrived, EventKind.started, EventKind.completed)
    times = (job.en_route_at_s, job.arriving_at_s, job.arrived_at_s, job.started_at_s, job.ended_at_s)
    assert (job.state, times) == (State.completed, (100.0, 101.0, 102.0, 103.0, 104.0))


@pytest.mark.parametrize("ended", [State.completed, State.cancelled, State.no_access])
def test_what_is_over_stays_over(ended: State) -> None:
    """Nothing but an undo leads out of an end."""
    job = replace(JOB, state=ended)
    for kind in EventKind:
        advanced = advance(job, Event(kind, 1.0, Cause.tap))
        assert advanced is None or advanced.state is ended or kind is EventKind.undone, kind


def test_an_arrival_after_an_undone_one_belongs_to_a_new_visit() -> None:
    """So that it is told again."""
    arrived = after(JOB, EventKind.en_route, EventKind.arriving, EventKind.arrived)
    undone = after(arrived, EventKind.undone)
    assert (undone.state, undone.arrived_at_s, undone.visit) == (State.en_route, None, 2)
    assert after(undone, EventKind.arriving, EventKind.arrived).visit == 2
    assert advance(undone, Event(EventKind.undone, 1.0, Cause.tap)) is None, "one step back, not two"


def test_a_reassigned_job_forgets_the_drive_to_it() -> None:
    """The new technician begins at the beginning; the assignment is counted."""
    moving = replace(after(JOB, EventKind.en_route), eta=Window(1.0, 2.0, 3.0, 0.8))
    given = after(moving, EventKind.reassigned)
    assert (given.state, given.en_route_at_s, given.eta, given.assignment) == (State.assigned, None, None, 2)
    assert advance(replace(JOB, state=State.in_progress), Event(EventKind.reassigned, 1.0, Cause.dispatcher)) is None


def test_the_next_stop_is_the_one_driven_to_else_the_first_in_order() -> None:
    """And the others count what comes before them."""
    first, second, third = (replace(JOB, id=UUID(int=n), stop_number=n) for n in (1, 2, 3))
    assert next_stop([third, first, second]) == first
    assert [stops_before(job, [third, first, second]) for job in (first, second, third)] == [0, 1, 2]
    driving = replace(third, state=State.en_route)
    assert next_stop([first, second, driving]) == driving
    assert [stops_before(job, [first, second, driving]) for job in (first, second, driving)] == [1, 2, 0]
    done = replace(first, state=State.completed)
    assert [stops_before(job, [done, second, third]) for job in (second, third)] == [0, 1]
    assert next_stop([done]) is None


def test_a_promise_is_broken_once_by_the_clock_or_by_the_expected_time() -> None:
    """Ten minutes past the window; a new promise follows where a window is known."""
    job = replace(JOB, promise=1, promised=(0.0, 1000.0))
    assert (is_late(job, 1599.0), is_late(job, 1600.0)) == (False, True)
    told = after(job, EventKind.delayed)
    assert (told.promise, told.late_promise, late_at_s(told)) == (1, 1, None)
    expected = replace(job, eta=Window(1500.0, 1700.0, 2000.0, 0.8))
    assert is_late(expected, 10.0)
    told = after(expected, EventKind.delayed)
    assert (told.promise, told.late_promise) == (2, 1)
    assert told.promised == (1500.0, 2100.0), "rounded outward to five minutes"
    assert late_at_s(replace(job, state=State.arrived)) is None


def test_what_was_told_of_a_drive_that_is_taken_back_may_be_told_again() -> None:
    """By an undo or a reassignment after the drive began: a new visit; a reassignment before it is none."""
    driving = after(JOB, EventKind.en_route)
    assert after(driving, EventKind.undone).visit == 2
    assert after(driving, EventKind.reassigned).visit == 2
    assert after(JOB, EventKind.reassigned).visit == 1


def test_a_start_that_is_taken_back_takes_back_the_arrival_it_implied() -> None:
    """Started straight from the drive: undone, the job is on the drive again and has not arrived."""
    implied = after(JOB, EventKind.en_route, EventKind.started)
    assert implied.arrived_at_s == implied.started_at_s
    assert after(implied, EventKind.undone).arrived_at_s is None
    seen = after(JOB, EventKind.en_route, EventKind.arrived, EventKind.started, EventKind.undone)
    assert (seen.state, seen.arrived_at_s, seen.started_at_s) == (State.arrived, 101.0, None)


PROMISED = replace(JOB, promise=1, promised=(10_000.0, 13_600.0))


def say_late(job: Job, minutes: int, at_s: float = 9_000.0) -> Job | None:
    return advance(job, Event(EventKind.late, at_s, Cause.tap, minutes=minutes))


def test_a_technicians_word_makes_a_new_promise() -> None:
    """Twenty minutes late is the window twenty minutes later; said again it is nothing new; forty are forty of the
    first window, not sixty; and a smaller number brings it back without a message."""
    late = say_late(PROMISED, 20)
    assert late is not None
    assert (late.promised, late.promise, late.late_promise, late.late_min) == ((11_200.0, 14_800.0), 2, 1, 20)
    assert say_late(late, 20) is None
    later = say_late(late, 40)
    assert later is not None
    assert (later.promised, later.promise, later.late_promise) == ((12_400.0, 16_000.0), 3, 2)
    sooner = say_late(later, 15)
    assert sooner is not None
    assert (sooner.promised, sooner.promise, sooner.late_promise) == ((10_900.0, 14_500.0), 4, 2)
    kinds = [
        [owed.kind for owed in owed_for(before, after, Event(EventKind.late, 9_000.0, Cause.tap))]
        for before, after in ((PROMISED, late), (late, later), (later, sooner))
    ]
    assert kinds == [[MessageKind.delayed], [MessageKind.delayed], []]


def test_up_to_ten_minutes_are_no_news_for_a_customer() -> None:
    """The office sees it; the promise stands, and nobody is told."""
    late = say_late(PROMISED, 10)
    assert late is not None
    assert (late.promised, late.promise, late.late_promise, late.late_min) == (PROMISED.promised, 1, 0, 10)
    assert owed_for(PROMISED, late, Event(EventKind.late, 9_000.0, Cause.tap)) == []


def test_a_delay_that_is_taken_back_is_none() -> None:
    """Twenty minutes late, then on time but for five: the page says nothing of a delay, a message that was not sent yet
    is not true any more, and twenty again are told again."""
    late = say_late(PROMISED, 20)
    assert late is not None
    on_time = say_late(late, 5)
    assert on_time is not None
    assert (on_time.promised, on_time.promise, on_time.late_promise) == (PROMISED.promised, 3, 0)
    again = say_late(on_time, 20)
    assert again is not None
    (owed,) = owed_for(on_time, again, Event(EventKind.late, 9_000.0, Cause.tap))
    assert (owed.kind, owed.occasion) == (MessageKind.delayed, 3)


def test_a_new_window_after_a_broken_promise_is_told() -> None:
    """The clock broke the promise and nothing was known; then the technician says when: another message is owed."""
    broken = after(PROMISED, EventKind.delayed)
    assert (broken.promise, broken.late_promise) == (1, 1)
    late = say_late(broken, 40, at_s=14_300.0)
    assert late is not None
    assert late.promised == (14_300.0 + 2_400 - 3_600, 14_300.0 + 2_400)
    (first,) = owed_for(PROMISED, broken, Event(EventKind.delayed, 14_200.0, Cause.clock))
    (second,) = owed_for(broken, late, Event(EventKind.late, 14_300.0, Cause.tap))
    assert (first.kind, second.kind) == (MessageKind.delayed, MessageKind.delayed)
    assert first.occasion < second.occasion == late.late_promise < late.promise


def test_no_window_is_promised_that_is_over() -> None:
    """Said after the promised window, the minutes count from now."""
    late = say_late(PROMISED, 20, at_s=20_000.0)
    assert late is not None
    assert late.promised == (20_000.0 + 1_200 - 3_600, 20_000.0 + 1_200)


def test_minutes_that_are_none_say_nothing() -> None:
    """Nor does lateness for a visit that has begun; without a promise only the office is told."""
    assert say_late(PROMISED, 0) is None
    assert advance(PROMISED, Event(EventKind.late, 1.0, Cause.tap)) is None
    assert say_late(replace(PROMISED, state=State.arrived), 20) is None
    unpromised = say_late(JOB, 20)
    assert unpromised is not None
    assert (unpromised.promised, unpromised.late_min) == (None, 20)


def test_another_technician_begins_without_the_lateness_of_the_first() -> None:
    """The promise stays as it was told; what the next one says counts from it."""
    late = say_late(PROMISED, 20)
    assert late is not None
    given = after(late, EventKind.reassigned)
    assert (given.late_min, given.promised) == (None, late.promised)


def test_waiting_at_the_door_ends_with_the_next_step() -> None:
    """It begins once, at the door only, and is over when somebody opens, when it is given up, or was no arrival."""
    arrived = after(JOB, EventKind.en_route, EventKind.arrived)
    waiting = after(arrived, EventKind.not_home)
    assert (waiting.state, waiting.not_home_at_s) == (State.arrived, 100.0)
    assert advance(waiting, Event(EventKind.not_home, 200.0, Cause.tap)) is None
    assert advance(JOB, Event(EventKind.not_home, 200.0, Cause.tap)) is None
    for kind in (EventKind.started, EventKind.no_access, EventKind.undone, EventKind.reassigned):
        assert after(waiting, kind).not_home_at_s is None, kind


def test_a_note_moves_nothing() -> None:
    """Before, during and after the visit; an empty one is none."""
    for state in (State.assigned, State.in_progress, State.completed, State.no_access):
        noted = advance(replace(JOB, state=state), Event(EventKind.noted, 1.0, Cause.tap, text="behind the fridge"))
        assert noted == replace(JOB, state=state, version=JOB.version + 1)
    assert advance(JOB, Event(EventKind.noted, 1.0, Cause.tap)) is None
