"""What a customer sent with a form of their page, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tracking_server.domain.note import PARTS_OF_DAY, NoteKind, TooLong, Unreadable, clean_text
from tracking_server.domain.page_state import Action

STARS = ("1", "2", "3", "4", "5")
FORMS = frozenset(
    {Action.note, Action.access, Action.reschedule, Action.cannot_find, Action.rate, Action.book_again}
)  # actions that are forms; each has its own address


class Problem(StrEnum):
    """Why a form was not taken; the page has a line for each."""

    empty = "empty"
    too_long = "too_long"
    unreadable = "unreadable"
    no_stars = "no_stars"
    too_many = "too_many"
    too_late = "too_late"
    unknown_day = "unknown_day"


class Refused(ValueError):
    """The form is not taken."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Written:
    """A note to keep. `wish` is a day (ISO date) and a part of it, as far as they were chosen."""

    kind: NoteKind
    text: str
    wish: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rated:
    """Stars, 1 to 5, and a comment."""

    stars: int
    comment: str


def judge(action: Action, fields: Mapping[str, str], days: Collection[str]) -> Written | Rated:
    """What was written, cleaned. `days` are the dates that were offered. Raises `Refused`."""
    text = _text(fields.get("text", ""))
    match action:
        case Action.rate:
            if fields.get("stars") not in STARS:
                raise Refused(Problem.no_stars)
            return Rated(int(fields["stars"]), text)
        case Action.reschedule | Action.book_again:
            wish = _wish(fields, days)
            return Written(
                NoteKind.reschedule if wish or action is Action.book_again else NoteKind.not_home, text, wish
            )
    if not text:
        raise Refused(Problem.empty)
    return Written(NoteKind(action.value), text, {})


def _text(text: str) -> str:
    try:
        return clean_text(text)
    except TooLong:
        raise Refused(Problem.too_long) from None
    except Unreadable:
        raise Refused(Problem.unreadable) from None


def _wish(fields: Mapping[str, str], days: Collection[str]) -> dict[str, str]:
    wish = {name: fields[name] for name in ("day", "part") if fields.get(name)}
    if wish.get("day", "") not in ("", *days) or wish.get("part", "") not in ("", *PARTS_OF_DAY):
        raise Refused(Problem.unknown_day)
    return wish
