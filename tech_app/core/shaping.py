"""Text as SDL2 must be given it to draw it right: pure.

SDL2 puts one glyph beside the other and shapes nothing. So Arabic letters are joined and turned round here, and a Thai
consonant with what stands above or below it becomes one character of a private area, for which the app's font has a
glyph (`tech_app.release.fonts` makes it, from the table here). Lines are broken before that, in the order of reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from arabic_reshaper import ArabicReshaper
from bidi.algorithm import get_display

# A cluster is a consonant, then at most one sign that touches it, then at most one that lies on top.
CLUSTERS_FROM = 0xE000
CONSONANTS = "".join(map(chr, range(0x0E01, 0x0E2F)))
VOWELS = ("", *"\u0e31\u0e34\u0e35\u0e36\u0e37\u0e38\u0e39\u0e3a\u0e47\u0e4d")
TONES = ("", *"\u0e48\u0e49\u0e4a\u0e4b\u0e4c\u0e4e")
MARKS = "".join((*VOWELS, *TONES))
CLUSTER = re.compile(f"([{CONSONANTS}])([{''.join(VOWELS)}]?)([{''.join(TONES)}]?)")
SARA_AM, NIKHAHIT, SARA_AA = "\u0e33", "\u0e4d", "\u0e32"
AM_AFTER_TONE = re.compile(f"([{''.join(TONES)}]?){SARA_AM}")

# No break before these: vowels that follow their consonant, repetition, abbreviation, what closes.
NOT_FIRST = frozenset(MARKS + "\u0e30\u0e32\u0e33\u0e45\u0e2f\u0e46" + ")]}»”\u2019,.:;!?%…،؛؟")
# No break after these: vowels written before their consonant, what opens.
LEADING_VOWELS = "\u0e40\u0e41\u0e42\u0e43\u0e44"
NOT_LAST = frozenset(LEADING_VOWELS + "([{«“\u2018")
ZERO_WIDTH_SPACE = "\u200b"
SPACES = re.compile(f"(?<=[ \t{ZERO_WIDTH_SPACE}])(?![ \t{ZERO_WIDTH_SPACE}])")
# Thai has no spaces between words. Where nothing marks them, a syllable begins or ends here for certain.
SYLLABLES = re.compile(f"(?<=[\u0e01-\u0e5b])(?=[{LEADING_VOWELS}])|(?<=[\u0e2f\u0e46\u0e4c])(?=[\u0e01-\u0e5b])")
# Isolates and marks of direction have done their work once a line is turned round, and have no glyph.
UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
ELLIPSIS = "…"
BRACKETS = {"(": ")", "[": "]", "{": "}"}
# A telephone number and a span of time read from the left, also in Arabic: alone they stand so, too.
FROM_THE_LEFT = re.compile(r"(?:\+|\b0)\d+(?:[ \u00a0-]\d+)+|\d[\d:.]*[ \u00a0]?–[ \u00a0]?\d[\d:.]*")  # noqa: RUF001 (a dash)
EMBEDDED = "\u202a\\g<0>\u202c"
LEFT_MARK, RIGHT_MARK = "\u200e", "\u200f"

_reshaper = ArabicReshaper()  # its own choice of ligatures: lam-alef and the name of God


def cluster_code(consonant: str, vowel: str, tone: str) -> int:
    """The private character of a consonant with its signs."""
    place = (CONSONANTS.index(consonant) * len(VOWELS) + VOWELS.index(vowel)) * len(TONES) + TONES.index(tone)
    return CLUSTERS_FROM + place


def reads_right_to_left(text: str, otherwise: bool = False) -> bool:
    """Which way a text reads, by its first letter; `otherwise` where it has none."""
    for sign in text:
        kind = unicodedata.bidirectional(sign)
        if kind in ("R", "AL"):
            return True
        if kind == "L":
            return False
    return otherwise


@lru_cache(maxsize=4096)
def drawn(line: str, right_to_left: bool | None = None) -> str:
    """What to give SDL2 to draw one line; `right_to_left` where the paragraph's direction is known."""
    line = unicodedata.normalize("NFC", line)
    if RIGHT_TO_LEFT.search(line):
        turned = reads_right_to_left(line) if right_to_left is None else right_to_left
        joined = FROM_THE_LEFT.sub(EMBEDDED, _reshaper.reshape(UNSEEN.sub("", line)))
        line = get_display(_with_brackets_held(joined, turned), base_dir="R" if turned else "L")
    line = AM_AFTER_TONE.sub(NIKHAHIT + r"\1" + SARA_AA, UNSEEN.sub("", line))
    return CLUSTER.sub(_cluster, line)


