"""What happens in which round: dealt from a shuffled deck, so that every victim and every failpoint has its turn."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle, islice
from typing import TypeVar

from tests.support.tcp_proxy import Mode
from tracking_server.failpoint import PLACES, Place

T = TypeVar("T")
FAILPOINTS_PERCENT = 30  # of the rounds
SECOND_KILLS_PERCENT = 20
FAULTS_PERCENT = 25
CALM_ROUNDS = 5
LOAD_S = (1.0, 3.0)
KILL_WITHIN_S = 3.0
AGAIN_WITHIN_S = 1.0
STOPPED_S = (1.0, 2.5)  # a victim that hangs
FAULT_S = (0.5, 1.5)  # a network that fails


class Victim(StrEnum):
    """What is killed by SIGKILL."""

    worker = "worker"  # one process that serves
    master = "master"  # the process above those
    backend = "backend"  # one connection's process of PostgreSQL, which then ends all others itself
    postgres = "postgres"  # all its processes
    redis = "redis"
    notifier = "notifier"
    phone = "phone"  # one process of phones


class Line(StrEnum):
    """Where a proxy stands."""

    app = "app"
    postgres = "postgres"
    redis = "redis"
    gateway = "gateway"


WEIGHTS = {
    Victim.worker: 25,
    Victim.master: 10,
    Victim.backend: 15,
    Victim.postgres: 20,
    Victim.redis: 10,
    Victim.notifier: 10,
    Victim.phone: 10,
}
# Of a process that comes by a hundred times a second, of one that sends a few messages, of the migrations.
PASSAGES: dict[Place, int] = {
    "before_commit": 30,
    "after_commit_before_ack": 30,
    "after_commit_before_publish": 30,
    "after_claim": 3,
    "after_gateway_accept_before_mark": 3,
    "during_migration": 5,
}
FAILING = tuple(mode for mode in Mode if mode is not Mode.passes)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is no kill: a victim that hangs, or a line that fails, from `after_s` on for `for_s` seconds."""

    after_s: float
    for_s: float
    victim: Victim | None = None
    line: Line | None = None
    mode: Mode = Mode.passes


@dataclass(frozen=True, slots=True)
class Plan:
    """One round. Either a victim is killed `kill_after_s` after its begin, or a process dies at a failpoint, the
    `passage`th time that it comes by; `again_after_s` later perhaps a second victim. `lot`, from 0 to 1, says which of
    several."""

    number: int
    seed: int
    lot: float
    load_s: float
    kill_after_s: float
    victim: Victim | None
    failpoint: Place | None
    passage: int
    second: Victim | None
    again_after_s: float
    fault: Fault | None


def deal(rounds: int, seed: int) -> list[Plan]:
    """The same seed deals the same rounds. The last of them hold no message up for long: the end waits for all."""
    chance = random.Random(seed)
    is_failpoint, has_second, has_fault = (
        _marked(rounds, percent, chance) for percent in (FAILPOINTS_PERCENT, SECOND_KILLS_PERCENT, FAULTS_PERCENT)
    )
    victims = _hand(WEIGHTS, is_failpoint.count(False) + has_second.count(True), chance)
    failpoints = _shuffled(list(islice(cycle(_shuffled(PLACES, chance)), is_failpoint.count(True))), chance)
    plans = [
        Plan(
            number=0,
            seed=chance.randrange(2**32),
            lot=chance.random(),
            load_s=chance.uniform(*LOAD_S),
            kill_after_s=chance.uniform(0, KILL_WITHIN_S),
            victim=None if is_failpoint[n] else victims.pop(),
            failpoint=(place := failpoints.pop() if is_failpoint[n] else None),
            passage=chance.randint(1, PASSAGES[place]) if place else 0,
            second=victims.pop() if has_second[n] else None,
            again_after_s=chance.uniform(0, AGAIN_WITHIN_S),
            fault=_fault(chance) if has_fault[n] else None,
        )
        for n in range(rounds)
    ]
    if rounds > 2 * CALM_ROUNDS:
        while any(map(_holds_messages_up, plans[-CALM_ROUNDS:])):
            chance.shuffle(plans)
    return [replace(plan, number=n) for n, plan in enumerate(plans)]


def _holds_messages_up(plan: Plan) -> bool:
    """A message that its worker has begun waits until that is known to be dead."""
    at = plan.failpoint in ("after_claim", "after_gateway_accept_before_mark")
    return at or Victim.notifier in (plan.victim, plan.second)


def _hand(weights: Mapping[Victim, int], count: int, chance: random.Random) -> list[Victim]:
    """So many victims in the proportion of their weights, each at least once if there is room, in random order."""
    whole = sum(weights.values())
    shares = {victim: count * weight / whole for victim, weight in weights.items()}
    hand = {victim: int(share) for victim, share in shares.items()}
    by_need = sorted(weights, key=lambda victim: (hand[victim] > 0, hand[victim] - shares[victim]))
    for victim in by_need[: count - sum(hand.values())]:
        hand[victim] += 1
    return _shuffled([victim for victim, times in hand.items() for _ in range(times)], chance)


def _marked(rounds: int, percent: int, chance: random.Random) -> list[bool]:
    marked = set(chance.sample(range(rounds), round(rounds * percent / 100)))
    return [n in marked for n in range(rounds)]


def _shuffled(cards: Sequence[T], chance: random.Random) -> list[T]:
    return chance.sample(cards, len(cards))


def _fault(chance: random.Random) -> Fault:
    """A victim that hangs, or a line that fails, about as often."""
    after_s = chance.uniform(0, 1)
    if chance.random() < 0.5:
        hangs = (Victim.worker, Victim.postgres, Victim.redis, Victim.notifier, Victim.phone)
        return Fault(after_s, chance.uniform(*STOPPED_S), victim=chance.choice(hangs))
    return Fault(after_s, chance.uniform(*FAULT_S), line=chance.choice(list(Line)), mode=chance.choice(FAILING))
