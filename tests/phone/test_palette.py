"""The colours can be read in the sun and at night."""

from __future__ import annotations

import pytest

from tech_app.ui.palette import DARK, LIGHT, Palette, contrast

# What is written on what, as the widgets do.
WRITTEN = {
    "ink": ("paper", "card", "bar", "calm_paper"),
    "soft": ("paper", "card", "calm_paper"),
    "accent_ink": ("paper", "card", "bar", "calm_paper"),
    "bad_ink": ("paper", "card", "bad_paper", "calm_paper"),
    "ink_on_accent": ("accent",),
    "ink_on_danger": ("danger",),
    "good_ink": ("good_paper",),
    "warn_ink": ("warn_paper",),
    "calm_ink": ("calm_paper",),
    "paper": ("ink",),
}
BODY = 7.0
ANY_TEXT = 4.5
SIGNS = 3.0


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_written_can_be_read(palette: Palette) -> None:
    """Body text 7:1, as much as the standard asks of nobody; nothing below 4.5:1, also while a finger is on it."""
    for ink, papers in WRITTEN.items():
        for paper in papers:
            least = ANY_TEXT if paper == "calm_paper" and ink != "ink" else BODY
            assert contrast(getattr(palette, ink), getattr(palette, paper)) >= least, (ink, paper)
    assert contrast(palette.ink_on_accent, palette.held) >= ANY_TEXT
    assert contrast(palette.ink_on_danger, palette.held) >= ANY_TEXT


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_what_can_be_touched_is_seen(palette: Palette) -> None:
    """Its edge or its ground, against paper and card."""
    for role in ("edge", "accent", "danger"):
        for paper in (palette.paper, palette.card):
            assert contrast(getattr(palette, role), paper) >= SIGNS, role


def test_contrast_is_as_the_standard_counts_it() -> None:
    """Its own examples: black on white, and the grey that just passes."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.005)
