"""Notes: lines between customer, technician and dispatcher, and what a text must be to be kept."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

MOST_CHARACTERS = 1_000  # of a customer's note
MOST_WRITTEN = 2_000  # of a technician's, who writes down what was done
MOST_NOTES = 40  # of one contact on one job: more is not a conversation
PARTS_OF_DAY = ("morning", "afternoon", "evening")
MOST_MARKS = 4  # combining marks on one letter: Thai needs two, Vietnamese and Arabic fewer than four


class NoteKind(StrEnum):
    """What a note is about; each has a place of its own on the page."""

    note = "note"
    access = "access"
    not_home = "not_home"
    reschedule = "reschedule"
    cannot_find = "cannot_find"


class Author(StrEnum):
    """Who wrote it."""

    customer = "customer"
    technician = "technician"
    dispatcher = "dispatcher"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as kept. `wish` is when a customer would rather be visited: `day` (ISO date) and `part` of the day.

    `reached_by` is the technician on whose phone it certainly is.
    """

    id: UUID
    job_id: UUID
    kind: NoteKind
    author: Author
    contact_id: UUID | None
    text: str
    made_s: float
    handled_s: float | None = None
    wish: dict[str, str] = field(default_factory=dict)
    reached_by: UUID | None = None
    technician_id: UUID | None = None


class Unreadable(ValueError):
    """A text that cannot be kept; the message says why."""


class TooLong(Unreadable):
    """A text longer than MOST_CHARACTERS."""


def clean_text(text: str) -> str:
    """A customer's text as it is kept: newlines unified, no control characters, no towers of accents.

    Directional overrides go too: they would turn what stands beside the text. Raises `Unreadable` when the text holds
    NUL or half a character, `TooLong` when it has more than MOST_CHARACTERS.
    """
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Unreadable("the text holds signs that are no text")
    clean = _without_tricks(text)
    if len(clean) > MOST_CHARACTERS:
        raise TooLong(f"the text has {len(clean)} characters; {MOST_CHARACTERS} fit")
    return clean


def cut_text(text: str, most: int) -> str:
    """What a phone sends, as it is kept: as `clean_text`, but signs that are no text go, and so does what is more than
    `most` characters. Nobody is there to be asked for another one."""
    readable = "".join(sign for sign in text if sign != "\0" and not "\ud800" <= sign <= "\udfff")
    return _without_tricks(readable)[:most].strip()


def _without_tricks(text: str) -> str:
    text = re.sub(r"\r\n?|[\u0085\u2028\u2029]", "\n", text)
    kept, marks = [], 0
    for sign in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= MOST_MARKS and (sign == "\n" or kind not in ("Cc", "Cs", "Co", "Cn")) and sign not in OVERRIDES:
            kept.append(sign)
    return re.sub(r"\n{3,}", "\n\n", "".join(kept)).strip()


OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
