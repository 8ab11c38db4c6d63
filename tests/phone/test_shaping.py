"""What SDL2 is given to draw, and where lines are broken."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tech_app.core.shaping import (
    CLUSTERS_FROM,
    CONSONANTS,
    ELLIPSIS,
    NOT_FIRST,
    NOT_LAST,
    TONES,
    VOWELS,
    cluster_code,
    drawn,
    letters,
    reads_right_to_left,
    wrapped,
)

THAI = "กขคฝปญฐดนำ" + "ะาิีึืุู็่้๊๋์ํ" + "เแโใไๆฯ"
ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءآأؤإئ"
ANYTHING = st.text(st.sampled_from("abc XYZ 123 .,-()[]\u200b" + THAI + ARABIC + "\n"), max_size=60)
SAID_AND_DRAWN = [
    ("Ana Sousa, 12-AB-34", "Ana Sousa, 12-AB-34"),
    ("e\u0301", "é"),
    # joined, turned round, lam and alef in one; brackets look the other way
    ("سلام", "\ufee1\ufefc\ufeb3"),
    ("(سلام)", "(\ufee1\ufefc\ufeb3)"),
    ("سلام 09:00", "09:00 \ufee1\ufefc\ufeb3"),
    ("سلام Ana (B 12) a", "Ana (B 12) a \ufee1\ufefc\ufeb3"),
    ("سلام 09:00–11:00", "09:00–11:00 \ufee1\ufefc\ufeb3"),  # noqa: RUF001
    ("سلام +351 220 000", "+351 220 000 \ufee1\ufefc\ufeb3"),
    ("سلام 5 10115", "10115 5 \ufee1\ufefc\ufeb3"),
    ("سلام Ana (12-AB)", "Ana (12-AB) \ufee1\ufefc\ufeb3"),
    ("سلام (Ana)", "(Ana) \ufee1\ufefc\ufeb3"),
    ("Ana (سلام)", "Ana (\ufee1\ufefc\ufeb3)"),
]


def ten_a_letter(line: str) -> float:
    return 10.0 * len(drawn(line))


@pytest.mark.parametrize(("said", "seen"), SAID_AND_DRAWN)
def test_a_line_as_it_is_drawn(said: str, seen: str) -> None:
    """From left to right, each letter in its form."""
    assert drawn(said) == seen


def test_a_consonant_with_its_signs_is_one_glyph() -> None:
    """Also sara am, which goes half over its consonant, below the tone, and half behind it."""
    assert drawn("ดื่ม") == chr(cluster_code("ด", "ื", "่")) + "ม"
    assert drawn("น้ำ") == chr(cluster_code("น", "\u0e4d", "้")) + "า"
    assert drawn("โต๊ะ") == "โ" + chr(cluster_code("ต", "", "๊")) + "ะ"
    assert drawn("ฏุ") == chr(cluster_code("ฏ", "ุ", ""))
    assert drawn("มา") == "มา"


def test_no_two_clusters_have_the_same_place() -> None:
    """All of them lie in the private area, below the icons."""
    codes = {cluster_code(c, v, t) for c in CONSONANTS for v in VOWELS for t in TONES}
    assert len(codes) == len(CONSONANTS) * len(VOWELS) * len(TONES)
    assert min(codes) == CLUSTERS_FROM
    assert max(codes) < 0xF700


def test_the_direction_of_a_text_is_that_of_its_first_letter() -> None:
    """Numbers and signs have none."""
    assert reads_right_to_left("12 (سلام) Ana")
    assert not reads_right_to_left("12 Ana سلام")
    assert reads_right_to_left("09:00", otherwise=True)
    assert drawn("Ana سلام", right_to_left=True) == "\ufee1\ufefc\ufeb3 Ana"


@given(ANYTHING)
def test_anything_can_be_drawn(text: str) -> None:
    """Nothing is lost but what has no glyph, and no Arabic letter is left unjoined."""
    line = drawn(text.replace("\n", ""))
    assert not set(line) & set(ARABIC)
    assert sum(sign.isdigit() for sign in line) == sum(sign.isdigit() for sign in text)


@given(ANYTHING, st.integers(1, 400))
def test_lines_hold_the_whole_text_and_fit(text: str, width: int) -> None:
    """In order, each within the width, unless a letter alone is wider."""
    lines = wrapped(text, width, ten_a_letter)
    assert _bare("".join(lines)) == _bare(text)
    for line in lines:
        assert ten_a_letter(line) <= width or len(letters(line)) == 1


@given(st.text(st.sampled_from(THAI), max_size=40), st.integers(1, 200))
def test_no_line_breaks_a_letter_off_its_signs(text: str, width: int) -> None:
    """None but the first begins with what belongs to the letter before, none but the last ends before its consonant."""
    lines = wrapped(text, width, ten_a_letter)
    for before, line in pairwise(lines):
        assert line[0] not in NOT_FIRST
        assert before[-1] not in NOT_LAST


@given(ANYTHING, st.integers(20, 400), st.integers(1, 4))
def test_no_more_lines_than_there_is_room_for(text: str, width: int, most: int) -> None:
    """What is left out is told by an ellipsis, which fits too."""
    whole, cut = wrapped(text, width, ten_a_letter), wrapped(text, width, ten_a_letter, most)
    assert len(cut) == min(len(whole), most)
    if len(whole) > most:
        assert cut[-1].endswith(ELLIPSIS)
        assert ten_a_letter(cut[-1]) <= width


def test_lines_break_between_words() -> None:
    """At spaces; in Thai before a vowel that begins a syllable, or where a mark says that a word ends."""
    assert wrapped("Leaking tap in the bathroom", 120, ten_a_letter) == ["Leaking tap", "in the", "bathroom"]
    assert wrapped("Mannerheimintie", 80, ten_a_letter) == ["Mannerhe", "imintie"]
    assert wrapped("ไปที่บ้านแล้วแจ้ง", 60, ten_a_letter) == ["ไปที่บ้าน", "แล้วแจ้ง"]
    assert wrapped("กำลัง\u200bทำงาน", 80, ten_a_letter) == ["กำลัง", "ทำงาน"]
    assert wrapped("one\n\ntwo ", 100, ten_a_letter) == ["one", "", "two"]


def _bare(text: str) -> str:
    return "".join(sign for sign in text if not sign.isspace() and unicodedata.category(sign) != "Cf")
