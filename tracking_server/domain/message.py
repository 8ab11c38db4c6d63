"""Which messages an event makes due, and until when they are worth sending."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tracking_server.domain.events import Event, EventKind
from tracking_server.domain.job import Job, State

LIVE_EXPIRY_S = 900.0  # "on the way" read a quarter of an hour late misleads


class MessageKind(StrEnum):
    """What a message tells."""

    booked = "booked"
    reminder = "reminder"
    on_the_way = "on_the_way"
    you_are_next = "you_are_next"
    arriving = "arriving"
    arrived = "arrived"
    delayed = "delayed"
    reassigned = "reassigned"
    completed = "completed"
    correction = "correction"


EXPIRING = frozenset(
    {
        MessageKind.on_the_way,
        MessageKind.you_are_next,
        MessageKind.arriving,
        MessageKind.arrived,
        MessageKind.delayed,
    }
)


@dataclass(frozen=True, slots=True)
class Owed:
    """A message due: the occasion says which visit, assignment or promise it is about."""

    kind: MessageKind
    occasion: int
    expires_s: float | None
    about: dict[str, Any] = field(default_factory=dict)


def owed_for(before: Job, after: Job, event: Event, now_s: float) -> list[Owed]:
    """The messages that one event makes due. Live ones count their 15 minutes from the event, not from its arrival."""
    match event.kind:
        case EventKind.scheduled:
            return [_owed(MessageKind.booked, 1, event)]
        case EventKind.en_route:
            return [_owed(MessageKind.on_the_way, after.assignment, event)]
        case EventKind.arriving:
            return [_owed(MessageKind.arriving, after.visit, event)]
        case EventKind.arrived:
            return [_owed(MessageKind.arrived, after.visit, event)]
        case EventKind.delayed:
            return [_owed(MessageKind.delayed, after.promise, event)]
        case EventKind.completed:
            return [_owed(MessageKind.completed, after.visit, event)]
        case EventKind.reassigned if before.state in (State.en_route, State.arrived):
            return [_owed(MessageKind.reassigned, after.assignment, event)]
        case EventKind.undone if before.state in (State.arrived, State.completed):
            return [_owed(MessageKind.correction, before.visit, event, {"was": before.state.value})]
    return []


def _owed(kind: MessageKind, occasion: int, event: Event, about: dict[str, Any] | None = None) -> Owed:
    expires_s = event.at_s + LIVE_EXPIRY_S if kind in EXPIRING else None
    return Owed(kind, occasion, expires_s, {"at_s": event.at_s, **(about or {})})
