"""Quiet hours are those of the customer's wall clock, also in the nights in which it is changed."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.message import LIVE, Channel, Message, MessageKind, Standing
from tracking_server.notify.quiet_hours import held_until_s, quiet_until_s, touches_quiet
from tracking_server.organisation_settings import OrganisationSettings

NINE, EIGHT = time(21), time(8)
ZONES = ["Europe/Lisbon", "Asia/Bangkok", "Africa/Cairo", "America/New_York", "Australia/Lord_Howe", "UTC"]


def at(zone: str, text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("zone", "now", "until", "hours"),
    [
        ("Europe/Lisbon", "2027-01-15 20:59", None, None),
        ("Europe/Lisbon", "2027-01-15 21:00", "2027-01-16 08:00", 11),
        ("Europe/Lisbon", "2027-01-16 07:59", "2027-01-16 08:00", 1 / 60),
        ("Europe/Lisbon", "2027-01-16 08:00", None, None),
        ("Europe/Lisbon", "2027-03-27 21:00", "2027-03-28 08:00", 10),
        ("Europe/Lisbon", "2027-10-30 21:00", "2027-10-31 08:00", 12),
        ("America/New_York", "2027-03-13 23:00", "2027-03-14 08:00", 8),
        ("America/New_York", "2027-11-06 23:00", "2027-11-07 08:00", 10),
        ("Asia/Bangkok", "2027-03-27 23:00", "2027-03-28 08:00", 9),
    ],
)
def test_the_night_ends_at_eight_by_the_wall(zone: str, now: str, until: str | None, hours: float | None) -> None:
    """An hour shorter in spring, an hour longer in autumn, and eight o'clock all the same."""
    now_s = at(zone, now)
    found = quiet_until_s(now_s, ZoneInfo(zone), NINE, EIGHT)
    assert found == (at(zone, until) if until else None)
    assert found is None or (found - now_s) / 3600 == pytest.approx(hours)


def test_quiet_hours_that_end_in_the_hour_that_comes_twice() -> None:
    """Quiet to 01:30 in the night the clock goes back: after the first 01:30 nothing is held until a past moment."""
    lisbon = ZoneInfo("Europe/Lisbon")
    second_1_15 = at("Europe/Lisbon", "2027-10-31 01:15", fold=1)
    until_s = quiet_until_s(second_1_15, lisbon, NINE, time(1, 30))
    assert until_s == second_1_15 + 15 * 60


def test_quiet_hours_that_end_in_the_hour_that_is_missing() -> None:
    """Quiet to 01:30 in the night the clock jumps from 01:00 to 02:00: they end, and by then it is no longer quiet."""
    lisbon = ZoneInfo("Europe/Lisbon")
    until_s = quiet_until_s(at("Europe/Lisbon", "2027-03-28 00:59"), lisbon, NINE, time(1, 30))
    assert until_s is not None
    assert quiet_until_s(until_s, lisbon, NINE, time(1, 30)) is None


@given(
    now_s=st.integers(1_767_225_600, 1_893_456_000),
    zone=st.sampled_from(ZONES),
    quiet_from=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    quiet_to=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
def test_what_is_held_goes_out_in_the_end(now_s: int, zone: str, quiet_from: time, quiet_to: time) -> None:
    """In any zone, with any hours, at any time: the end is ahead, within some 26 hours, and then it is not quiet."""
    until_s = quiet_until_s(now_s, ZoneInfo(zone), quiet_from, quiet_to)
    if until_s is not None:
        assert now_s < until_s <= now_s + timedelta(hours=26).total_seconds()
        assert quiet_until_s(until_s, ZoneInfo(zone), quiet_from, quiet_to) is None


@pytest.mark.parametrize(
    ("window", "touches"),
    [
        (("2027-01-15 18:00", "2027-01-15 20:00"), False),
        (("2027-01-15 20:00", "2027-01-15 21:00"), True),
        (("2027-01-15 07:00", "2027-01-15 09:00"), True),
        (("2027-01-15 08:00", "2027-01-15 12:00"), False),
        (("2027-01-15 10:00", "2027-01-16 10:00"), True),
    ],
)
def test_a_window_touches_the_night_or_not(window: tuple[str, str], touches: bool) -> None:
    """Its ends count, and a window that spans a night."""
    seconds = at("Europe/Lisbon", window[0]), at("Europe/Lisbon", window[1])
    assert touches_quiet(seconds, ZoneInfo("Europe/Lisbon"), NINE, EIGHT) is touches


def message(kind: MessageKind, channel: Channel) -> Message:
    return Message(UUID(int=1), UUID(int=1), kind, 1, "x", Standing.owed, None, channel=channel)


BY_DAY = at("Europe/Lisbon", "2027-01-15 16:00"), at("Europe/Lisbon", "2027-01-15 18:00")
BY_NIGHT = at("Europe/Lisbon", "2027-01-15 20:00"), at("Europe/Lisbon", "2027-01-15 22:00")
TEN = at("Europe/Lisbon", "2027-01-15 22:00")


@pytest.mark.parametrize(("begins", "held"), [("2027-01-16 07:30", False), ("2027-01-16 08:00", True)])
def test_a_booking_waits_only_for_a_visit_after_the_night(begins: str, held: bool) -> None:
    """Told in the morning, it would be told too late."""
    begins_s = at("Europe/Lisbon", begins)
    booked = message(MessageKind.booked, Channel.sms)
    until_s = held_until_s(booked, (begins_s, begins_s + 3600), TEN, "Europe/Lisbon", OrganisationSettings())
    assert (until_s is not None) is held


@pytest.mark.parametrize("kind", MessageKind)
@pytest.mark.parametrize("channel", [Channel.sms, Channel.email, Channel.webhook])
@pytest.mark.parametrize("promised", [BY_DAY, BY_NIGHT, None], ids=["by day", "by night", "no promise"])
def test_what_is_held_in_the_night(kind: MessageKind, channel: Channel, promised: tuple[float, float] | None) -> None:
    """What can wait waits, unless its visit comes first. What is live goes by mail, and by SMS only to a visit promised
    for the night.

    Who asked for a link gets it."""
    held = held_until_s(message(kind, channel), promised, TEN, "Europe/Lisbon", OrganisationSettings()) is not None
    rings = channel is Channel.sms and promised is not BY_NIGHT
    begun = promised is not None and kind in (MessageKind.booked, MessageKind.reminder)
    never = channel is Channel.webhook or kind is MessageKind.new_link or begun
    assert held is (not never and (kind not in LIVE or rings))
