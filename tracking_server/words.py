"""Everything people read, in their language: gettext catalogues, and Babel for times and numbers.

The catalogues are `customer_view/locale/<language>/LC_MESSAGES/doorstep.po` for customers and `board.po` for staff,
compiled in memory at start.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton, format_time, get_timezone_gmt
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.units import format_unit

VIEW = Path(__file__).parent.parent / "customer_view"
LANGUAGES = ("en", "th", "ar")
OWN_NAMES = {"en": "English", "th": "ไทย", "ar": "العربية"}
# A first word that is half a name: Abd Allah is not Abd.
HALF_NAMES = frozenset({"abd", "abdul", "abdel", "abu", "عبد", "أبو", "ابو"})
MOST_ACCEPTED = 200  # characters of Accept-Language that are looked at
Q_VALUE = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)


@cache
def catalogue(language: str, domain: str = "doorstep") -> gettext.GNUTranslations:
    """The texts of one of `LANGUAGES`: `doorstep`, what customers read, or `board`, what staff read."""
    path = VIEW / "locale" / language / "LC_MESSAGES" / f"{domain}.po"
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose_language(asked: str | None, accept_language: str, default: str = "en") -> str:
    """`?lang=` first, then what the browser likes best, then the default: always one of `LANGUAGES`."""
    preferred = [(_primary(asked), 1.0)] if asked else []
    preferred += sorted(_liked(accept_language[:MOST_ACCEPTED]), key=lambda choice: -choice[1])
    return next((language for language, liking in preferred if language in LANGUAGES and liking > 0), default)


def _liked(accept_language: str) -> Iterator[tuple[str, float]]:
    """Each language a browser names, with how much it likes it (q, 0 to 1)."""
    for part in accept_language.split(","):
        language, _, parameter = part.partition(";")
        found = Q_VALUE.fullmatch(parameter.strip())
        if found or not parameter.strip():
            yield _primary(language), float(found[1]) if found else 1.0


def _primary(language: str) -> str:
    """`TH-th` is Thai."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


def direction(language: str) -> str:
    """`ltr` or `rtl`."""
    return Locale.parse(language).text_direction


def clock_time(seconds: float, time_zone: str, language: str) -> str:
    """A time of day as people write it: 2:05 PM, 14:05."""
    return format_time(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "short", locale=language)


def span(earliest_s: float, latest_s: float, time_zone: str, language: str) -> str:
    """Two times of one day, as short as people write it, with AM and PM where they do."""
    zone = ZoneInfo(time_zone)
    earliest, latest = (datetime.fromtimestamp(at_s, zone) for at_s in (earliest_s, latest_s))
    if "a" in Locale.parse(language).time_formats["short"].pattern:
        return format_interval(earliest, latest, "hm", locale=language)
    return f"{earliest:%H:%M}–{latest:%H:%M}"  # noqa: RUF001 (a dash between two times)


def duration(seconds: float, language: str) -> str:
    """How long something takes: 18 min, 1 hr 30 min."""
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [(hours, "hour"), (minutes, "minute")]
    spoken = [format_unit(count, f"duration-{unit}", "short", locale=language) for count, unit in parts if count]
    return " ".join(spoken)


def date(seconds: float, time_zone: str, language: str) -> str:
    """A day of this year: Sun, Nov 22."""
    return format_skeleton("MMMMEEEEd", datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), locale=language)


def day(seconds: float, time_zone: str, language: str) -> str:
    """A day as people write it: Sunday, November 22, 2026."""
    return format_date(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "full", locale=language)


def short_day(seconds: float, time_zone: str, language: str) -> str:
    """A day in little room: Sun, Nov 22."""
    return format_skeleton("MMMEd", datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), locale=language)


def short_date(iso: str, language: str) -> str:
    """A date in little room; empty when it is none."""
    try:
        return format_skeleton("MMMEd", datetime.fromisoformat(iso), locale=language)
    except ValueError:
        return ""


def same_day(seconds: float, other_s: float, time_zone: str) -> bool:
    """Whether two moments have the same date there."""
    zone = ZoneInfo(time_zone)
    return datetime.fromtimestamp(seconds, zone).date() == datetime.fromtimestamp(other_s, zone).date()


def zone(seconds: float, time_zone: str, language: str) -> str:
    """How far clocks there are from Greenwich at that moment: GMT+07:00."""
    return get_timezone_gmt(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "long", locale=language)


def iso_day(seconds: float, time_zone: str) -> str:
    """The date there, as in 2026-11-22."""
    return datetime.fromtimestamp(seconds, ZoneInfo(time_zone)).date().isoformat()


def days_later(seconds: float, days: int, time_zone: str) -> float:
    """The same time of day there, so many days later: some have 23 hours, some 25."""
    return (datetime.fromtimestamp(seconds, ZoneInfo(time_zone)) + timedelta(days=days)).timestamp()


def first_name(name: str) -> str:
    """How a technician is called: the first word, with the second where the first alone is no name."""
    parts = name.split()
    return " ".join(parts[: 2 if parts and parts[0].lower() in HALF_NAMES else 1])
