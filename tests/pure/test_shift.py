"""Shifts as taps make them."""

from __future__ import annotations

from tracking_server.domain.events import Tap, TapKind
from tracking_server.domain.shift import Shift, after_taps, open_shift


def taps(*pairs: tuple[float, TapKind]) -> list[Tap]:
    return [Tap(1, n, at_s, kind) for n, (at_s, kind) in enumerate(pairs)]


def test_a_day_with_a_break() -> None:
    """Start, break, end: in phone time, in whatever order they come."""
    day = taps(
        (100, TapKind.shift_start), (200, TapKind.break_start), (300, TapKind.break_end), (400, TapKind.shift_end)
    )
    assert after_taps([], day) == after_taps([], day[::-1]) == [Shift(100, 400, ((200, 300),))]
    (shift,) = after_taps([], day)
    assert [shift.covers(t) for t in (99, 100, 250, 400, 401)] == [False, True, True, True, False]
    assert [shift.on_break(t) for t in (199, 200, 299, 300)] == [False, True, True, False]


def test_a_tap_that_makes_no_sense_changes_nothing() -> None:
    """A second start, an end without a start, a break twice."""
    assert after_taps([], taps((1, TapKind.shift_end), (2, TapKind.break_start))) == []
    once = after_taps([], taps((1, TapKind.shift_start), (2, TapKind.shift_start)))
    assert once == [Shift(1)]
    assert after_taps(once, taps((0, TapKind.shift_end))) == once, "an end before the start is another shift's"
    resting = after_taps(once, taps((3, TapKind.break_start), (4, TapKind.break_start)))
    assert resting == [Shift(1, None, ((3, None),))]
    assert after_taps(resting, taps((2, TapKind.break_end))) == resting, "a late end is of no break that began after it"
    assert open_shift(resting) == resting[0]
    assert open_shift(after_taps(resting, taps((9, TapKind.shift_end)))) is None
