"""Every mutant in turn: what the kill test finds of it, by which promise, in which round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from tests.faults.kill.mutants import MUTANTS
from tests.faults.kill.tally import Tally
from tests.faults.kill.violation import Violation


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of one mutant. `rounds` were played until it was found, or in all."""

    name: str
    seed: int
    rounds: int
    found: Sequence[Violation]
    other: Sequence[Violation]

    @property
    def caught(self) -> bool:
        return bool(self.found)

    def to_json(self) -> dict[str, Any]:
        found, other = ([str(one) for one in violations] for violations in (self.found, self.other))
        return {
            "mutant": self.name, "caught": self.caught, "seed": self.seed, "rounds": self.rounds,
            "found": found, "other": other,
        }  # fmt: skip


def finds(name: str, violations: Sequence[Violation]) -> Sequence[Violation]:
    """Those by which a mutant is to be found."""
    return [one for one in violations if one.invariant in MUTANTS[name].promises]


async def hunt(play: Callable[[str], Awaitable[Tally]], names: Sequence[str] = tuple(MUTANTS)) -> list[Catch]:
    """Play with each mutant until it is found."""
    catches = []
    for name in names:
        tally = await play(name)
        found = finds(name, tally.violations)
        other = [one for one in tally.violations if one not in found]
        catches.append(Catch(name, tally.seed, tally.rounds, found, other))
    return catches


def table_of(catches: Sequence[Catch]) -> Table:
    """For a reader."""
    table = Table("mutant", "what is broken", "found in round", "by")
    for catch in catches:
        promises = sorted({one.invariant for one in catch.found})
        when = str(catch.rounds) if catch.caught else f"not in {catch.rounds}"
        table.add_row(catch.name, MUTANTS[catch.name].what, when, " ".join(promises))
    return table
