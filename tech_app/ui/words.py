"""Everything a technician reads, in their language: gettext catalogues, and times and numbers as people write them.

The catalogues are `tech_app/locale/<language>/LC_MESSAGES/app.po`, compiled by `tech_app.release.catalogues`. Knows no
Kivy. Times are those of the phone's own zone: it is at the door.
"""

from __future__ import annotations

import gettext
import locale
import os
import time
from datetime import date
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "th", "ar")
OWN_NAMES = {"en": "English", "th": "ไทย", "ar": "العربية"}
CATALOGUES = Path(__file__).parents[1] / "locale"

_now = "en"


def use(language: str) -> None:
    """Speak one of `LANGUAGES` from now on; what is on the screen already stays as it is."""
    global _now
    _now = language if language in LANGUAGES else "en"


def language() -> str:
    """The one spoken now."""
    return _now


def is_right_to_left() -> bool:
    """Whether screens are mirrored."""
    return _now == "ar"


def system_language() -> str:
    """The phone's language, or English where we do not speak it."""
    if "ANDROID_ARGUMENT" in os.environ:  # not tried on a phone
        from jnius import autoclass

        told = autoclass("java.util.Locale").getDefault().getLanguage()
    else:
        told = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    spoken = str(told).replace("-", "_").partition("_")[0].lower()
    return spoken if spoken in LANGUAGES else "en"


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The texts of a language; the English originals where they were not compiled."""
    return gettext.translation("app", CATALOGUES, [language], fallback=True)


def _(text: str) -> str:
    """A text in the language spoken now."""
    return catalogue(_now).gettext(text)


def ngettext(singular: str, plural: str, n: int) -> str:
    """A text that says how many, in the language spoken now."""
    return catalogue(_now).ngettext(singular, plural, n)


def clock_time(seconds: float) -> str:
    """A time of day: 14:05."""
    return time.strftime("%H:%M", time.localtime(seconds))


def window(promised: tuple[float, float]) -> str:
    """Two times of one day, with a dash between them."""
    return f"{clock_time(promised[0])}–{clock_time(promised[1])}"  # noqa: RUF001 (a dash between two times)


def day_name(day: str, today: str) -> str:
    """An ISO date as one says it seen from another: Today, Tomorrow, Yesterday, Monday 23 November. Empty for none."""
    try:
        asked = date.fromisoformat(day)
        away = (asked - date.fromisoformat(today)).days
    except ValueError:
        return ""
    if away in (-1, 0, 1):
        return (_("Today"), _("Tomorrow"), _("Yesterday"))[away]
    names = {"weekday": weekday(asked.weekday()), "day": asked.day, "month": month(asked.month)}
    return _("%(weekday)s %(day)s %(month)s") % names


def weekday(n: int) -> str:
    """Its name; Monday is 0."""
    return (
        _("Monday"),
        _("Tuesday"),
        _("Wednesday"),
        _("Thursday"),
        _("Friday"),
        _("Saturday"),
        _("Sunday"),
    )[n]


def month(n: int) -> str:
    """Its name; January is 1."""
    return (
        _("January"),
        _("February"),
        _("March"),
        _("April"),
        _("May"),
        _("June"),
        _("July"),
        _("August"),
        _("September"),
        _("October"),
        _("November"),
        _("December"),
    )[n - 1]


def minutes(n: int) -> str:
    """A number of minutes: 20 min."""
    return _("%(number)s min") % {"number": n}


def duration(seconds: float) -> str:
    """How long something takes or took: 45 s, 18 min, 1 h 30 min."""
    if seconds < 60:
        return _("%(number)s s") % {"number": max(0, int(seconds))}
    hours, rest = divmod(int(seconds) // 60, 60)
    if not hours:
        return minutes(rest)
    spoken = _("%(number)s h") % {"number": hours}
    return f"{spoken} {minutes(rest)}" if rest else spoken


def ago(seconds: float) -> str:
    """How long since: just now, 18 min ago. In days from the second on."""
    if seconds < 10:
        return _("just now")
    days = int(seconds // 86_400)
    if days >= 2:
        return ngettext("%(number)s day ago", "%(number)s days ago", days) % {"number": days}
    return _("%(duration)s ago") % {"duration": duration(seconds)}


def timer(seconds: float) -> str:
    """A clock that counts: 4:05, 1:04:05."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def distance(metres: float) -> str:
    """How far: 80 m, 1.2 km, 14 km."""
    rounded = round(metres / 10) * 10 if metres >= 20 else round(metres)
    if rounded < 1000:
        return _("%(number)s m") % {"number": rounded}
    kilometres = metres / 1000
    return _("%(number)s km") % {"number": f"{kilometres:.1f}" if kilometres < 10 else f"{kilometres:.0f}"}


def size(octets: float) -> str:
    """How much data: 300 kB, 4.2 MB."""
    if octets < 1_000_000:
        return _("%(number)s kB") % {"number": round(octets / 1000)}
    return _("%(number)s MB") % {"number": f"{octets / 1_000_000:.1f}"}
