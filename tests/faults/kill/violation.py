"""What a checker finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which, what is the case, and when it was seen, in seconds from the run's beginning."""

    invariant: str
    what: str
    at_s: float | None = None

    def __str__(self) -> str:
        when = "" if self.at_s is None else f" at {self.at_s:.3f} s"
        return f"{self.invariant}: {self.what}{when}"
