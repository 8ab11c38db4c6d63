"""What customers write, cleaned and judged."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.form import FORMS, Problem, Rated, Refused, Written, judge
from tracking_server.domain.note import MOST_CHARACTERS, MOST_MARKS, NoteKind, TooLong, Unreadable, clean_text
from tracking_server.domain.page_state import ACTIONS, STILL_TAKEN, Action, PageState, Showing

DAYS = ("2027-01-15", "2027-01-16")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" one\r\ntwo\rthree\u2028four ", "one\ntwo\nthree\nfour"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("left \u202eright\u202c \u2066x\u2069", "left right x"),
        ("bell\x07\x1b[31m\tred", "bell[31mred"),
        ("น้ำรั่ว ที่นี่", "น้ำรั่ว ที่นี่"),
        ("السلامُ عليكم", "السلامُ عليكم"),
        ("e" + "\u0301" * 50, "é" + "\u0301" * MOST_MARKS),
        ("family 👩‍👩‍👧", "family 👩‍👩‍👧"),
    ],
)
def test_a_text_is_kept_as_people_write_it(text: str, kept: str) -> None:
    """Newlines unified; nothing that steers a terminal, turns what stands beside it, or towers over the line."""
    assert clean_text(text) == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d", "\udfff"])
def test_what_is_no_text_is_refused(text: str) -> None:
    """NUL and half characters, which the store could not keep."""
    with pytest.raises(Unreadable):
        clean_text(text)


def test_a_text_has_room_for_so_many_characters() -> None:
    """Counted after cleaning; one more is too long."""
    assert len(clean_text("x" * MOST_CHARACTERS + "  ")) == MOST_CHARACTERS
    with pytest.raises(TooLong):
        clean_text("x" * (MOST_CHARACTERS + 1))


@given(st.text())
def test_a_clean_text_stays_clean(text: str) -> None:
    """Cleaning it again changes nothing, whatever it was."""
    try:
        clean = clean_text(text)
    except Unreadable:
        return
    assert clean_text(clean) == clean


@pytest.mark.parametrize(
    ("action", "fields", "sent"),
    [
        (Action.note, {"text": " hi "}, Written(NoteKind.note, "hi", {})),
        (Action.access, {"text": "4711"}, Written(NoteKind.access, "4711", {})),
        (Action.reschedule, {}, Written(NoteKind.not_home, "", {})),
        (Action.reschedule, {"part": "evening"}, Written(NoteKind.reschedule, "", {"part": "evening"})),
        (Action.book_again, {"text": ""}, Written(NoteKind.reschedule, "", {})),
        (Action.rate, {"stars": "4", "text": "ok"}, Rated(4, "ok")),
    ],
)
def test_each_form_says_its_own(action: Action, fields: dict[str, str], sent: Written | Rated) -> None:
    """A kind of note, or stars."""
    assert judge(action, fields, DAYS) == sent


@pytest.mark.parametrize(
    ("action", "fields", "problem"),
    [
        (Action.note, {}, Problem.empty),
        (Action.cannot_find, {"text": "\u202e"}, Problem.empty),
        (Action.rate, {}, Problem.no_stars),
        (Action.rate, {"stars": "6"}, Problem.no_stars),
        (Action.reschedule, {"day": "2027-01-17"}, Problem.unknown_day),
        (Action.reschedule, {"part": "night"}, Problem.unknown_day),
        (Action.note, {"text": "x" * 1001}, Problem.too_long),
        (Action.access, {"text": "\0"}, Problem.unreadable),
    ],
)
def test_what_cannot_be_taken_has_its_reason(action: Action, fields: dict[str, str], problem: Problem) -> None:
    """One for each line that the page knows."""
    with pytest.raises(Refused) as refused:
        judge(action, fields, DAYS)
    assert refused.value.problem is problem


def test_every_form_on_a_page_is_taken_there() -> None:
    """What is offered is taken, an expired page takes nothing, and forms are taken somewhere."""
    for showing, offered in ACTIONS.items():
        for action in offered & FORMS:
            assert PageState(showing).takes(action), (showing, action)
    assert not any(PageState(Showing.expired).takes(action) for action in Action)
    assert set(STILL_TAKEN) == FORMS
