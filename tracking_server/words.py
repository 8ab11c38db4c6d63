"""Everything a customer reads, in their language: gettext catalogues, and Babel for times and numbers.

The catalogues are `customer_view/locale/<language>/LC_MESSAGES/doorstep.po`, compiled in memory at start.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

VIEW = Path(__file__).parent.parent / "customer_view"
LANGUAGES = ("en", "th", "ar")


@cache
def catalogue(language: str) -> gettext.GNUTranslations:
    """The texts of one of `LANGUAGES`."""
    path = VIEW / "locale" / language / "LC_MESSAGES" / "doorstep.po"
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose_language(asked: str | None, accept_language: str, default: str = "en") -> str:
    """`?lang=` first, then what the browser prefers, then the default."""
    if asked in LANGUAGES:
        return str(asked)
    preferred = [part.split(";")[0].strip().replace("-", "_") for part in accept_language[:200].split(",")]
    return _negotiate(preferred) or default


def _negotiate(preferred: Sequence[str]) -> str | None:
    found = negotiate_locale([language for language in preferred if language], LANGUAGES)
    return found.split("_")[0] if found else None


def direction(language: str) -> str:
    """`ltr` or `rtl`."""
    return Locale.parse(language).text_direction


def clock_time(seconds: float, time_zone: str, language: str) -> str:
    """A time of day as people write it: 2:05 PM, 14:05."""
    return format_time(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "short", locale=language)


def day(seconds: float, time_zone: str, language: str) -> str:
    """A day as people write it: Sunday, November 22."""
    return format_date(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "full", locale=language)


def day_and_time(seconds: float, time_zone: str, language: str) -> str:
    """A moment as people write it."""
    return format_datetime(datetime.fromtimestamp(seconds, ZoneInfo(time_zone)), "medium", locale=language)
