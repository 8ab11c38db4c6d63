"""The phone's queue loses nothing, numbers everything once, and forgets only what was acknowledged."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tech_app.core import outbox
from tech_app.core.fix import Fix, read_fix
from tech_app.core.outbox import Batch, Facts, NoRoom, Outbox, QueuedFile
from tech_app.core.tap import Tap, TapKind
from tests.support.phone_clock import NOON_S, SetPhoneClock
from tracking_server.domain.checkpoint import GAP_WAIT_S, Checkpoint, give_up_gaps, receive
from tracking_server.ingest import wire
from tracking_server.store.devices import Device

DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
DEVICE = Device(UUID(int=1), UUID(int=2), UUID(int=3))


def a_fix(time_s: float, north: int = 0) -> Fix:
    return Fix(time_s, 41.1496 + north * 1e-5, -8.6109, accuracy_m=8.0, speed_mps=3.2)


def named(batch: Batch) -> list[tuple[int, int]]:
    """An acknowledgement of all of it."""
    return [(row.seq, row.seq) for row in (*batch.taps, *batch.fixes)]


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


@pytest.fixture
def queue(tmp_path: Path, clock: SetPhoneClock) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", clock)
    yield queue
    queue.close()


def test_what_is_sent_is_what_the_service_reads(queue: Outbox, clock: SetPhoneClock) -> None:
    """Taps and fixes with one run of numbers, as the service's own reader understands them."""
    job = "6f9f7c1e-0000-4000-8000-000000000001"
    queue.append_tap(Tap(clock.now(), TapKind.en_route, job))
    queue.append_fix(Fix(clock.now() + 1, 41.14961234, -8.61, 8.49, 3.2, 271.2, 94.4, 83.0, mock=True))
    batch = queue.next_batch(500)
    assert batch is not None
    delivery = wire.read(batch.to_json(id=7).encode(), DEVICE, clock.now())
    assert delivery.stream == batch.stream
    assert delivery.stream >> 20 == NOON_S // DAY_S
    assert delivery.sent_s == NOON_S
    assert [(tap.seq, tap.kind, tap.job_id) for tap in delivery.taps] == [(1, "en_route", UUID(job))]
    (fix,) = delivery.fixes
    assert (fix.seq, fix.time_s, fix.lat, fix.lon, fix.accuracy_m) == (2, NOON_S + 1, 41.149612, -8.61, 8.5)
    assert (fix.speed_mps, fix.course_deg, fix.altitude_m, fix.battery_pct, fix.mock) == (3.2, 271, 94, 83, True)


def test_the_newest_fix_goes_with_the_oldest(queue: Outbox, clock: SetPhoneClock) -> None:
    """Taps first, then the newest fix for the live picture, then the backlog from its beginning."""
    for n in range(10):
        queue.append_fix(a_fix(clock.now() + n))
    queue.append_tap(Tap(clock.now() + 10, TapKind.arrived))
    batch = queue.next_batch(4)
    assert batch is not None
    assert [row.seq for row in batch.taps] == [11]
    assert [row.seq for row in batch.fixes] == [1, 2, 10]


def test_no_fix_travels_before_a_tap(queue: Outbox, clock: SetPhoneClock) -> None:
    """While taps alone fill a batch, no fix goes with them: it could come before its own shift."""
    for n in range(3):
        queue.append_tap(Tap(clock.now() + n, TapKind.shift_start))
    queue.append_fix(a_fix(clock.now() + 4))
    batch = queue.next_batch(3)
    assert batch is not None
    assert (len(batch.taps), len(batch.fixes)) == (3, 0)


def test_only_what_was_sent_and_named_is_forgotten(queue: Outbox, clock: SetPhoneClock) -> None:
    """Holes in an acknowledgement stay queued, and so does what it names beyond what was sent."""
    for n in range(6):
        queue.append_fix(a_fix(clock.now() + n))
    batch = queue.next_batch(4)
    assert batch is not None
    assert [row.seq for row in batch.fixes] == [1, 2, 3, 6]
    assert queue.forget(batch, [(0, 1), (3, 10**9)], {}) == 3
    again = queue.next_batch(500)
    assert again is not None
    assert [row.seq for row in again.fixes] == [2, 4, 5]
    assert queue.facts() == Facts(taps=0, fixes=3, files=0, thinned=0)


