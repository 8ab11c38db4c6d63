"""A technician's day without a network: everything works, and everything is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tech_app.core.day import Day, NotNow, ProofMissing
from tech_app.core.jobs import News, Proof, State
from tech_app.core.outbox import NoRoom, Outbox
from tech_app.core.shift import viewers
from tech_app.core.tap import Tap, TapKind
from tech_app.core.tracking import Duty
from tests.support.phone_clock import SetPhoneClock

EXAMPLE = Path(__file__).parents[1] / "contract" / "examples" / "jobs_answer.json"
FIRST, SECOND = "6f9f7c1e-0000-4000-8000-000000000001", "6f9f7c1e-0000-4000-8000-000000000002"


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


@pytest.fixture
def queue(tmp_path: Path, clock: SetPhoneClock) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", clock)
    yield queue
    queue.close()


@pytest.fixture
def day(queue: Outbox, clock: SetPhoneClock) -> Day:
    day = Day(queue, clock)
    day.fetched(EXAMPLE.read_text(), [])
    return day


def state(day: Day, job_id: str) -> State:
    return next(job.state for job in day.jobs if job.id == job_id)


def test_a_shift_is_followed_and_a_break_is_not(day: Day) -> None:
    """Who can see the technician follows from what they tapped: off shift and on a break nobody."""
    seen = [(day.duty.tracked, viewers(day.shift, day.jobs).customer)]
    for kind in (TapKind.shift_start, TapKind.break_start, TapKind.break_end, TapKind.shift_end):
        day.tap(kind)
        customer = viewers(day.shift, day.jobs).customer
        seen.append((day.duty.tracked, customer and customer.id))
    assert seen == [(False, None), (True, FIRST), (False, None), (True, FIRST), (False, None)]
    assert day.duty == Duty()


def test_what_could_not_be_kept_has_not_happened(day: Day, queue: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk shows when all of it is written down: the screen must not go on as if it were."""
    before = (day.shift, day.jobs)
    at_once = Outbox.at_once

    @contextmanager
    def full(self: Outbox) -> Iterator[None]:
        with at_once(self):
            yield
            raise NoRoom(NoRoom.__doc__)

    monkeypatch.setattr(Outbox, "at_once", full)
    for kind, job in ((TapKind.shift_start, None), (TapKind.arrived, FIRST)):
        with pytest.raises(NoRoom):
            day.tap(kind, job)
    assert (day.shift, day.jobs) == before
    assert queue.facts().taps == 0


def test_what_is_tapped_is_there_after_a_restart(day: Day, tmp_path: Path, clock: SetPhoneClock) -> None:
    """Shift, jobs and what waits: as they were, in the other process too."""
    day.tap(TapKind.shift_start)
    day.tap(TapKind.arrived, FIRST)
    day.tap(TapKind.note, FIRST, text="valve behind the fridge")
    other = Outbox(tmp_path / "outbox.db", clock)
    again = Day(other, clock)
    assert (again.shift, again.jobs) == (day.shift, day.jobs)
    assert again.shift.on
    assert state(again, FIRST) is State.arrived
    assert again.waits_to_be_told(FIRST)
    assert not again.waits_to_be_told(SECOND)
    other.close()


def test_the_other_process_is_heard(day: Day, queue: Outbox, tmp_path: Path, clock: SetPhoneClock) -> None:
    """The tracker sees that the screen wrote something, and is idle otherwise."""
    other = Outbox(tmp_path / "outbox.db", clock)
    before = other.version()
    assert other.version() == before
    day.tap(TapKind.shift_start)
    assert other.version() != before
    other.close()


def test_what_cannot_be_is_not_kept(day: Day, queue: Outbox) -> None:
    """A second start of the shift, a job that is nobody's: nothing goes out, nothing changes."""
    day.tap(TapKind.shift_start)
    for kind, job in ((TapKind.shift_start, None), (TapKind.en_route, FIRST), (TapKind.done, "nobody's")):
        with pytest.raises(NotNow):
            day.tap(kind, job)
    assert [tap.kind for tap in queue.pending_taps()] == [TapKind.shift_start]


def test_required_proof_comes_before_done(day: Day, queue: Outbox) -> None:
    """A photo that waits in the phone is enough."""
    with pytest.raises(ProofMissing, match="photo"):
        day.tap(TapKind.done, FIRST)
    assert queue.pending_taps() == []
    day.tap(TapKind.done, FIRST, proof=[Proof.photo])
    assert state(day, FIRST) is State.completed


def test_nobody_home_is_told_with_the_wait(day: Day, queue: Outbox, clock: SetPhoneClock) -> None:
    """The minutes at the door are the evidence."""
    day.tap(TapKind.arrived, FIRST)
    day.tap(TapKind.not_home, FIRST)
    clock.pass_time(15 * 60 + 20)
    day.tap(TapKind.no_access, FIRST, reason="nobody_home")
    told = queue.pending_taps()[-1]
    assert (told.kind, told.reason, told.minutes) == (TapKind.no_access, "nobody_home", 15)


def test_a_full_phone_changes_nothing(day: Day, queue: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be kept is not shown as done."""
    (pages,) = queue._db.execute("PRAGMA page_count").fetchone()
    queue._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoRoom):
        day.tap(TapKind.note, FIRST, text="x" * 1_000_000)
    assert all(note.author == "customer" for job in day.jobs for note in job.notes)
    day.reload()
    assert all(note.author == "customer" for job in day.jobs for note in job.notes)


def test_a_fetch_keeps_what_was_tapped_meanwhile(day: Day, queue: Outbox) -> None:
    """The answer was on its way when the technician tapped: their tap still shows."""
    pending = queue.pending_taps()
    day.tap(TapKind.arrived, FIRST)
    tidings = day.fetched(EXAMPLE.read_text(), pending)
    assert state(day, FIRST) is State.arrived
    assert tidings == []


def test_a_job_that_went_to_somebody_else_is_told(day: Day, queue: Outbox) -> None:
    """With what was tapped on it; the service keeps those taps."""
    day.tap(TapKind.arrived, FIRST)
    tidings = day.fetched('{"jobs": []}', queue.pending_taps())
    assert [(tiding.news, tiding.job.id, [tap.kind for tap in tiding.taps]) for tiding in tidings] == [
        (News.gone, FIRST, [TapKind.arrived]),
        (News.gone, SECOND, []),
    ]
    assert day.jobs == ()


def test_a_tap_without_a_text_is_no_note(day: Day, queue: Outbox) -> None:
    """Running late says by how much."""
    day.tap(TapKind.late, FIRST, minutes=20)
    assert queue.pending_taps() == [Tap(SetPhoneClock().now(), TapKind.late, FIRST, minutes=20)]
