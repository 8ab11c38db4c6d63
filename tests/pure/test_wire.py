"""Reading what phones send: nothing readable is lost beside something unreadable."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.fix import Verdict
from tracking_server.ingest.wire import (
    MOST_BODY_BYTES,
    TooLarge,
    Unreadable,
    inflate,
    read,
)
from tracking_server.store.devices import Device
from tracking_server.turn import Delivery

DEVICE = Device(UUID(int=1), UUID(int=2), UUID(int=3))
GOOD = '{"seq": 1, "time": 1000.5, "lat": 41.1, "lon": -8.6}'


def read_text(text: str) -> Delivery:
    return read(text.encode(), DEVICE, 2000.0)


def body(*fixes: str) -> str:
    return f'{{"stream": 7, "sent_at": 1999.0, "fixes": [{", ".join(fixes)}]}}'


@pytest.mark.parametrize(
    "bad",
    [
        '{"seq": 2, "time": 1000.5, "lat": "41.1", "lon": -8.6}',
        '{"seq": 2, "time": 1000.5, "lat": true, "lon": -8.6}',
        '{"seq": 2, "time": 1000.5, "lat": null, "lon": -8.6}',
        '{"seq": 2, "time": 1000.5, "lat": 41.1}',
        '{"seq": 2, "time": "noon", "lat": 41.1, "lon": -8.6}',
        '{"seq": 2, "time": 1000.5, "lat": [[]], "lon": {}}',
    ],
)
def test_an_unreadable_fix_costs_only_itself(bad: str) -> None:
    """Its neighbour is kept, and it is named in the answer and kept as it came."""
    delivery = read_text(body(GOOD, bad))
    assert [fix.seq for fix in delivery.fixes] == [1]
    assert [(item.seq, item.reason) for item in delivery.rejected] == [(2, Verdict.unreadable)]
    assert sorted(delivery.numbers) == [1, 2]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400"])
def test_numbers_that_are_none_are_answered(number: str) -> None:
    """Either set apart here or refused as a place later: never lost without an answer, never a place."""
    delivery = read_text(body(GOOD, f'{{"seq": 2, "time": 1000.5, "lat": {number}, "lon": -8.6}}'))
    assert sorted(delivery.numbers) == [1, 2]
    assert all(fix.seq == 1 or not abs(fix.lat) <= 90 for fix in delivery.fixes)


def test_something_without_a_number_is_kept_but_cannot_be_answered() -> None:
    """It goes to quarantine by its bytes."""
    delivery = read_text(body(GOOD, '"hello"', "[]", '{"lat": 1}', '{"seq": -4}', '{"seq": true}'))
    assert [item.seq for item in delivery.rejected] == [None] * 5
    assert delivery.numbers == [1]
    assert len({item.digest for item in delivery.rejected}) == 5


def test_each_number_counts_once() -> None:
    """The first of two with the same number; a good one before a bad one."""
    delivery = read_text(body('{"seq": 1}', GOOD, '{"seq": 1, "time": 1, "lat": 2, "lon": 3}'))
    assert [(fix.seq, fix.lat) for fix in delivery.fixes] == [(1, 41.1)]
    assert delivery.rejected == []


def test_negative_means_unknown() -> None:
    """Phones say -1, and accuracy 0, when they do not know."""
    known = '"accuracy_m": 0, "speed_mps": -1, "course_deg": -1, "battery_pct": -1, "altitude_m": -5'
    (fix,) = read_text(body(GOOD[:-1] + ", " + known + "}")).fixes
    assert (fix.accuracy_m, fix.speed_mps, fix.course_deg, fix.battery_pct, fix.altitude_m) == (
        None,
        None,
        None,
        None,
        -5,
    )


def test_what_no_instrument_says_is_unknown() -> None:
    """Absurd speeds and heights are dropped from a good fix: they would not fit their columns."""
    known = '"accuracy_m": 1e300, "speed_mps": 1e39, "altitude_m": -1e9, "battery_pct": 1e38'
    (fix,) = read_text(body(GOOD[:-1] + ", " + known + "}")).fixes
    assert (fix.accuracy_m, fix.speed_mps, fix.altitude_m, fix.battery_pct) == (1e6, None, None, None)


def test_a_tap_or_a_clock_beyond_all_calendars_is_not_believed() -> None:
    """The tap is kept in quarantine; the clock is taken as not said."""
    delivery = read_text('{"stream": 7, "sent_at": 1e300, "taps": [{"seq": 1, "time": 1e300, "kind": "shift_start"}]}')
    assert (delivery.sent_s, delivery.taps, delivery.numbers) == (None, [], [1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"fixes": []}',
        '{"stream": "x", "fixes": []}',
        '{"stream": -1, "fixes": []}',
        '{"stream": 1, "fixes": {}}',
        '{"stream": 1, "fixes": [], "taps": 5}',
        '{"stream": 9223372036854775808}',
        '{"stream": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 1_000_000,
    ],
)
def test_a_body_that_is_no_delivery_is_unreadable(text: str) -> None:
    """Said so, whatever its depth."""
    with pytest.raises(Unreadable):
        read_text(text)


def test_too_many_fixes_are_too_large() -> None:
    """10,000 are read, one more is not."""
    many = [f'{{"seq": {n}, "time": 1, "lat": 1, "lon": 1}}' for n in range(10_001)]
    assert len(read_text(body(*many[:10_000])).fixes) == 10_000
    with pytest.raises(TooLarge):
        read_text(body(*many))


def test_compressed_bodies_are_inflated_within_limits() -> None:
    """A bomb is too large, a cut one unreadable, an unknown coding unreadable."""
    assert inflate(gzip.compress(b"hello"), "gzip") == b"hello"
    assert inflate(b"hello", "") == b"hello"
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"0" * (MOST_BODY_BYTES + 1)), "gzip")
    for bad, coding in ((gzip.compress(b"hello" * 100)[:-9], "gzip"), (b"hello", "gzip"), (b"hello", "br")):
        with pytest.raises(Unreadable):
            inflate(bad, coding)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["seq", "time", "lat", "lon", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=6), st.lists(json_values, max_size=4))
def test_whatever_comes_every_number_gets_an_answer(fixes: list[Any], taps: list[Any]) -> None:
    """No input raises anything but the two errors, and each well-formed number is answered once."""
    text = json.dumps({"stream": 1, "fixes": fixes, "taps": taps})
    try:
        delivery = read_text(text)
    except Unreadable:
        return
    numbers = delivery.numbers
    wanted = {
        item["seq"]
        for item in (*fixes, *taps)
        if isinstance(item, dict) and type(item.get("seq")) is int and 0 <= item["seq"] < 2**63
    }
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == wanted