def test_a_tap_without_effect_is_told_once(tmp_path: Path, queue: Outbox, clock: SetPhoneClock) -> None:
    """What the service says of a tap survives the end of the app, until the technician was told."""
    tap = Tap(clock.now(), TapKind.done, "a job", text="น้ำ \ud83d")
    queue.append_tap(tap)
    batch = queue.next_batch(500)
    assert batch is not None
    queue.forget(batch, named(batch), {1: "not_yours"})
    again = Outbox(tmp_path / "outbox.db", clock)
    (dead,) = again.dead_taps()
    assert (dead.tap.kind, dead.tap.job, dead.verdict) == (TapKind.done, "a job", "not_yours")
    again.told(dead)
    assert queue.dead_taps() == []
    again.close()


def test_a_reinstallation_sends_everything_under_numbers_of_its_own(tmp_path: Path, clock: SetPhoneClock) -> None:
    """The same phone, a minute later, with a new file: a larger stream of the same day."""
    streams = []
    for name in ("first.db", "second.db"):
        queue = Outbox(tmp_path / name, clock)
        queue.append_fix(a_fix(clock.now()))
        batch = queue.next_batch(500)
        assert batch is not None
        streams.append(batch.stream)
        queue.close()
        clock.pass_time(60)
    assert streams[0] < streams[1]
    assert {stream >> 20 for stream in streams} == {NOON_S // DAY_S}


def test_a_new_day_begins_a_stream_once_the_old_one_is_empty(queue: Outbox, clock: SetPhoneClock) -> None:
    """A shift over midnight without a network keeps its order; an empty queue has nothing to keep."""
    queue.append_fix(a_fix(clock.now()))
    clock.pass_time(DAY_S)
    assert queue.append_fix(a_fix(clock.now())) == 2
    batch = queue.next_batch(500)
    assert batch is not None
    queue.forget(batch, named(batch), {})
    assert queue.append_fix(a_fix(clock.now())) == 1
    after = queue.next_batch(500)
    assert after is not None
    assert after.stream >> 20 == (batch.stream >> 20) + 1


def test_no_stream_grows_too_old_for_the_service(queue: Outbox, clock: SetPhoneClock) -> None:
    """Four days without a network: every fix is within three days of the day its stream was begun."""
    for _ in range(5):
        queue.append_fix(a_fix(clock.now()))
        clock.pass_time(DAY_S)
    while (batch := queue.next_batch(500)) is not None:
        begun_s = (batch.stream >> 20) * DAY_S
        assert all(-DAY_S <= read_fix(row.body).time_s - begun_s < 3 * DAY_S for row in batch.fixes)
        queue.forget(batch, named(batch), {})


def test_an_empty_battery_costs_no_fix_its_number(tmp_path: Path, clock: SetPhoneClock) -> None:
    """What the disk may have lost was perhaps acknowledged: after a start of the phone no number is given again."""
    queue = Outbox(tmp_path / "outbox.db", clock)
    queue.append_fix(a_fix(clock.now()))
    before = queue.next_batch(500)
    queue.close()
    clock.switch_on_again()
    queue = Outbox(tmp_path / "outbox.db", clock)
    queue.append_fix(a_fix(clock.now()))
    assert before is not None
    queue.forget(before, named(before), {})
    after = queue.next_batch(500)
    assert after is not None
    assert after.stream > before.stream
    queue.close()


@pytest.mark.parametrize("wrong_s", [2 * YEAR_S, -2 * YEAR_S])
def test_a_clock_that_is_put_right_before_sending(queue: Outbox, clock: SetPhoneClock, wrong_s: float) -> None:
    """A phone two years off is put right by the network just when it can send: all it kept has its true time."""
    clock.set_forward(wrong_s)
    queue.append_tap(Tap(clock.now(), TapKind.shift_start))
    queue.append_fix(a_fix(clock.now()))
    clock.pass_time(600)
    clock.set_forward(-wrong_s)
    queue.append_fix(a_fix(clock.now()))
    for true_s in (NOON_S, NOON_S + 600):
        batch = queue.next_batch(500)
        assert batch is not None
        delivery = wire.read(batch.to_json().encode(), DEVICE, clock.now())
        assert [fix.time_s + delivery.skew_s for fix in delivery.fixes] == [true_s]
        assert [tap.time_s for tap in delivery.taps_on_our_clock()] == ([NOON_S] if true_s == NOON_S else [])
        queue.forget(batch, named(batch), {})


def test_two_processes_notice_one_setting_of_the_clock(tmp_path: Path, clock: SetPhoneClock) -> None:
    """The screen and the tracker both see that the clock was set: it is made up for once."""
    screen, tracker = (Outbox(tmp_path / "outbox.db", clock) for _ in range(2))
    screen.append_tap(Tap(clock.now(), TapKind.shift_start))
    clock.set_forward(3600)
    for queue in (screen, tracker, screen):
        batch = queue.next_batch(500)
        assert batch is not None
        assert batch.sent_s == NOON_S
    screen.close()
    tracker.close()


def test_each_process_may_miss_that_the_clock_was_set(tmp_path: Path, clock: SetPhoneClock) -> None:
    """One looks while the clock is wrong, the other only when it is right again."""
    screen, tracker = (Outbox(tmp_path / "outbox.db", clock) for _ in range(2))
    screen.append_tap(Tap(clock.now(), TapKind.shift_start))
    clock.set_forward(-YEAR_S)
    screen.append_tap(Tap(clock.now(), TapKind.break_start))
    clock.set_forward(YEAR_S)
    for true_s in (NOON_S, NOON_S - YEAR_S):
        batch = tracker.next_batch(500)
        assert batch is not None
        assert batch.sent_s == true_s
        tracker.forget(batch, named(batch), {})
    screen.close()
    tracker.close()


def test_a_tablet_without_a_clock_of_its_own(tmp_path: Path, clock: SetPhoneClock) -> None:
    """Each morning it begins at the same second of the same year until it has a network: no stream comes twice."""
    streams = []
    for _ in range(3):
        clock.now_s, clock.since_boot_s = NOON_S, 20.0
        queue = Outbox(tmp_path / "outbox.db", clock)
        queue.append_tap(Tap(clock.now(), TapKind.shift_start))
        clock.set_forward(YEAR_S)
        queue.append_fix(a_fix(clock.now()))
        while batch := queue.next_batch(500):
            streams.append(batch.stream)
            queue.forget(batch, named(batch), {})
        queue.close()
    assert len(set(streams)) == 6


def test_a_full_queue_thins_its_older_half(
    queue: Outbox, clock: SetPhoneClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second of the older fixes goes; taps, files and the newer half stay, and it is counted."""
    monkeypatch.setattr(outbox, "MOST_FIXES", 100)
    queue.append_tap(Tap(clock.now(), TapKind.shift_start))
    append_many(queue, 101, clock.now())
    batch = queue.next_batch(500)
    assert batch is not None
    assert [row.seq for row in batch.taps] == [1]
    assert [row.seq for row in batch.fixes] == [*range(2, 52, 2), *range(52, 103)]
    assert queue.facts() == Facts(taps=1, fixes=76, files=0, thinned=25)


def test_three_days_without_a_network_are_kept_whole() -> None:
    """A fix every three seconds, day and night, which no sampling keeps, fits."""
    assert outbox.MOST_FIXES >= 72 * 3600 / 3


def test_the_service_waits_a_minute_at_most_for_what_was_thinned(
    queue: Outbox, clock: SetPhoneClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thinned queue, drained newest first: a minute after the last batch everything up to the last fix is judged."""
    monkeypatch.setattr(outbox, "MOST_FIXES", 1000)
    append_many(queue, 2000, clock.now())
    assert queue.facts().thinned > 0
    checkpoint = Checkpoint()
    while (batch := queue.next_batch(100)) is not None:
        numbers = [row.seq for row in batch.fixes]
        checkpoint, _ = receive(checkpoint, DEVICE.id, batch.stream, numbers, clock.now())
        queue.forget(batch, named(batch), {})
        clock.pass_time(1)
    checkpoint, _ = give_up_gaps(checkpoint, clock.now() + GAP_WAIT_S)
    assert checkpoint.progress[DEVICE.id].whole
    assert checkpoint.progress[DEVICE.id].front == 2000


def test_files_wait_in_a_lane_of_their_own(queue: Outbox, tmp_path: Path, clock: SetPhoneClock) -> None:
    """A photo goes on where its upload stopped, and lets others pass when it has to wait."""
    photos = [
        QueuedFile(f"photo {n}", "a job", "photo", tmp_path / f"{n}.jpg", "5ha", 1000, clock.now()) for n in range(2)
    ]
    for photo in (*photos, photos[0]):
        queue.add_file(photo)
    queue.file_sent("photo 0", 512)
    first = queue.next_file()
    assert first is not None
    assert (first.id, first.sent, first.path) == ("photo 0", 512, tmp_path / "0.jpg")
    queue.put_off_file("photo 0")
    assert [file.id for file in queue.pending_files()] == ["photo 1", "photo 0"]
    queue.forget_file("photo 1")
    queue.forget_file("photo 0")
    assert queue.next_file() is None
    assert queue.next_batch(500) is None


def test_a_full_disk_says_what_to_do(queue: Outbox, clock: SetPhoneClock) -> None:
    """Nothing half-kept, and one clear sentence."""
    (pages,) = queue._db.execute("PRAGMA page_count").fetchone()
    queue._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoRoom, match="delete something"):
        append_many(queue, 1000, clock.now())
    batch = queue.next_batch(1000)
    assert batch is not None
    assert [row.seq for row in batch.fixes] == list(range(1, queue.facts().fixes + 1))


def append_many(queue: Outbox, fixes: int, time_s: float) -> None:
    for n in range(fixes):
        queue.append_fix(a_fix(time_s + n))


@pytest.mark.parametrize("garbage", [b"no database at all" * 100, b""])
def test_a_broken_file_is_put_aside(tmp_path: Path, clock: SetPhoneClock, garbage: bytes) -> None:
    """The day begins all the same, and the broken file is kept; an empty one is simply new."""
    path = tmp_path / "outbox.db"
    path.write_bytes(garbage)
    queue, broken = outbox.open_outbox(path, clock)
    queue.append_fix(a_fix(clock.now()))
    assert queue.facts().fixes == 1
    assert (None if broken is None else broken.read_bytes()) == (garbage or None)
    queue.close()


def test_a_file_that_is_broken_inside_is_put_aside(tmp_path: Path, clock: SetPhoneClock) -> None:
    """Its beginning is well: it is found when it is opened, not by what is to be sent next, and then at every try."""
    path = tmp_path / "outbox.db"
    queue = Outbox(path, clock)
    append_many(queue, 500, clock.now())
    (page_bytes,) = queue._db.execute("PRAGMA page_size").fetchone()
    queue.close()
    whole = path.read_bytes()
    for page in range(len(whole) // page_bytes):
        torn = whole[: page * page_bytes] + bytes(page_bytes) + whole[(page + 1) * page_bytes :]
        path.write_bytes(torn)
        queue, broken = outbox.open_outbox(path, clock)
        queue.next_batch(1000)
        queue.append_fix(a_fix(clock.now()))
        queue.close()
        assert broken is None or broken.read_bytes() == torn
        assert not path.with_name("outbox.db-wal").exists()


def test_what_is_no_number_is_never_written(queue: Outbox, clock: SetPhoneClock) -> None:
    """A receiver's NaN in a measurement is left out; a body with one would be refused as a whole."""
    queue.append_fix(Fix(clock.now(), 41.0, -8.0, accuracy_m=float("nan"), speed_mps=float("inf")))
    batch = queue.next_batch(500)
    assert batch is not None
    assert json.loads(batch.to_json())["fixes"] == [{"seq": 1, "time": NOON_S, "lat": 41.0, "lon": -8.0}]
    assert not Fix(clock.now(), float("nan"), 0).is_place


WRITER = """
import sys
from pathlib import Path
from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.outbox import Outbox

queue = Outbox(Path(sys.argv[1]), PhoneClock())
for n in range(300):
    queue.append_fix(Fix(1.7e9 + n, 41, -8))
"""


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    """Both make it at the same moment and write all they have: every fix is there, each with its own number."""
    path = tmp_path / "outbox.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with sqlite3.connect(path) as db:
        assert [seq for (seq,) in db.execute("SELECT seq FROM item ORDER BY n, seq")] == list(range(1, 601))
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class AnyOrder(RuleBasedStateMachine):
    """A phone's life in any order: each thing kept is acknowledged once or still queued, under a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = SetPhoneClock()
        self.queue = self.open()
        self.made = 0
        self.acknowledged: dict[tuple[int, int], str] = {}
        self.sent: Batch | None = None

    def open(self) -> Outbox:
        return Outbox(Path(self.folder.name) / "outbox.db", self.clock)

    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()

    @rule()
    def see(self) -> None:
        self.made += 1
        self.queue.append_fix(a_fix(self.clock.now(), self.made))

    @rule()
    def tap(self) -> None:
        self.made += 1
        self.queue.append_tap(Tap(self.clock.now(), TapKind.note, text=str(self.made)))

    @rule(seconds=st.sampled_from([5.0, 3600.0, DAY_S, 3 * DAY_S]))
    def wait(self, seconds: float) -> None:
        self.clock.pass_time(seconds)

    @rule(seconds=st.sampled_from([-YEAR_S, -100.0, 100.0, YEAR_S]))
    def set_clock(self, seconds: float) -> None:
        self.clock.set_forward(seconds)

    @rule(empty_battery=st.booleans())
    def start_again(self, empty_battery: bool) -> None:
        self.queue.close()
        if empty_battery:
            self.clock.switch_on_again()
        self.queue = self.open()

    @rule(most=st.integers(1, 6))
    def send(self, most: int) -> None:
        self.sent = self.queue.next_batch(most)

    @precondition(lambda self: self.sent is not None)
    @rule(answered=st.sets(st.integers(0, 5)))
    def answer(self, answered: set[int]) -> None:
        assert self.sent is not None
        rows = [*self.sent.taps, *self.sent.fixes]
        named_rows = [rows[i] for i in answered if i < len(rows)]
        for row in named_rows:
            key = (self.sent.stream, row.seq)
            assert self.acknowledged.setdefault(key, row.body) == row.body, "a number was given twice"
        self.queue.forget(self.sent, [(row.seq, row.seq) for row in named_rows], {})

    @invariant()
    def nothing_is_lost(self) -> None:
        facts = self.queue.facts()
        assert facts.taps + facts.fixes + len(self.acknowledged) == self.made

    @invariant()
    def numbers_run_from_one(self) -> None:
        """In every stream that begins after another, the smallest number sent is 1: the service waits for none."""
        by_stream: dict[int, set[int]] = {}
        for stream, seq in self.acknowledged:
            by_stream.setdefault(stream, set()).add(seq)
        rows = self.queue._db.execute("SELECT stream.id, seq FROM item JOIN stream USING (n)")
        for stream, seq in rows:
            by_stream.setdefault(stream, set()).add(seq)
        assert all(seqs == set(range(1, len(seqs) + 1)) for seqs in by_stream.values())


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_any_order = AnyOrder.TestCase
