"""Whatever colour a firm has, its customers can read what is written in it."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.support.server import CLONE
from tracking_server.domain.colour import DARK_PAPERS, DEFAULT, LIGHT_PAPERS, contrast, palette

COLOURS = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in product(range(0, 256, 51), repeat=3)]


def test_contrast_is_as_the_standard_counts_it() -> None:
    """Its own examples: black on white, white on white, and the grey that just passes."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#ffffff", "#ffffff") == pytest.approx(1.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_every_colour_can_be_read_in_both_themes() -> None:
    """Text on it, text in it, and its surfaces, for 216 colours across the whole cube."""
    for colour in COLOURS:
        paint = palette(colour)
        assert contrast(paint.fill, paint.on_fill) >= 4.5, colour
        for ink, papers in ((paint.ink_light, LIGHT_PAPERS), (paint.ink_dark, DARK_PAPERS)):
            assert min(contrast(ink, paper) for paper in papers) >= 4.5, colour


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    """And a firm without one gets ours."""
    assert palette("#0b5cad").ink_light == "#0b5cad"
    assert palette("#ffd500").ink_dark == palette("#ffd500").fill == "#ffd500"
    assert palette(None) == palette(DEFAULT)


def test_the_papers_are_those_of_the_style_sheet() -> None:
    """The server computes with the very colours that the page is painted with."""
    css = (CLONE / "customer_view" / "styles" / "tokens.css").read_text()
    for name, colours in (("card", (LIGHT_PAPERS[0], DARK_PAPERS[0])), ("paper", (LIGHT_PAPERS[1], DARK_PAPERS[1]))):
        assert tuple(re.findall(rf"--{name}: (#[0-9a-f]{{6}});", css)) == colours
