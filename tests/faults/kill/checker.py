"""Whether the promises of a kill test held: pure functions over its history and what was stored.

I1 every acknowledged number is stored · I2 none twice · I3 as it was told · I4 none that nobody told · I5 all that was
told · I6 a position is the newest trusted fix · I7 a reader's versions rise, a stream begins with a snapshot, and in
the end a page shows what the store says · I8 each message owed is shown once, or rightly not at all · I9 each
transition was legal and has its event and its audit row · I10 nothing was told to whom it was not meant for at that
moment · I11 a round recovers in time.

A history is taken round by round, each judged at its end by what is new in it: two hundred rounds cost seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.faults.kill.fixes import Fixes
from tests.faults.kill.history import Back, Begun, Killed, Record, RoundBegun, RoundEnded, Stored
from tests.faults.kill.pages import Pages
from tests.faults.kill.violation import Violation
from tests.faults.kill.visits import Visits

RECOVERED_WITHIN_S = 30.0  # on a machine that does other things beside; how fast it usually is, is a figure of the run
EMPTIED_WITHIN_S = 30.0  # a phone's longest wait after some failures, and the backlog


class Checker:
    """Takes the records in order. A `Stored` ends a round: it is judged, and what was found is kept."""

    def __init__(self) -> None:
        self.fixes = Fixes()
        self.visits = Visits()
        self.pages = Pages()
        self.violations: list[tuple[int, Violation]] = []  # with the number of the round
        self.recovered_s: list[float] = []
        self.round = 0
        self._said: set[tuple[str, str]] = set()
        self._begun_s = 0.0
        self._down: dict[str, float] = {}
        self._ended: RoundEnded | None = None
        self._late: list[Violation] = []

    def take(self, record: Record) -> list[Violation]:
        """What is found at the end of a round, nothing at any other record. What was found before is not repeated."""
        match record:
            case Begun(at_s):
                self._begun_s = at_s
            case RoundBegun(_, number):
                self.round = number
            case RoundEnded():
                self._ended = record
            case Killed(at_s, victim, _):
                self._down[victim] = at_s
            case Back():
                self._late += self._recovered(record)
        for part in (self.fixes, self.visits, self.pages):
            part.take(record)
        if not isinstance(record, Stored):
            return []
        found = [self._since_begun(one) for one in self._check(record)]
        new = [one for one in found if (one.invariant, one.what) not in self._said]
        self._said |= {(one.invariant, one.what) for one in new}
        self.violations += [(self.round, one) for one in new]
        return new

    def wrong_pages(self, stored: Stored) -> dict[str, str]:
        """The subscribers whose page does not show yet what is stored, and what each shows instead."""
        return self.pages.wrong(stored)

    def _check(self, stored: Stored) -> Iterator[Violation]:
        emptied = self._ended is not None and self._ended.emptied
        yield from self.fixes.check(stored, self._emptied_s())
        yield from self.visits.check(stored)
        yield from self.pages.check(stored, self.visits.visits, emptied=emptied)
        yield from self._late
        self._late = []
        yield from self._is_over()

    def _emptied_s(self) -> float | None:
        """What was told before this moment is on no phone any more, or should not be. A phone that deletes what was not
        acknowledged never comes to an end of it in the harness's eyes."""
        if self._ended is None:
            return None
        return self._ended.at_s - (0.0 if self._ended.emptied else EMPTIED_WITHIN_S)

    def _recovered(self, back: Back) -> Iterator[Violation]:
        """I11."""
        self._down.pop(back.victim, None)
        took_s = back.at_s - back.killed_s
        self.recovered_s.append(took_s)
        if took_s > RECOVERED_WITHIN_S:
            yield Violation("I11", f"{back.victim} was back after {took_s:.1f} s", back.killed_s)

    def _is_over(self) -> Iterator[Violation]:
        """I11: the round itself came to its end."""
        if self._ended is None:
            return
        if not self._ended.emptied:
            what = f"outboxes were not empty {EMPTIED_WITHIN_S:.0f} s after round {self.round}"
            yield Violation("I11", what, self._ended.at_s)
        for victim, killed_s in self._down.items():
            yield Violation("I11", f"{victim} was not back at the end of round {self.round}", killed_s)

    def _since_begun(self, found: Violation) -> Violation:
        at_s = None if found.at_s is None else found.at_s - self._begun_s
        return Violation(found.invariant, found.what, at_s)


def judge(history: Iterable[Record]) -> Checker:
    """A whole history, judged again."""
    checker = Checker()
    for record in history:
        checker.take(record)
    return checker
