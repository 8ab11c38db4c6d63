"""Which messages an event makes due, by what way, until when, and why one is not sent after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from tracking_server.domain.events import Event, EventKind
from tracking_server.domain.job import ON_SITE, WAITED_FOR, Job, State

LIVE_EXPIRY_S = 900.0  # "on the way" read a quarter of an hour late misleads
FALL_BACK_LIVE_S = 120.0  # a live message goes another way while it is still worth something
FALL_BACK_S = 3600.0  # the others can wait for a gateway that is away for a while
REMINDER_APART_S = 7200.0  # who booked two hours ago needs no reminder


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
    new_link = "new_link"


class Channel(StrEnum):
    """By what way a message goes. `none` is the record of a contact whom no way reaches."""

    sms = "sms"
    email = "email"
    webhook = "webhook"
    none = "none"


EXPIRING = frozenset(
    {
        MessageKind.on_the_way,
        MessageKind.you_are_next,
        MessageKind.arriving,
        MessageKind.arrived,
        MessageKind.delayed,
    }
)
# About a visit that is going on, or asked for just now: who waits for it is awake for it.
LIVE = EXPIRING | {MessageKind.reassigned, MessageKind.correction, MessageKind.new_link}


@dataclass(frozen=True, slots=True)
class Owed:
    """A message due: the occasion says which visit, assignment or promise it is about."""

    kind: MessageKind
    occasion: int
    expires_s: float | None
    about: dict[str, Any] = field(default_factory=dict)


def owed_for(before: Job, after: Job, event: Event) -> list[Owed]:
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
        case EventKind.late if after.late_promise > before.late_promise:
            return [_owed(MessageKind.delayed, after.late_promise, event)]
        case EventKind.next_up:
            return [_owed(MessageKind.you_are_next, after.assignment, event)]
        case EventKind.completed:
            return [_owed(MessageKind.completed, after.visit, event)]
        case EventKind.reassigned if before.state in (State.en_route, State.arrived):
            return [_owed(MessageKind.reassigned, after.assignment, event)]
        case EventKind.undone if before.state in (State.arrived, State.completed):
            return [_owed(MessageKind.correction, before.visit, event, {"was": before.state.value})]
    return []


def remind_at_s(promised: tuple[float, float], lead_s: float, now_s: float) -> float | None:
    """When to remind of a window promised now; None when that is past, or so soon that the booking is not forgotten."""
    at_s = promised[0] - lead_s
    return at_s if lead_s > 0 and at_s > now_s + REMINDER_APART_S else None


def reminder(promise: int, at_s: float) -> Owed:
    """The reminder of one promise."""
    return Owed(MessageKind.reminder, promise, None, {"at_s": at_s})


def new_link(times: int, now_s: float) -> Owed:
    """The new link that a contact asked for, for the `times`th time."""
    return Owed(MessageKind.new_link, times, None, {"at_s": now_s})


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
    """Why a message was skipped, or waits."""

    no_recipient = "no_recipient"
    recipient_changed = "recipient_changed"
    not_allowed = "not_allowed"
    expired = "expired"
    taken_back = "taken_back"
    moved_on = "moved_on"
    nothing_to_correct = "nothing_to_correct"
    no_mail_server = "no_mail_server"
    no_sms_gateway = "no_sms_gateway"
    channel_not_allowed = "channel_not_allowed"
    opted_out = "opted_out"
    bad_number = "bad_number"
    country_not_allowed = "country_not_allowed"
    quiet_hours = "quiet_hours"
    too_soon = "too_soon"
    job_limit = "job_limit"
    day_limit = "day_limit"
    receiver_off = "receiver_off"


# What only closes this way: the next one is tried. Who said no, or is told nothing true any more, is left alone.
FALLS_BACK = frozenset(
    {
        Reason.no_mail_server,
        Reason.no_sms_gateway,
        Reason.channel_not_allowed,
        Reason.bad_number,
        Reason.country_not_allowed,
        Reason.quiet_hours,
        Reason.job_limit,
        Reason.day_limit,
    }
)


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
    channel: Channel = Channel.email


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom a message is for, as they are now."""

    id: UUID
    email: str | None
    language: str
    messages_allowed: bool
    phone: str | None = None
    email_allowed: bool = True
    sms_allowed: bool = True

    def address(self, channel: Channel) -> str | None:
        """Where this channel reaches them."""
        return {Channel.email: self.email, Channel.sms: self.phone}.get(channel) or None

    def allows(self, channel: Channel) -> bool:
        """Whether they agreed to be reached this way."""
        return {Channel.email: self.email_allowed, Channel.sms: self.sms_allowed}.get(channel, True)


def ways(contact: Contact, order: Sequence[Channel]) -> list[Channel]:
    """The channels that reach this contact, the first choice first."""
    return [channel for channel in order if contact.address(channel) and contact.allows(channel)]


def way_after(contact: Contact, order: Sequence[Channel], failed: Channel) -> Channel | None:
    """The channel to try when one has failed, None when there is no other. Nothing goes back to an earlier one."""
    later = order[order.index(failed) + 1 :] if failed in order else ()
    return next(iter(ways(contact, later)), None)


def falls_back_at_s(message: Message, owed_s: float) -> float:
    """Until when a message waits for a channel that does not answer, before it goes another way."""
    return owed_s + (FALL_BACK_LIVE_S if message.kind in LIVE else FALL_BACK_S)


def why_not(message: Message, contact: Contact | None, job: Job, now_s: float) -> Reason | None:
    """Why this message is not to be sent now, None when it is: its recipient wants it and it is still true.

    A webhook is told what happened when, to a machine that keeps up with it: that does not cease to be true.
    """
    if message.channel is Channel.webhook:
        return None
    return _why_not_them(message, contact) or _why_not_now(message, job, now_s)


def _why_not_them(message: Message, contact: Contact | None) -> Reason | None:
    address = contact.address(message.channel) if contact is not None else None
    if contact is None or not address:
        return Reason.no_recipient
    if address != message.recipient:
        return Reason.recipient_changed
    if not contact.messages_allowed:
        return Reason.not_allowed
    return None if contact.allows(message.channel) else Reason.channel_not_allowed


def _why_not_now(message: Message, job: Job, now_s: float) -> Reason | None:
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
        case MessageKind.reminder if job.promise != message.occasion:
            return False
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
            return job.visit > message.occasion and job.state not in DONE_AGAIN[was]
        case MessageKind.new_link:
            return True
