"""What an SMS costs, what a name may hold in it, and what counts as STOP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.test_words import BARE, KINDS, LINK, VIEW
from tracking_server import words
from tracking_server.domain.job import State
from tracking_server.domain.message import MessageKind
from tracking_server.domain.sms import LINKING, NAME_LENGTH, Answer, answer_of, name, parts
from tracking_server.notify.texts import MOST_PARTS, short_text
from tracking_server.store.messages import Visit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("é" * 160, 1),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("ก" * 70, 1),
        ("ع" * 134, 2),
        ("ع" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_parts_are_counted_as_the_network_does(text: str, expected: int) -> None:
    """160 letters of GSM 03.38 or 70 16-bit units in one; 153 and 67 in each of several; € takes two places."""
    assert parts(text) == expected


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize(("kind", "was"), KINDS)
@pytest.mark.parametrize("view", [VIEW, BARE], ids=["all known", "little known"])
def test_each_sms_is_short_whole_and_ends_with_our_link(
    kind: MessageKind, was: State | None, language: str, view: Visit
) -> None:
    """Every kind in every language: whose it is first, the link last, nothing left open."""
    text = short_text(kind, was, view, language, LINK)
    assert text.endswith(f" {LINK}")
    assert text.lstrip("\u200f\u2068").startswith("Ribeira Plumbing")
    assert parts(text) <= MOST_PARTS
    assert "%(" not in text
    assert "\u202f" not in text
    assert "\n" not in text
    if language == "en":
        assert parts(text) <= 2


def test_a_booking_in_a_few_words() -> None:
    """As a customer reads it."""
    assert short_text(MessageKind.booked, None, VIEW, "en", LINK) == (
        "Ribeira Plumbing: Your visit is booked. Ribeira Plumbing comes on Friday, January 15, 2027, "
        f"between 9:00 AM and 10:00 AM. {LINK}"
    )


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Ana Sousa", "Ana Sousa"),
        ("สมชาย ใจดี", "สมชาย ใจดี"),
        ("عبد الله", "عبد الله"),
        ("Ana\r\nBcc: x", "Ana Bcc: x"),
        ("Ana\u202e\u2066evil\u200b\ufeff", "Anaevil"),
        ("A" + "\u0301" * 10_000, "Á" + "\u0301" * 3),
        ("Ana\x00\x1b[31m", "Ana[31m"),
        ("Ana\ud800", "Ana"),
        ("see evil.com/pay", "see evil com pay"),
        ("https://evil.com", "https evil com"),
        ("ana@evil.com", "ana evil com"),
        ("Ribeira & Filhos, Lda.", "Ribeira & Filhos, Lda."),
        ("x" * 200, "x" * 40),
        ("😀 Ana", "😀 Ana"),
    ],
)
def test_a_name_stays_a_name(typed: str, shown: str) -> None:
    """No line, no control, no tower of marks, no link; letters of every alphabet."""
    assert name(typed) == shown


@given(st.text(max_size=300))
def test_no_name_makes_a_link_or_a_line(typed: str) -> None:
    """Whatever is typed."""
    shown = name(typed)
    assert len(shown) <= NAME_LENGTH
    assert "\n" not in shown
    assert not LINKING.search(shown)
    assert shown.encode("utf-8") is not None


def test_the_only_link_is_ours() -> None:
    """A firm and a technician who are called like web addresses make none."""
    evil = replace(VIEW, organisation_name="http://evil.com/x", technician_name="evil.com Pay")
    text = short_text(MessageKind.on_the_way, None, evil, "en", LINK)
    assert text.count("://") == 1
    assert "evil.com" not in text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("STOP", Answer.stop),
        ("stop", Answer.stop),
        (" Stop. ", Answer.stop),
        ("«STOP»", Answer.stop),
        ("S T O P", Answer.stop),
        ("\uff33\uff34\uff2f\uff30", Answer.stop),
        ("opt out", Answer.stop),
        ("opt-out", Answer.stop),
        ("Unsubscribe", Answer.stop),
        ("หยุด", Answer.stop),
        ("ยกเลิก", Answer.stop),
        ("إيقاف", Answer.stop),
        ("إِيقَاف", Answer.stop),
        ("ايقاف", Answer.stop),
        ("توقف!", Answer.stop),
        ("START", Answer.start),
        ("เริ่ม", Answer.start),
        ("ابدأ", Answer.start),
        ("don't stop", None),
        ("stop at the gate", None),
        ("หยุดที่ประตู", None),
        ("", None),
        ("👍", None),
    ],
)
def test_stop_is_stop_however_it_is_typed(text: str, answer: Answer | None) -> None:
    """Alone, in three languages; a sentence with the word in it is a sentence."""
    assert answer_of(text) is answer
