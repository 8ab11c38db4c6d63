"""Everything a technician reads exists in every language, whole, and times and numbers are said as people say them."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from tech_app.core.shaping import ZERO_WIDTH_SPACE, drawn
from tech_app.release import catalogues
from tech_app.release.fonts import FONTS
from tech_app.ui import words
from tests.support.server import CLONE

APP = CLONE / "tech_app"
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
FOREIGN = re.compile(r"[A-Za-z]{2,}")
NAMES = ("Doorstep", "GPS", "QR", "SMS", "Wi-Fi", "Android", "Google", "Waze", "OpenStreetMap", "kB", "MB", "https")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    words.use("en")


@cache
def used() -> dict[str, str | None]:
    """Every text that the app's code names, with its plural."""
    found: dict[str, str | None] = {}
    for _, _, text, _, _ in extract_from_dir(APP, [("**.py", "python"), ("**.kv", "python")]):
        singular, plural = text if isinstance(text, tuple) else (text, None)
        found[singular] = plural
    return found


@cache
def catalogue(language: str) -> Catalog:
    with catalogues.source(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_catalogue_has_what_is_used_and_nothing_else(language: str) -> None:
    """What a fresh extraction finds is what the catalogue holds, plurals and all."""
    ids = [forms(message.id) for message in catalogue(language) if message.id]
    kept = {id_[0]: id_[1] if len(id_) == 2 else None for id_ in ids}
    assert kept == used()
    assert not [message.id for message in catalogue(language) if message.fuzzy and message.id]


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_each_text_is_translated_whole(language: str) -> None:
    """No text is empty outside of English, no plural form is missing, and placeholders are the original's."""
    for message in catalogue(language):
        if not message.id:
            continue
        originals, texts = forms(message.id), forms(message.string)
        if len(originals) == 2:
            assert len(texts) == catalogue(language).num_plurals, message.id
        wanted = {name for text in originals for name in PLACEHOLDER.findall(text)}
        for text in texts:
            if language == "en" and len(originals) == 1:
                assert text in ("", message.id)
                continue
            assert text.strip(), message.id
            names = set(PLACEHOLDER.findall(text))
            assert names == wanted or (len(originals) == 2 and names <= wanted), text
            assert "%" not in PLACEHOLDER.sub("", text), text
            if language != "en":
                spoken = PLACEHOLDER.sub("", text)
                for name in NAMES:
                    spoken = spoken.replace(name, "")
                assert not FOREIGN.search(spoken), f"{text!r} is left in English"


def test_plural_rules_are_the_language_s_own() -> None:
    """As many forms as CLDR knows: one in Thai, six in Arabic."""
    assert {language: catalogue(language).num_plurals for language in words.LANGUAGES} == {"en": 2, "th": 1, "ar": 6}


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_font_has_every_letter_of_every_word(language: str) -> None:
    """What is given to SDL2 for any text of the app, which would draw a box for a letter that the font lacks."""
    letters = set(TTFont(FONTS / "DoorstepSans-Regular.ttf").getBestCmap())
    assert letters == set(TTFont(FONTS / "DoorstepSans-Bold.ttf").getBestCmap())
    for message in catalogue(language):
        for text in (*forms(message.id), *forms(message.string or "")):
            assert {ord(sign) for sign in drawn(text.replace("\n", ""))} <= letters, text


def test_a_compiled_catalogue_speaks(tmp_path: Path) -> None:
    """With the standard library alone, plurals too; in Thai the places between words are marked, and nothing else."""
    catalogues.main([str(tmp_path)])
    for language in words.LANGUAGES:
        spoken = gettext.translation("app", tmp_path, [language])
        for message in catalogue(language):
            if message.id and isinstance(message.id, str):
                said = spoken.gettext(message.id)
                assert said.replace(ZERO_WIDTH_SPACE, "") == (message.string or message.id)
                assert language == "th" or ZERO_WIDTH_SPACE not in said
    arabic = gettext.translation("app", tmp_path, ["ar"])
    assert len({arabic.ngettext("%(number)s day ago", "%(number)s days ago", n) for n in (1, 2, 3, 11, 100)}) == 5
    thai = gettext.translation("app", tmp_path, ["th"])
    assert thai.gettext("Remove photo").split(ZERO_WIDTH_SPACE) == ["ลบ", "รูปภาพ"]


def test_times_and_numbers_in_words() -> None:
    """As short as they can be read at a glance."""
    noon = datetime(2026, 11, 22, 12, 5).timestamp()  # noqa: DTZ001 (the phone's own zone)
    assert words.clock_time(noon) == "12:05"
    assert words.window((noon, noon + 7200)) == "12:05–14:05"  # noqa: RUF001
    days = ("2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24", "rubbish")
    said = ["Yesterday", "Today", "Tomorrow", "Tuesday 24 November", ""]
    assert [words.day_name(day, "2026-11-22") for day in days] == said
    assert [words.duration(s) for s in (0, 45, 60, 3599, 3600, 5400)] == [
        "0 s",
        "45 s",
        "1 min",
        "59 min",
        "1 h",
        "1 h 30 min",
    ]
    assert [words.ago(s) for s in (3, 45, 240, 90_000, 200_000)] == [
        "just now",
        "45 s ago",
        "4 min ago",
        "25 h ago",
        "2 days ago",
    ]
    assert [words.timer(s) for s in (-1, 5, 245, 3845)] == ["0:00", "0:05", "4:05", "1:04:05"]
    assert [words.distance(m) for m in (4, 84, 999, 1240, 14_400)] == ["4 m", "80 m", "1.0 km", "1.2 km", "14 km"]
    assert [words.size(n) for n in (300_400, 4_230_000)] == ["300 kB", "4.2 MB"]


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_longer_is_never_said_shorter(one: float, other: float) -> None:
    """A duration in words is at most a minute less than what it says, and never more."""
    shorter, longer = sorted((one, other))
    assert _seconds(words.duration(shorter)) <= _seconds(words.duration(longer))
    assert 0 <= longer - _seconds(words.duration(longer)) < 60


def _seconds(said: str) -> int:
    parts = said.split()
    return sum(int(n) * {"s": 1, "min": 60, "h": 3600}[unit] for n, unit in zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("told", "spoken"), [("th_TH.UTF-8", "th"), ("ar-EG", "ar"), ("de_DE", "en"), ("C", "en")])
def test_the_phone_s_language_is_spoken_where_we_can(monkeypatch: pytest.MonkeyPatch, told: str, spoken: str) -> None:
    """And English where we cannot."""
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", told)
    assert words.system_language() == spoken
