"""Addresses that hand a technician over to the app they like: navigation, a call, a message. Pure."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote, urlencode


class Platform(StrEnum):
    """What the phone is."""

    android = "android"
    ios = "ios"
    desktop = "desktop"


class Navigator(StrEnum):
    """A navigation app. `system` is what the phone itself asks about or prefers."""

    system = "system"
    google = "google"
    waze = "waze"


def navigation_url(platform: Platform, navigator: Navigator, lat: float, lon: float, label: str = "") -> str:
    """What to open to be led to a place. An app that is not there opens in the browser where that is possible."""
    place = f"{lat:.6f},{lon:.6f}"
    match navigator, platform:
        case Navigator.waze, _:
            return "https://waze.com/ul?" + urlencode({"ll": place, "navigate": "yes"}, safe=",")
        case Navigator.google, Platform.android:
            return f"google.navigation:q={place}&mode=d"
        case Navigator.system, Platform.android:
            return f"geo:{place}?q={place}" + (f"({quote(label)})" if label else "")
        case Navigator.system, Platform.ios:
            return "maps://?" + urlencode({"daddr": place, "dirflg": "d"}, safe=",")
    asked = {"api": "1", "destination": place, "travelmode": "driving"}
    return "https://www.google.com/maps/dir/?" + urlencode(asked, safe=",")


def call_url(number: str) -> str | None:
    """What to open to call somebody; None for what is no number."""
    dialled = _dialled(number)
    return None if dialled is None else f"tel:{dialled}"


def message_url(number: str) -> str | None:
    """What to open to write to somebody; None for what is no number."""
    dialled = _dialled(number)
    return None if dialled is None else f"sms:{dialled}"


def _dialled(number: str) -> str | None:
    """Only what is dialled: never a star or a hash, which are orders to the network."""
    digits = "".join(sign for sign in number if sign in "0123456789")
    if not digits or any(sign not in "0123456789 +-().\u00a0/" for sign in number):
        return None
    return ("+" if number.lstrip().startswith("+") else "") + digits