def _with_brackets_held(line: str, right_to_left: bool) -> str:
    """Marks of direction around brackets, so that both of a pair go the way of what they enclose.

    This is rule N0 of Unicode's algorithm, which came in 2013 and which the library for it lacks.
    """
    ways = _strong_ways(line, right_to_left)
    held = list(line)
    opened: list[int] = []
    for at, sign in enumerate(line):
        if sign in BRACKETS:
            opened.append(at)
        elif opened and sign == BRACKETS[line[opened[-1]]]:
            begin = opened.pop()
            within = {way for way in ways[begin:at] if way is not None}
            if not within:
                continue
            before = next((way for way in reversed(ways[:begin]) if way is not None), right_to_left)
            way = right_to_left if right_to_left in within else before
            mark = RIGHT_MARK if way else LEFT_MARK
            for place in (begin, at):
                held[place] = mark + line[place] + mark
    return "".join(held)


def _strong_ways(line: str, right_to_left: bool) -> list[bool | None]:
    """For each sign whether it reads to the left; a number as the letters before it, None for what goes either way."""
    ways: list[bool | None] = []
    letters_way = right_to_left
    for sign in line:
        kind = unicodedata.bidirectional(sign)
        if kind in ("L", "R", "AL"):
            letters_way = kind != "L"
        ways.append(letters_way if kind in ("L", "R", "AL", "EN", "AN") else None)
    return ways


def _cluster(found: re.Match[str]) -> str:
    consonant, vowel, tone = found.groups()
    return chr(cluster_code(consonant, vowel, tone)) if vowel or tone else consonant


def wrapped(text: str, width: float, measure: Callable[[str], float], most: int | None = None) -> list[str]:
    """The lines of a text, none wider than `width` where that is possible, in the order of reading.

    `measure` tells how wide a line is when it is drawn. Broken at spaces, else between Thai letters where a word may
    end, and a word wider than a line anywhere but inside a letter with its signs. What is beyond `most` lines is left
    out, which an ellipsis tells.
    """
    lines = [line for paragraph in text.split("\n") for line in _wrapped(paragraph, width, measure)]
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], _cut(lines[most - 1], width, measure)]


def _wrapped(paragraph: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    line = ""
    for word in _joined(SPACES.split(paragraph)):
        syllables = [word] if ZERO_WIDTH_SPACE in paragraph else _joined(SYLLABLES.split(word))
        whole = measure(_trimmed(line + word)) <= width
        for piece in [word] if whole else syllables:
            if measure(_trimmed(line + piece)) <= width:
                line += piece
                continue
            if line.strip():
                yield _trimmed(line)
            line = piece
            if measure(_trimmed(piece)) > width:
                *full, line = _broken(piece, width, measure)
                yield from full
    yield _trimmed(line)


def _broken(word: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """A word that is wider than a line, in parts."""
    part = ""
    for letter in letters(word):
        if part and measure(part + letter) > width:
            yield part
            part = ""
        part += letter
    yield part


def letters(text: str) -> list[str]:
    """What must stay together on a line: a letter with its signs, a vowel with the consonant that it belongs to."""
    return _joined(list(text))


def _joined(pieces: list[str]) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if joined and piece and (_clings(piece[0]) or joined[-1][-1:] in NOT_LAST):
            joined[-1] += piece
        elif piece:
            joined.append(piece)
    return joined


def _clings(sign: str) -> bool:
    return sign in NOT_FIRST or unicodedata.category(sign) in ("Mn", "Me", "Mc")


def _cut(line: str, width: float, measure: Callable[[str], float]) -> str:
    kept = letters(line)
    while kept and measure(_trimmed("".join(kept)) + ELLIPSIS) > width:
        kept.pop()
    return _trimmed("".join(kept)) + ELLIPSIS


def _trimmed(line: str) -> str:
    return line.strip(" \t" + ZERO_WIDTH_SPACE)
