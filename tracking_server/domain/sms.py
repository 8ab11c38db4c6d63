"""What is particular to short messages: how many parts one takes, what a name may hold in it, and STOP."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

# The letters of GSM 03.38; those of the second set take two places. One other letter makes all of them 16 bits wide.
GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_TWICE = frozenset("\f^{}\\[~]|€")
ONE_PART, EACH_PART = 160, 153  # places; a part of several has a header
ONE_WIDE_PART, EACH_WIDE_PART = 70, 67  # 16-bit units
NAME_LENGTH = 40
MARKS_EACH = 3  # on one letter: Thai takes two, Vietnamese two; a tower of them is no name
# What a phone would make a link of: evil.com, x@y, http://. Our own link is the only one in a message.
LINKING = re.compile(r"(?<=\w)[./:@]+(?=\w)|://|//")
SPACES = str.maketrans("\u202f\u00a0\u2009", "   ")  # CLDR's own, which alone would double a message's parts


class Answer(StrEnum):
    """What a customer's SMS asks for."""

    stop = "stop"
    start = "start"


STOP_WORDS = frozenset(
    {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"}
    | {"หยุด", "ยกเลิก", "เลิกรับ", "หยุดส่ง"}
    | {"إيقاف", "ايقاف", "أوقف", "اوقف", "توقف", "قف", "إلغاء", "الغاء"}
)
START_WORDS = frozenset(
    {"start", "unstop", "resume", "optin"} | {"เริ่ม", "เริ่มใหม่", "รับข้อความ"} | {"ابدأ", "ابدا", "بدء", "استئناف", "تفعيل"}
)


def parts(text: str) -> int:
    """How many messages the network makes of this text, and the firm pays for."""
    if all(letter in GSM_7 or letter in GSM_7_TWICE for letter in text):
        places = len(text) + sum(letter in GSM_7_TWICE for letter in text)
        return 1 if places <= ONE_PART else -(-places // EACH_PART)
    units = len(text.encode("utf-16-be")) // 2
    return 1 if units <= ONE_WIDE_PART else -(-units // EACH_WIDE_PART)


def narrow(text: str) -> str:
    """The same text with plain spaces, so that a time of day does not make it a wide one."""
    return text.translate(SPACES)


def name(text: str) -> str:
    """A name as an SMS may show it: in one line, nothing invisible, no tower of marks, nothing that becomes a link."""
    kept: list[str] = []
    marks = 0
    for letter in unicodedata.normalize("NFC", text[: NAME_LENGTH * 4]):
        category = unicodedata.category(letter)
        marks = marks + 1 if category.startswith("M") else 0
        if category.startswith("Z") or letter in "\t\r\n":
            kept.append(" ")
        elif not category.startswith("C") and marks <= MARKS_EACH:
            kept.append(letter)
    plain = " ".join("".join(kept).split())
    return " ".join(LINKING.sub(" ", plain)[:NAME_LENGTH].split())


def answer_of(text: str) -> Answer | None:
    """STOP or START in English, Thai or Arabic, None for anything else. The word stands alone, however it is typed."""
    said = _spoken(text[:200])
    if said in STOP_SAID:
        return Answer.stop
    return Answer.start if said in START_SAID else None


def _spoken(text: str) -> str:
    """The letters alone, without what people and keyboards add: quotes, full stops, spaces, Arabic vowel signs. Thai
    vowels stay: they are letters in all but category."""
    letters = unicodedata.normalize("NFKC", text).casefold()
    return "".join(
        letter
        for letter in letters
        if (category := unicodedata.category(letter)).startswith("L") or (category == "Mn" and letter in THAI)
    )


THAI = frozenset(map(chr, range(0x0E00, 0x0E80)))
STOP_SAID = frozenset(map(_spoken, STOP_WORDS))
START_SAID = frozenset(map(_spoken, START_WORDS))
