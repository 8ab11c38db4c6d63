"""The technician is handed over to the app they like."""

from __future__ import annotations

import pytest

from tech_app.core.navigation import Navigator, Platform, call_url, message_url, navigation_url


@pytest.mark.parametrize(
    ("platform", "navigator", "url"),
    [
        (Platform.android, Navigator.google, "google.navigation:q=41.149600,-8.610900&mode=d"),
        (Platform.android, Navigator.system, "geo:41.149600,-8.610900?q=41.149600,-8.610900(Rua%201%20%28B%29)"),
        (Platform.ios, Navigator.system, "maps://?daddr=41.149600,-8.610900&dirflg=d"),
        (Platform.ios, Navigator.waze, "https://waze.com/ul?ll=41.149600,-8.610900&navigate=yes"),
        (
            Platform.desktop,
            Navigator.system,
            "https://www.google.com/maps/dir/?api=1&destination=41.149600,-8.610900&travelmode=driving",
        ),
        (
            Platform.ios,
            Navigator.google,
            "https://www.google.com/maps/dir/?api=1&destination=41.149600,-8.610900&travelmode=driving",
        ),
    ],
)
def test_the_way_is_shown_by_another_app(platform: Platform, navigator: Navigator, url: str) -> None:
    """An address that the platform's app understands; what a label says never ends it."""
    assert navigation_url(platform, navigator, 41.1496, -8.6109, "Rua 1 (B)") == url


@pytest.mark.parametrize(
    ("number", "dialled"),
    [
        ("+351 220 000-000", "+351220000000"),
        ("(022) 12.34/5", "022" + "12345"),
        ("*#06#", None),
        ("", None),
        ("x", None),
    ],
)
def test_only_numbers_are_dialled(number: str, dialled: str | None) -> None:
    """Never an order to the network."""
    assert call_url(number) == (dialled and f"tel:{dialled}")
    assert message_url(number) == (dialled and f"sms:{dialled}")
