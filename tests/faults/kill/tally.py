"""What a run comes to, and whether it says anything."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.kill.deck import Victim
from tests.faults.kill.violation import Violation
from tracking_server.failpoint import PLACES

ACKNOWLEDGED_A_ROUND = 1_000  # on average: with less the kills had nothing to lose
MANY_ROUNDS = 200
KILLS_IN_MANY, PASSAGES_IN_MANY = 10, 5  # of each victim, at each failpoint; at least one in fewer rounds
RIGHT_WITHIN_S = 5.0


@dataclass
class Tally:
    """Counted while the rounds are played."""

    seed: int
    rounds: int = 0
    acknowledged: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    failpoints: Counter[str] = field(default_factory=Counter)
    recovered_s: dict[str, list[float]] = field(default_factory=dict)
    right_s: list[float] = field(default_factory=list)
    round_s: list[float] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    @property
    def void(self) -> list[str]:
        """Why this run proves nothing, if it does not."""
        many = self.rounds >= MANY_ROUNDS
        kills, passages = (KILLS_IN_MANY, PASSAGES_IN_MANY) if many else (1, 1)
        too_few = [f"{name} was killed {self.kills[name]} times" for name in Victim if self.kills[name] < kills]
        too_few += [
            f"{name} was hit {self.failpoints[name]} times" for name in PLACES if self.failpoints[name] < passages
        ]
        if self.acknowledged < ACKNOWLEDGED_A_ROUND * self.rounds:
            too_few.append(f"{self.acknowledged} fixes were acknowledged in {self.rounds} rounds")
        return too_few

    @property
    def good(self) -> bool:
        """Whether nothing was broken, by a run that would have shown it."""
        return not self.violations and not self.void and quantile(self.right_s, 95) <= RIGHT_WITHIN_S

    def to_json(self) -> dict[str, Any]:
        """One document."""
        every = [seconds for times in self.recovered_s.values() for seconds in times]
        return {
            "good": self.good,
            "seed": self.seed,
            "rounds": self.rounds,
            "acknowledged": self.acknowledged,
            "kills": dict(self.kills),
            "failpoints": dict(self.failpoints),
            "recovered_s_p50": round(quantile(every, 50), 2),
            "recovered_s_p95": round(quantile(every, 95), 2),
            "recovered_s": {name: round(statistics.median(times), 2) for name, times in self.recovered_s.items()},
            "page_right_s_p50": round(quantile(self.right_s, 50), 2),
            "page_right_s_p95": round(quantile(self.right_s, 95), 2),
            "page_right_s_most": round(max(self.right_s, default=0.0), 2),
            "round_s_p50": round(quantile(self.round_s, 50), 2),
            "messages": dict(self.messages),
            "void": self.void,
            "violations": [str(violation) for violation in self.violations],
        }


def quantile(values: Sequence[float], percent: int) -> float:
    """The nearest rank; 0 of nothing."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)] if values else 0.0
