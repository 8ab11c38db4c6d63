"""Which messages an event makes due, until when they are worth sending, and why one is not sent after all."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from tracking_server.domain.events import Event, EventKind
from tracking_server.domain.job import ON_SITE, WAITED_FOR, Job, State

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
            return [_owed(MessageKind.on_the_way, after.visit, event)]
        case EventKind.arriving:
            return [_owed(MessageKind.arriving, after.visit, event)]
        case EventKind.arrived:
            return [_owed(MessageKind.arrived, after.visit, event)]
        case EventKind.delayed:
            return [_owed(MessageKind.delayed, before.promise, event)]
        case EventKind.next_up:
            return [_owed(MessageKind.you_are_next, after.assignment, event)]
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


class Standing(StrEnum):
    """What became of a message owed."""

    owed = "owed"
    sent = "sent"
    skipped = "skipped"
    failed = "failed"


class Reason(StrEnum):
    """Why a message was skipped."""

    no_recipient = "no_recipient"
    recipient_changed = "recipient_changed"
    not_allowed = "not_allowed"
    expired = "expired"
    taken_back = "taken_back"
    moved_on = "moved_on"
    nothing_to_correct = "nothing_to_correct"
    no_mail_server = "no_mail_server"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as kept. `corrects` is what became of the message that a correction takes back."""

    id: UUID
    job_id: UUID
    kind: MessageKind
    occasion: int
    recipient: str
    standing: Standing
    expires_s: float | None
    about: dict[str, Any] = field(default_factory=dict)
    corrects: Standing | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom a message is for, as they are now."""

    id: UUID
    email: str | None
    language: str
    messages_allowed: bool


def why_not(message: Message, contact: Contact | None, job: Job, now_s: float) -> Reason | None:
    """Why this message is not to be sent now, None when it is: the contact wants it and it is still true."""
    if contact is None or not contact.email:
        return Reason.no_recipient
    if contact.email != message.recipient:
        return Reason.recipient_changed
    if not contact.messages_allowed:
        return Reason.not_allowed
    if message.expires_s is not None and now_s > message.expires_s:
        return Reason.expired
    if message.kind in OF_A_VISIT and job.visit > message.occasion:
        return Reason.taken_back
    if not _still_true(message, job, now_s):
        return Reason.moved_on
    if message.kind is MessageKind.correction and message.corrects is not Standing.sent:
        return Reason.nothing_to_correct
    return None


OF_A_VISIT = frozenset({MessageKind.on_the_way, MessageKind.arriving, MessageKind.arrived, MessageKind.completed})
DONE_AGAIN = {State.arrived: ON_SITE | {State.completed}, State.completed: frozenset({State.completed})}


def _still_true(message: Message, job: Job, now_s: float) -> bool:
    """Whether the job is still where the message says it is."""
    match message.kind:
        case MessageKind.booked | MessageKind.reminder:
            return job.state in WAITED_FOR and (job.promised is None or now_s <= job.promised[1])
        case MessageKind.on_the_way:
            return job.state is State.en_route
        case MessageKind.you_are_next | MessageKind.reassigned:
            return job.state in (State.assigned, State.en_route) and job.assignment == message.occasion
        case MessageKind.arriving:
            return job.state is State.en_route and job.arriving_at_s is not None
        case MessageKind.arrived:
            return job.state in ON_SITE
        case MessageKind.delayed:
            return job.state in WAITED_FOR and job.late_promise == message.occasion
        case MessageKind.completed:
            return job.state is State.completed
        case MessageKind.correction:
            was = State(message.about["was"])
            return job.visit == message.occasion + 1 and job.state not in DONE_AGAIN[was]
