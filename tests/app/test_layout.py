"""Every screen in every look: nothing is cut, nothing lies over anything, everything can be hit with a thumb."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.app_tour import tour  # before any Kivy
from tests.support.layout import faults
from tests.support.window import LOOKS, Look


@pytest.mark.parametrize("look", [pytest.param(look, id=look.name) for look in LOOKS if not look.dark])
async def test_every_screen_is_whole(look: Look, tmp_path: Path) -> None:
    """In English, Thai and Arabic, on small phones and with large text: computed from the widgets, which dark leaves
    where they are."""
    found = {}
    async for name, driver in tour(tmp_path, look):
        if wrong := faults(driver):
            found[name] = wrong
    assert found == {}
