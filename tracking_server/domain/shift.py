"""Shifts as the technician's taps make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracking_server.domain.events import Tap, TapKind


@dataclass(frozen=True, slots=True)
class Shift:
    """One working interval with its breaks; an end is None while it lasts."""

    started_s: float
    ended_s: float | None = None
    breaks: tuple[tuple[float, float | None], ...] = ()

    def covers(self, time_s: float) -> bool:
        """Whether a fix of this time was taken at work. A break is at work; who sees it is another question."""
        return self.started_s <= time_s and (self.ended_s is None or time_s <= self.ended_s)

    def on_break(self, time_s: float) -> bool:
        return any(start <= time_s and (end is None or time_s < end) for start, end in self.breaks)


def covered(time_s: float, shifts: Iterable[Shift]) -> bool:
    """Whether any of the shifts covers this time."""
    for shift in shifts:  # noqa: SIM110 - asked of every fix, and a generator takes three times as long
        if shift.covers(time_s):
            return True
    return False


def after_taps(shifts: Sequence[Shift], taps: Iterable[Tap]) -> list[Shift]:
    """The shifts, oldest first, once these taps were made, in phone time.

    A tap that makes no sense changes nothing: so does a start that comes late, from before a shift that is known.
    """
    result = list(shifts)
    for tap in sorted(taps, key=lambda tap: (tap.time_s, tap.seq)):
        last = result[-1] if result else None
        if tap.kind is TapKind.shift_start:
            if last is None or (last.ended_s is not None and tap.time_s > last.ended_s):
                result.append(Shift(tap.time_s))
        elif last is not None and last.ended_s is None and tap.time_s >= last.started_s:
            result[-1] = _after_tap(last, tap)
    return result


def _after_tap(shift: Shift, tap: Tap) -> Shift:
    resting = bool(shift.breaks) and shift.breaks[-1][1] is None
    match tap.kind:
        case TapKind.shift_end:
            return replace(shift, ended_s=tap.time_s)
        case TapKind.break_start if not resting:
            return replace(shift, breaks=(*shift.breaks, (tap.time_s, None)))
        case TapKind.break_end if resting and tap.time_s >= shift.breaks[-1][0]:
            return replace(shift, breaks=(*shift.breaks[:-1], (shift.breaks[-1][0], tap.time_s)))
    return shift


def open_shift(shifts: Sequence[Shift]) -> Shift | None:
    """The shift that lasts, if any."""
    return next((shift for shift in reversed(shifts) if shift.ended_s is None), None)
