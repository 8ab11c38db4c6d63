"""The order lane: what may be judged, and what waits."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.checkpoint import (
    GAP_WAIT_S,
    Checkpoint,
    Progress,
    Stay,
    Stretch,
    Suspect,
    give_up_gaps,
    merge,
    receive,
    union,
)
from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Presence

PHONE = UUID(int=1)
OTHER_PHONE = UUID(int=2)


def progress(checkpoint: Checkpoint, device_id: UUID = PHONE) -> Progress:
    return checkpoint.progress[device_id]


def stretch(first: int, last: int, *, stored: bool, device_id: UUID = PHONE, stream: int = 5) -> Stretch:
    return Stretch(device_id, stream, first, last, stored)


def test_numbers_in_order_go_straight_through() -> None:
    """Nothing waits and nothing is read back."""
    checkpoint, opened = receive(Checkpoint(), PHONE, 5, [1, 2, 3], 0.0)
    assert opened == stretch(1, 3, stored=False)
    checkpoint, opened = receive(checkpoint, PHONE, 5, [4], 1.0)
    assert opened == stretch(4, 4, stored=False)
    assert checkpoint.gap_due_s is None


def test_a_stream_may_begin_at_zero() -> None:
    """Both beginnings are in use."""
    assert receive(Checkpoint(), PHONE, 5, [0, 1], 0.0)[1] == stretch(0, 1, stored=False)


def test_a_clock_that_was_put_back_ends_no_phones_events() -> None:
    """A stream of a day to come, then one of today: judged. Two of days to come: the larger one is the newer."""
    today, tomorrow_week = 20_000 << 20, 20_008 << 20
    now_s = 20_000 * 86_400.0 + 43_200
    ahead, _ = receive(Checkpoint(), PHONE, tomorrow_week, [1, 2], now_s)
    right, opened = receive(ahead, PHONE, today, [1, 2], now_s)
    assert opened == stretch(1, 2, stored=False, stream=today)
    assert receive(right, PHONE, today - 1, [3], now_s)[1] is None
    assert receive(right, PHONE, tomorrow_week, [1, 2], now_s)[1] is not None
    assert receive(ahead, PHONE, tomorrow_week - 1, [3], now_s)[1] is None


def test_what_follows_a_gap_waits_for_it_and_is_then_read_back() -> None:
    """Newest first: judged when the oldest has come, all of it in order."""
    checkpoint, opened = receive(Checkpoint(), PHONE, 5, [4, 5, 6], 100.0)
    assert opened is None
    assert checkpoint.gap_due_s == 100.0 + GAP_WAIT_S
    checkpoint, opened = receive(checkpoint, PHONE, 5, [1, 2, 3], 110.0)
    assert opened == stretch(1, 6, stored=True)
    assert checkpoint.gap_due_s is None


def test_the_wait_for_a_gap_ends() -> None:
    """After a minute, by the clock or by the next batch, what came is judged without the rest."""
    late, _ = receive(Checkpoint(), PHONE, 5, [4, 5], 100.0)
    assert give_up_gaps(late, 159.0)[1] == []
    given_up, opened = give_up_gaps(late, 160.0)
    assert (opened, given_up.gap_due_s) == ([stretch(1, 5, stored=True)], None)
    assert give_up_gaps(given_up, 170.0)[1] == []
    assert receive(late, PHONE, 5, [6], 161.0)[1] == stretch(1, 6, stored=True)


def test_a_retry_opens_nothing() -> None:
    """The same numbers again are answered, not judged."""
    once, _ = receive(Checkpoint(), PHONE, 5, [1, 2, 3], 0.0)
    assert receive(once, PHONE, 5, [2, 3], 1.0) == (once, None)


def test_a_new_stream_begins_anew_and_an_old_one_is_only_kept() -> None:
    """A new day or database starts counting again; its predecessor's rest raises nothing."""
    old, _ = receive(Checkpoint(), PHONE, 5, [1, 2], 0.0)
    new, opened = receive(old, PHONE, 6, [1], 1.0)
    assert opened == stretch(1, 1, stored=False, stream=6)
    assert receive(new, PHONE, 5, [3], 2.0) == (new, None)


def test_two_phones_of_one_technician_have_their_own_progress() -> None:
    """While an old phone is put away, both speak: neither holds the other back, and a few are remembered."""
    checkpoint = Checkpoint()
    for n in range(1, 50):
        for device_id in (PHONE, OTHER_PHONE):
            checkpoint, opened = receive(checkpoint, device_id, 5, [n], float(n))
            assert opened == stretch(n, n, stored=False, device_id=device_id)
    for n in range(10, 20):
        checkpoint, _ = receive(checkpoint, UUID(int=n), 5, [1], 100.0)
    assert list(checkpoint.progress) == [UUID(int=17), UUID(int=18), UUID(int=19)]


@given(st.lists(st.lists(st.integers(1, 60), min_size=1), min_size=1))
def test_every_number_is_opened_exactly_once(batches: list[list[int]]) -> None:
    """However the numbers come and repeat: stretches never overlap, and end at the first missing number."""
    checkpoint, numbers = Checkpoint(), []
    for batch in batches:
        checkpoint, opened = receive(checkpoint, PHONE, 5, batch, 0.0)
        numbers += [] if opened is None else list(range(opened.first, opened.last + 1))
    sent = {number for batch in batches for number in batch}
    front = next(n for n in range(1, 62) if n not in sent) - 1
    assert numbers == list(range(1, front + 1))
    assert progress(checkpoint).front == front


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_ranges_are_sets(a: list[int], b: list[int]) -> None:
    """Joining ranges is joining sets of numbers, and they stay sorted and apart."""
    joined = union(merge((), a), merge((), b))
    assert [n for first, last in joined for n in range(first, last + 1)] == sorted({*a, *b})
    assert all(joined[i][1] + 1 < joined[i + 1][0] for i in range(len(joined) - 1))


def test_a_checkpoint_survives_its_row() -> None:
    """What is written as JSON is read back the same."""
    fix = Fix(5, 7, 100.0, 1.0, 2.0, 5.0)
    progresses = {PHONE: Progress(5, ((1, 3), (5, 6)), 50.0), OTHER_PHONE: Progress(4)}
    stays = {UUID(int=7): Stay(2, Presence())}
    checkpoint = Checkpoint(progresses, fix, fix, Suspect(PHONE, fix), 99.0, stays)
    assert Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json()))) == checkpoint
    assert Checkpoint.from_json({}) == Checkpoint()
