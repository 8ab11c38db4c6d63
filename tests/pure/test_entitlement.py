"""Nobody sees a position that is not theirs to see, whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.support.world import World
from tracking_server.domain.events import SHIFT_TAPS, Tap, TapKind
from tracking_server.domain.job import State
from tracking_server.push.render import page_of

SEQUENCES = 500
LONG_SEQUENCES = 10_000
TOO_OLD_S = 180.0
TECHNICIANS = st.integers(0, 1)
JOBS = st.integers(0, 2)
WORDS = [TapKind.late, TapKind.not_home, TapKind.note]


class AnyDay(RuleBasedStateMachine):
    """Taps, fixes, reassignments, breaks and expiries in any order, sent at once, late, or newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World.with_a_firm()
        self.technicians = list(self.world.technicians)
        self.jobs = list(self.world.jobs)
        self.ended: set[int] = set()

    @rule(seconds=st.sampled_from([1, 5, 20, 45, 70, 200, 2000]))
    def time_passes(self, seconds: int) -> None:
        self.world.now_s += seconds

    @rule(who=TECHNICIANS, kind=st.sampled_from(sorted(SHIFT_TAPS)))
    def tap_shift(self, who: int, kind: TapKind) -> None:
        self.world.tap(self.technicians[who], kind)

    @rule(who=TECHNICIANS, job=JOBS, kind=st.sampled_from(sorted(set(TapKind) - SHIFT_TAPS)))
    def tap_job(self, who: int, job: int, kind: TapKind) -> None:
        self.world.tap(self.technicians[who], kind, self.jobs[job])

    @rule(who=TECHNICIANS, job=JOBS, minutes=st.sampled_from([0, 5, 20, 90]), kind=st.sampled_from(WORDS))
    def say(self, who: int, job: int, minutes: int, kind: TapKind) -> None:
        self.world.tap(self.technicians[who], kind, self.jobs[job], minutes=minutes, text="the bell is broken")

    @rule(who=TECHNICIANS, job=JOBS)
    def set_off(self, who: int, job: int) -> None:
        """The ordinary morning, so that drives are common."""
        world, technician_id = self.world, self.technicians[who]
        world.assign(self.jobs[job], technician_id, None)
        world.tap(technician_id, TapKind.shift_start)
        world.tap(technician_id, TapKind.en_route, self.jobs[job])
        world.now_s += 5
        world.fix(technician_id, 2_000.0, 10.0)
        world.send(technician_id)

    @rule(who=TECHNICIANS, north_m=st.sampled_from([0.0, 20.0, 140.0, 900.0, 2_990.0, 6_000.0]))
    def fix(self, who: int, north_m: float) -> None:
        self.world.fix(self.technicians[who], north_m, 10.0)

    @rule(who=TECHNICIANS, newest_first=st.booleans())
    def send(self, who: int, newest_first: bool) -> None:
        self.world.send(self.technicians[who], newest_first)

    @rule(job=JOBS, who=TECHNICIANS, stop_number=st.sampled_from([None, 0, 1]))
    def assign(self, job: int, who: int, stop_number: int | None) -> None:
        self.world.assign(self.jobs[job], self.technicians[who], stop_number)

    @rule(job=JOBS, revoke=st.booleans())
    def end_link(self, job: int, revoke: bool) -> None:
        self.world.end_link(self.jobs[job], revoke=revoke)
        self.ended.add(job)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @invariant()
    def nobody_sees_too_much(self) -> None:
        for number, job_id in enumerate(self.jobs):
            view = self.world.view(job_id)
            if page_of(view, self.world.links[job_id], self.world.now_s).position:
                seen.append(job_id)
                assert number not in self.ended, "the link is over"
                self._is_entitled(number)

    def _is_entitled(self, number: int) -> None:
        """By the witness's lists alone: the dispatcher sent this technician, they drive, at work, and the fix is of
        this drive and of no break."""
        world, job_id = self.world, self.jobs[number]
        drive, view = world.drives[job_id], world.view(job_id)
        assert world.jobs[job_id].state is State.en_route
        assert view.technician is not None
        assert view.technician.id == drive.technician_id
        assert view.position is not None
        times = {fix.time_s for technician_id, fix in world.fixes if technician_id == drive.technician_id}
        assert view.position.time_s in times, "somebody else's fix"
        assert drive.since_s is not None
        assert drive.since_s <= view.position.time_s, "from before the drive"
        assert world.now_s - view.position.time_s <= TOO_OLD_S
        since_s = at_work_since_s(world.shift_taps[drive.technician_id])
        assert since_s is not None, "off shift or on a break"
        assert since_s <= view.position.time_s, "from a break or from before the shift"
        elsewhere = [other for other, job in world.jobs.items() if job.state is State.en_route and other != job_id]
        assert all(world.drives[other].technician_id != drive.technician_id for other in elsewhere), "two drives"


def at_work_since_s(taps: list[Tap]) -> float | None:
    """Since when a technician is at work without a break, by their taps alone; None when they are not."""
    working, since_s = False, None
    for tap in sorted(taps, key=lambda tap: (tap.time_s, tap.seq)):
        match tap.kind:
            case TapKind.shift_start if not working:
                working, since_s = True, tap.time_s
            case TapKind.shift_end:
                working, since_s = False, None
            case TapKind.break_start if working:
                since_s = None
            case TapKind.break_end if working and since_s is None:
                since_s = tap.time_s
    return since_s


seen: list[object] = []  # how often a position was shown at all: a test that never shows one proves nothing


def test_a_position_is_seen_by_its_customer_only_and_on_the_drive_only(long: bool) -> None:
    """Random days (10,000 with `--long`): no position outside entitlement, and many inside."""
    seen.clear()
    run_state_machine_as_test(
        AnyDay,
        settings=settings(
            max_examples=LONG_SEQUENCES if long else SEQUENCES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{len(seen)} positions seen")  # noqa: T201 (the figure, for pytest -s)
    assert len(seen) > 100


@pytest.mark.parametrize(
    ("kinds", "since_s"),
    [
        (["shift_start"], 0.0),
        (["shift_start", "break_start"], None),
        (["shift_start", "break_start", "break_end"], 2.0),
        (["shift_start", "shift_end"], None),
        (["break_end"], None),
    ],
)
def test_the_witness_knows_who_is_at_work(kinds: list[str], since_s: float | None) -> None:
    """The tests' own reading of a shift."""
    assert at_work_since_s([Tap(1, n, float(n), TapKind(kind)) for n, kind in enumerate(kinds)]) == since_s
