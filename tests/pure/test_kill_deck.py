from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.kill.deck import WEIGHTS, Victim, deal
from tracking_server.failpoint import PLACES


def test_two_hundred_rounds_kill_each_victim_ten_times_and_more() -> None:
    """And each failpoint has its turn at least five times, whatever the seed."""
    for seed in range(20):
        plans = deal(200, seed)
        kills = Counter(victim for plan in plans for victim in (plan.victim, plan.second) if victim)
        failpoints = Counter(plan.failpoint for plan in plans if plan.failpoint)
        assert min(kills[victim] for victim in Victim) >= 10
        assert min(failpoints[place] for place in PLACES) >= 5


def test_twenty_rounds_kill_each_victim_and_reach_each_failpoint() -> None:
    """As the continuous integration runs them."""
    for seed in range(20):
        plans = deal(20, seed)
        assert {victim for plan in plans for victim in (plan.victim, plan.second)} - {None} == set(WEIGHTS)
        assert {plan.failpoint for plan in plans} - {None} == set(PLACES)


@given(st.integers(1, 60), st.integers(0, 2**32))
@settings(max_examples=50)
def test_a_round_has_a_victim_or_a_failpoint(rounds: int, seed: int) -> None:
    """Never both, never neither; and the same seed deals the same rounds."""
    plans = deal(rounds, seed)
    assert len(plans) == rounds
    assert all((plan.victim is None) is (plan.failpoint is not None) for plan in plans)
    assert plans == deal(rounds, seed)
