"""The order lane: what may be judged, and what waits."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.checkpoint import GAP_WAIT_S, Checkpoint, Stay, give_up_gap, merge, receive, union
from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Presence

PHONE = UUID(int=1)
OTHER_PHONE = UUID(int=2)


def test_numbers_in_order_go_straight_through() -> None:
    """Nothing waits and nothing is read back."""
    first = receive(Checkpoint(), PHONE, 5, [1, 2, 3], 0.0)
    assert (first.first, first.last, first.stored) == (1, 3, False)
    second = receive(first.checkpoint, PHONE, 5, [4], 1.0)
    assert (second.first, second.last, second.stored) == (4, 4, False)
    assert second.checkpoint.waiting_since_s is None


def test_a_stream_may_begin_at_zero() -> None:
    """Both beginnings are in use."""
    first = receive(Checkpoint(), PHONE, 5, [0, 1], 0.0)
    assert (first.first, first.last, first.stored) == (0, 1, False)


def test_what_follows_a_gap_waits_for_it_and_is_then_read_back() -> None:
    """Newest first: judged when the oldest has come, all of it in order."""
    late = receive(Checkpoint(), PHONE, 5, [4, 5, 6], 100.0)
    assert late.empty
    assert late.checkpoint.gap_due_s == 100.0 + GAP_WAIT_S
    whole = receive(late.checkpoint, PHONE, 5, [1, 2, 3], 110.0)
    assert (whole.first, whole.last, whole.stored) == (1, 6, True)
    assert whole.checkpoint.waiting_since_s is None


def test_the_wait_for_a_gap_ends() -> None:
    """After a minute, by the clock or by the next batch, what came is judged without the rest."""
    late = receive(Checkpoint(), PHONE, 5, [4, 5], 100.0).checkpoint
    assert give_up_gap(late, 159.0).empty
    by_clock = give_up_gap(late, 160.0)
    assert (by_clock.first, by_clock.last, by_clock.stored) == (1, 5, True)
    by_batch = receive(late, PHONE, 5, [6], 161.0)
    assert (by_batch.first, by_batch.last) == (1, 6)


def test_a_retry_opens_nothing() -> None:
    """The same numbers again are answered, not judged."""
    once = receive(Checkpoint(), PHONE, 5, [1, 2, 3], 0.0).checkpoint
    again = receive(once, PHONE, 5, [2, 3], 1.0)
    assert again.empty
    assert again.checkpoint == once


def test_a_new_stream_begins_anew_and_an_old_one_is_only_kept() -> None:
    """A new day or database starts counting again; its predecessor's rest raises nothing."""
    old = receive(Checkpoint(), PHONE, 5, [1, 2], 0.0).checkpoint
    new = receive(old, PHONE, 6, [1], 1.0)
    assert (new.first, new.last) == (1, 1)
    assert receive(new.checkpoint, PHONE, 5, [3], 2.0).empty
    other = receive(new.checkpoint, OTHER_PHONE, 5, [1], 3.0)
    assert (other.first, other.last) == (1, 1)


@given(st.lists(st.lists(st.integers(1, 60), min_size=1), min_size=1))
def test_every_number_is_opened_exactly_once(batches: list[list[int]]) -> None:
    """However the numbers come and repeat: stretches never overlap, and end at the first missing number."""
    checkpoint, opened = Checkpoint(), []
    for batch in batches:
        advance = receive(checkpoint, PHONE, 5, batch, 0.0)
        checkpoint = advance.checkpoint
        opened += list(range(advance.first, advance.last + 1))
    sent = {number for batch in batches for number in batch}
    front = next(n for n in range(1, 62) if n not in sent) - 1
    assert opened == list(range(1, front + 1))


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_ranges_are_sets(a: list[int], b: list[int]) -> None:
    """Joining ranges is joining sets of numbers, and they stay sorted and apart."""
    joined = union(merge((), a), merge((), b))
    assert [n for first, last in joined for n in range(first, last + 1)] == sorted({*a, *b})
    assert all(joined[i][1] + 1 < joined[i + 1][0] for i in range(len(joined) - 1))


def test_a_checkpoint_survives_its_row() -> None:
    """What is written as JSON is read back the same."""
    fix = Fix(5, 7, 100.0, 1.0, 2.0, 5.0)
    checkpoint = Checkpoint(PHONE, 5, ((1, 3), (5, 6)), 50.0, fix, fix, None, 99.0, {OTHER_PHONE: Stay(2, Presence())})
    assert Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json()))) == checkpoint
    assert Checkpoint.from_json({}) == Checkpoint()
