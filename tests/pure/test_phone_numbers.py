"""Phone numbers: one spelling, and no SMS where it only costs."""

from __future__ import annotations

import pytest

from tracking_server.phone_numbers import NotANumber, e164, home_country, is_in, takes_sms


@pytest.mark.parametrize(
    ("typed", "country", "kept"),
    [
        ("+351 912 345 678", None, "+351912345678"),
        ("912 345 678", "PT", "+351912345678"),
        ("00351 912 345 678", "PT", "+351912345678"),
        ("081-234-5678", "TH", "+66812345678"),
        ("+966 (51) 234-5678", None, "+966512345678"),
    ],
)
def test_a_number_has_one_spelling(typed: str, country: str | None, kept: str) -> None:
    """E.164, however it is typed."""
    assert e164(typed, country) == kept


@pytest.mark.parametrize(
    "typed",
    ["", " ", "912345678", "+1;rm -rf", "+351912345678;ext=1", "+351912345678,+351912345679", "tel:+351912345678",
     "+351912345678\r\nBcc: x", "+999123456789", "+35191", "+" + "1" * 60, "call me", "\u0661\u0662\u0663"],
)  # fmt: skip
def test_what_is_no_number_is_refused(typed: str) -> None:
    """Lists, URIs, shell words, lines, countries that are none."""
    with pytest.raises(NotANumber):
        e164(typed)


@pytest.mark.parametrize(
    ("number", "takes"),
    [
        ("+351912345678", True),
        ("+12025550123", True),
        ("+351760123456", False),  # premium rate
        ("+351800123456", False),  # toll free
        ("+351 912 345 678", False),  # not as it is kept
        ("nonsense", False),
    ],
)
def test_some_numbers_take_no_sms(number: str, takes: bool) -> None:
    """What earns its owner money by being called, and what cannot receive."""
    assert takes_sms(number) is takes


def test_where_a_number_is_from() -> None:
    """By its region, not by its prefix: the United States and Canada share one."""
    assert is_in("+351912345678", ["PT"])
    assert not is_in("+14165550123", ["US"])
    assert is_in("+12025550123", ["US"])


@pytest.mark.parametrize(
    ("office_phone", "time_zone", "country"),
    [
        ("+351220000000", "Asia/Bangkok", "PT"),
        ("220 000 000", "Europe/Lisbon", "PT"),
        ("+80012345678", "Europe/Lisbon", "PT"),
        (None, "Asia/Bangkok", "TH"),
        (None, "Asia/Riyadh", "SA"),
        (None, "UTC", None),
        (None, "Etc/GMT-3", None),
    ],
)
def test_a_firm_is_at_home_somewhere(office_phone: str | None, time_zone: str, country: str | None) -> None:
    """By its office's phone, else by its clock; else nobody knows, and no SMS goes before it says."""
    assert home_country(office_phone, time_zone) == country
