"""Phone numbers of customers: one spelling (E.164), and which of them a short message may go to."""

from __future__ import annotations

from collections.abc import Collection

import phonenumbers
from babel.core import get_global
from phonenumbers import PhoneNumberFormat, PhoneNumberType

# Premium and shared-cost numbers are what "SMS pumping" earns by; the others here receive no SMS.
REFUSED_TYPES = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
    }
)
LONGEST = 40  # characters typed, spaces and brackets included
SPELLED = frozenset("+0123456789 ()-./\u00a0")


class NotANumber(ValueError):
    """Not a phone number: write it with its country, as in +351 912 345 678."""


def e164(typed: str, country: str | None = None) -> str:
    """A typed number in its one spelling; without a `+` it is one of `country` (ISO 3166). Raises `NotANumber`."""
    text = typed.strip()
    if not text or len(text) > LONGEST or not set(text) <= SPELLED:
        raise NotANumber(NotANumber.__doc__)
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise NotANumber(NotANumber.__doc__) from None
    if not phonenumbers.is_valid_number(number):
        raise NotANumber(NotANumber.__doc__)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def as_told(text: str) -> str:
    """What a provider or a setting calls a number, in its one spelling: with a `+`, 00 or neither before its country.

    What is none, a short code or a name, stays as it is."""
    for typed in (text, "+" + text.strip().removeprefix("00")):
        try:
            return e164(typed)
        except NotANumber:
            continue
    return text


def takes_sms(number: str) -> bool:
    """Whether this is a kept number (E.164) of a kind that a short message may go to."""
    try:
        if e164(number) != number:
            return False
    except NotANumber:
        return False
    return phonenumbers.number_type(phonenumbers.parse(number)) not in REFUSED_TYPES


def is_in(number: str, countries: Collection[str]) -> bool:
    """Whether a number (E.164) belongs to one of these countries (ISO 3166)."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    return region is not None and region in countries


def home_country(office_phone: str | None, time_zone: str) -> str | None:
    """Where a firm is, by its office's phone or else its time zone: ISO 3166, None when neither tells."""
    if office_phone is not None:
        try:
            country = phonenumbers.region_code_for_number(phonenumbers.parse(office_phone))
        except phonenumbers.NumberParseException:
            country = None  # as dialled at home, without its country
        if country is not None and country.isalpha():
            return country  # and not 001, whose numbers are of no country
    country = get_global("zone_territories").get(time_zone)
    return country if country and country.isalpha() and country != "ZZ" else None
