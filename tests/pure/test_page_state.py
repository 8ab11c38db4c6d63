"""What the page shows, and when a position may be seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from uuid import UUID

from tracking_server.domain.audience import Sight, link_ends_s, may_see_position, positions_seen_from_s
from tracking_server.domain.eta import Window
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.page_state import EXPIRED, PageState, Showing, page_state
from tracking_server.domain.shift import Shift

NOW = 1_000_000.0
ETA = Window(NOW + 301, NOW + 600, NOW + 901, 0.8)
JOB = Job(UUID(int=1), State.en_route, 1, Geofence(-8.61, 41.14), promised=(NOW, NOW + 3600), eta=ETA)
DRIVING = Sight(State.en_route, 0, on_shift=True, on_break=False, link_expires_s=None, position_s=NOW - 5)


def of(job: Job, sight: Sight, *, today: bool = True) -> PageState:
    return page_state(job, replace(sight, state=job.state), NOW, today=today)


def test_a_position_is_seen_only_on_the_drive_to_this_customer() -> None:
    """Of all combinations, exactly one kind opens: en route, next, at work, no break, a living link."""
    for state, before, on_shift, on_break, expires_s, revoked in product(
        State, (0, 1), (True, False), (True, False), (None, NOW - 1, NOW + 1), (True, False)
    ):
        sight = Sight(state, before, on_shift, on_break, expires_s, revoked, position_s=NOW - 5)
        alive = not revoked and expires_s != NOW - 1
        entitled = state is State.en_route and before == 0 and on_shift and not on_break and alive
        assert may_see_position(sight, NOW) == entitled
        page = of(replace(JOB, state=state), sight)
        assert page.position == entitled
        if not alive:
            assert page == EXPIRED


def test_an_old_position_is_said_to_be_old_and_then_hidden() -> None:
    """From one minute on with its age, from three minutes on not at all."""
    times = [*(NOW - age_s for age_s in (60.0, 61.0, 180.0, 181.0)), None]
    shown = [of(JOB, replace(DRIVING, position_s=time_s)) for time_s in times]
    assert [(page.position, page.stale, page.paused) for page in shown] == [
        (True, False, False),
        (True, True, False),
        (True, True, False),
        (False, True, True),
        (False, False, True),
    ]


def test_a_position_from_before_the_drive_is_not_seen() -> None:
    """It is another customer's door, the technician's own, or where they had lunch."""
    shift = Shift(NOW - 600, breaks=((NOW - 400, NOW - 300), (NOW - 200, None)))
    assert positions_seen_from_s(None, None) == 0.0
    assert positions_seen_from_s(NOW - 700, shift) == NOW - 300
    assert positions_seen_from_s(NOW - 700, Shift(NOW - 600)) == NOW - 600
    assert positions_seen_from_s(NOW - 100, shift) == NOW - 100
    early = replace(DRIVING, seen_from_s=NOW - 4)
    assert [of(JOB, sight).position for sight in (DRIVING, replace(DRIVING, seen_from_s=NOW - 5), early)] == [
        True,
        True,
        False,
    ]
    assert of(JOB, early).paused
    assert not of(JOB, early).stale


def test_each_state_of_the_job_has_its_page() -> None:
    """Today begins with the shift on the promised day; arriving is said once it was seen."""
    assigned = replace(JOB, state=State.assigned)
    assert of(assigned, DRIVING).showing is Showing.today
    assert of(assigned, replace(DRIVING, on_shift=False)).showing is Showing.scheduled
    assert of(assigned, DRIVING, today=False).showing is Showing.scheduled
    assert of(JOB, DRIVING, today=False).showing is Showing.en_route
    assert of(replace(JOB, arriving_at_s=NOW), DRIVING).showing is Showing.arriving
    for state in (State.arrived, State.in_progress, State.completed, State.cancelled, State.no_access):
        assert of(replace(JOB, state=state), DRIVING).showing is Showing(state.value)


def test_a_window_is_shown_while_it_is_waited_for() -> None:
    """The promise first, the estimate when there is one, none from the arrival on."""
    assert of(replace(JOB, state=State.scheduled), DRIVING).window == JOB.promised
    assert of(replace(JOB, eta=None), DRIVING).window == JOB.promised
    assert of(JOB, DRIVING).window == (ETA.earliest_s, ETA.latest_s)
    assert of(replace(JOB, state=State.arrived), DRIVING).window is None


def test_a_window_without_a_position_tells_no_distance() -> None:
    """On a break, off shift, after a silence, and before the drive: out to whole five minutes, and the drive paused."""
    for state, hidden in (
        (State.assigned, DRIVING),
        (State.en_route, replace(DRIVING, on_break=True)),
        (State.en_route, replace(DRIVING, on_shift=False)),
        (State.en_route, replace(DRIVING, position_s=NOW - 181)),
        (State.en_route, replace(DRIVING, position_s=None)),
    ):
        page = of(replace(JOB, state=state), hidden)
        assert page.window is not None
        assert page.window[0] <= ETA.earliest_s < ETA.latest_s <= page.window[1]
        assert all(end_s % 300 == 0 for end_s in page.window)
        assert page.paused == (state is State.en_route)


def test_a_link_ends_a_week_after_the_job_or_when_it_is_told_to() -> None:
    """Whichever comes first."""
    assert link_ends_s(None, None) is None
    assert link_ends_s(None, 100.0) == 100.0 + 7 * 86_400
    assert link_ends_s(50.0, 100.0) == 50.0


def test_a_delay_shows_the_new_window_and_strikes_the_old() -> None:
    """The estimate first, the broken promise beside it; the promise made anew while there is no estimate, else none."""
    late = replace(JOB, promise=2, late_promise=1, promised=(NOW + 600, NOW + 1200))
    broken = (NOW - 3600, NOW)
    page = page_state(late, DRIVING, NOW, today=True, broken=broken)
    assert (page.delayed, page.window, page.was) == (True, (ETA.earliest_s, ETA.latest_s), broken)
    unknown = page_state(replace(late, eta=None), DRIVING, NOW, today=True, broken=broken)
    assert (unknown.window, unknown.was) == (late.promised, broken)
    nothing = page_state(replace(late, eta=None, promise=1), DRIVING, NOW, today=True, broken=broken)
    assert (nothing.delayed, nothing.window, nothing.was) == (True, None, broken)
    there = page_state(replace(late, state=State.arrived), replace(DRIVING, state=State.arrived), NOW, today=True)
    assert (there.delayed, there.was) == (False, None)


def test_a_change_of_technician_is_news_while_they_are_awaited() -> None:
    """Not the first assignment, not at the door, and not half a day later."""
    given = replace(JOB, assignment=2, assigned_at_s=NOW - 60)
    assert of(given, DRIVING).reassigned
    assert of(replace(given, arriving_at_s=NOW), DRIVING).reassigned
    assert not of(replace(given, assignment=1), DRIVING).reassigned
    assert not of(replace(given, state=State.arrived), DRIVING).reassigned
    assert not of(replace(given, assigned_at_s=NOW - 13 * 3600), DRIVING).reassigned


def test_an_old_position_widens_the_window() -> None:
    """By as long as nothing was heard: nobody knows what those minutes brought."""
    fresh, stale = (of(JOB, replace(DRIVING, position_s=NOW - age_s)) for age_s in (60.0, 150.0))
    assert fresh.window == (ETA.earliest_s, ETA.latest_s)
    assert stale.window == (ETA.earliest_s, ETA.latest_s + 150.0)
