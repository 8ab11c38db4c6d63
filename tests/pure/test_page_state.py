"""What the page shows, and when a position may be seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from uuid import UUID

from tracking_server.domain.audience import Sight, link_ends_s, may_see_position
from tracking_server.domain.eta import Window
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.page_state import Showing, page_state

NOW = 1_000_000.0
JOB = Job(UUID(int=1), State.en_route, 1, Geofence(-8.61, 41.14), promised=(NOW, NOW + 3600))
DRIVING = Sight(State.en_route, 0, on_shift=True, on_break=False, link_expires_s=None)
ETA = Window(NOW + 300, NOW + 600, NOW + 900, 0.8)


def test_a_position_is_seen_only_on_the_drive_to_this_customer() -> None:
    """Of all combinations, exactly one kind opens: en route, next, at work, no break, a living link."""
    for state, before, on_shift, on_break, expires_s, revoked in product(
        State, (0, 1), (True, False), (True, False), (None, NOW - 1, NOW + 1), (True, False)
    ):
        sight = Sight(state, before, on_shift, on_break, expires_s, revoked)
        alive = not revoked and expires_s != NOW - 1
        entitled = state is State.en_route and before == 0 and on_shift and not on_break and alive
        assert may_see_position(sight, NOW) == entitled
        page = page_state(replace(JOB, state=state), sight, ETA, 5.0, NOW)
        assert page.position == entitled
        if not alive:
            assert page == page_state(JOB, replace(DRIVING, link_revoked=True), None, None, NOW)


def test_an_old_position_is_said_to_be_old_and_then_hidden() -> None:
    """From one minute on with its age, from three minutes on not at all."""
    shown = [page_state(JOB, DRIVING, ETA, age_s, NOW) for age_s in (60.0, 61.0, 180.0, 181.0, None)]
    assert [(page.position, page.stale, page.paused) for page in shown] == [
        (True, False, False),
        (True, True, False),
        (True, True, False),
        (False, True, True),
        (False, False, True),
    ]


def test_each_state_of_the_job_has_its_page() -> None:
    """Today begins with the shift; arriving is said once it was seen."""

    def showing(job: Job, sight: Sight) -> Showing:
        return page_state(job, replace(sight, state=job.state), None, 5.0, NOW).showing

    assert showing(replace(JOB, state=State.assigned), DRIVING) is Showing.today
    assert showing(replace(JOB, state=State.assigned), replace(DRIVING, on_shift=False)) is Showing.scheduled
    assert showing(JOB, DRIVING) is Showing.en_route
    assert showing(replace(JOB, arriving_at_s=NOW), DRIVING) is Showing.arriving
    for state in (State.arrived, State.in_progress, State.completed, State.cancelled, State.no_access):
        assert showing(replace(JOB, state=state), DRIVING) is Showing(state.value)


def test_a_window_is_shown_while_it_is_waited_for() -> None:
    """The promise first, the estimate when there is one, none from the arrival on."""

    def window(state: State, eta: Window | None) -> tuple[float, float] | None:
        return page_state(replace(JOB, state=state), replace(DRIVING, state=state), eta, 5.0, NOW).window

    assert window(State.scheduled, None) == JOB.promised
    assert window(State.en_route, None) == JOB.promised
    assert window(State.en_route, ETA) == (ETA.earliest_s, ETA.latest_s)
    assert window(State.arrived, ETA) is None


def test_a_link_ends_a_week_after_the_job_or_when_it_is_told_to() -> None:
    """Whichever comes first."""
    assert link_ends_s(None, None) is None
    assert link_ends_s(None, 100.0) == 100.0 + 7 * 86_400
    assert link_ends_s(50.0, 100.0) == 50.0
