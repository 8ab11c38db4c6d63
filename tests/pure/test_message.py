"""Which messages are owed, and why one is not sent after all."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from tracking_server.domain.eta import Window
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State, advance
from tracking_server.domain.message import (
    Channel,
    Contact,
    Message,
    MessageKind,
    Reason,
    Standing,
    owed_for,
    remind_at_s,
    way_after,
    ways,
    why_not,
)

NOW_S = 1_800_000_000.0
ID = UUID(int=1)
MARIA = Contact(ID, "maria@example.com", "en", messages_allowed=True)
BOOKED = Job(ID, State.scheduled, 2, Geofence(0.0, 0.0), promise=1, promised=(NOW_S + 3600, NOW_S + 7200))


def after(job: Job, *kinds: EventKind) -> Job:
    """The job once these happened."""
    for kind in kinds:
        became = advance(job, Event(kind, NOW_S, Cause.tap))
        assert became is not None, kind
        job = became
    return job


ASSIGNED = after(BOOKED, EventKind.assigned)
EN_ROUTE = after(ASSIGNED, EventKind.en_route)
ARRIVING = after(EN_ROUTE, EventKind.arriving)
ARRIVED = after(ARRIVING, EventKind.arrived)
COMPLETED = after(ARRIVED, EventKind.started, EventKind.completed)


def owed(kind: MessageKind, occasion: int = 1, **other: object) -> Message:
    return replace(
        Message(ID, ID, kind, occasion, "maria@example.com", Standing.owed, expires_s=None),
        **other,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("before", "kind", "expected"),
    [
        (Job(ID, State.draft, 1, Geofence(0.0, 0.0)), EventKind.scheduled, (MessageKind.booked, 1, None)),
        (ASSIGNED, EventKind.next_up, (MessageKind.you_are_next, 1, 900.0)),
        (ASSIGNED, EventKind.en_route, (MessageKind.on_the_way, 1, 900.0)),
        (EN_ROUTE, EventKind.arriving, (MessageKind.arriving, 1, 900.0)),
        (ARRIVING, EventKind.arrived, (MessageKind.arrived, 1, 900.0)),
        (EN_ROUTE, EventKind.delayed, (MessageKind.delayed, 1, 900.0)),
        (ARRIVED, EventKind.completed, (MessageKind.completed, 1, None)),
        (EN_ROUTE, EventKind.reassigned, (MessageKind.reassigned, 2, None)),
        (ARRIVED, EventKind.undone, (MessageKind.correction, 1, None)),
        (COMPLETED, EventKind.undone, (MessageKind.correction, 1, None)),
    ],
)
def test_an_event_makes_one_message_due(
    before: Job, kind: EventKind, expected: tuple[MessageKind, int, float | None]
) -> None:
    """Of its kind, about its occasion; live ones for 15 minutes from the event's own time."""
    (message,) = owed_for(before, after(before, kind), Event(kind, NOW_S, Cause.tap))
    lasts_s = message.expires_s and message.expires_s - NOW_S
    assert (message.kind, message.occasion, lasts_s) == expected


@pytest.mark.parametrize(
    ("before", "kind"),
    [(ASSIGNED, EventKind.reassigned), (EN_ROUTE, EventKind.undone), (ARRIVED, EventKind.departed)],
)
def test_what_concerns_nobody_is_not_told(before: Job, kind: EventKind) -> None:
    """A technician changed before the day began, a drive taken back, a departure."""
    assert owed_for(before, after(before, kind), Event(kind, NOW_S, Cause.tap)) == []


def test_what_is_told_again_is_another_occasion() -> None:
    """A true arrival after an undone one is a message of its own."""
    undone = after(ARRIVED, EventKind.undone)
    again = after(undone, EventKind.arrived)
    (message,) = owed_for(undone, again, Event(EventKind.arrived, NOW_S, Cause.tap))
    assert (message.kind, message.occasion) == (MessageKind.arrived, 2)


@pytest.mark.parametrize(
    ("message", "job"),
    [
        (owed(MessageKind.booked), BOOKED),
        (owed(MessageKind.booked), EN_ROUTE),
        (owed(MessageKind.reminder), ASSIGNED),
        (owed(MessageKind.on_the_way), ARRIVING),
        (owed(MessageKind.you_are_next), ASSIGNED),
        (owed(MessageKind.arriving), ARRIVING),
        (owed(MessageKind.arrived), ARRIVED),
        (owed(MessageKind.arrived), after(ARRIVED, EventKind.started)),
        (owed(MessageKind.delayed), after(EN_ROUTE, EventKind.delayed)),
        (owed(MessageKind.reassigned, 2), after(EN_ROUTE, EventKind.reassigned)),
        (owed(MessageKind.completed), COMPLETED),
        (
            owed(MessageKind.correction, about={"was": "arrived"}, corrects=Standing.sent),
            after(ARRIVED, EventKind.undone),
        ),
        (
            owed(MessageKind.correction, about={"was": "completed"}, corrects=Standing.sent),
            after(COMPLETED, EventKind.undone),
        ),
        (
            owed(MessageKind.correction, about={"was": "arrived"}, corrects=Standing.sent),
            after(ARRIVED, EventKind.undone, EventKind.arrived, EventKind.undone),
        ),
    ],
)
def test_what_is_still_true_is_sent(message: Message, job: Job) -> None:
    """Every kind, while the job is where the message says."""
    assert why_not(message, MARIA, job, NOW_S) is None


@pytest.mark.parametrize(
    ("message", "job", "reason"),
    [
        (owed(MessageKind.booked), ARRIVED, Reason.moved_on),
        (owed(MessageKind.booked), replace(BOOKED, promised=(NOW_S - 7200, NOW_S - 1)), Reason.moved_on),
        (owed(MessageKind.reminder), after(BOOKED, EventKind.cancelled), Reason.moved_on),
        (owed(MessageKind.reminder), replace(ASSIGNED, promise=2), Reason.moved_on),
        (owed(MessageKind.on_the_way), ARRIVED, Reason.moved_on),
        (owed(MessageKind.on_the_way), after(EN_ROUTE, EventKind.undone), Reason.taken_back),
        (owed(MessageKind.on_the_way), after(EN_ROUTE, EventKind.reassigned, EventKind.en_route), Reason.taken_back),
        (owed(MessageKind.you_are_next), ARRIVED, Reason.moved_on),
        (owed(MessageKind.arriving), ARRIVED, Reason.moved_on),
        (owed(MessageKind.arriving), after(ARRIVING, EventKind.reassigned, EventKind.en_route), Reason.taken_back),
        (owed(MessageKind.arriving), after(ARRIVED, EventKind.undone), Reason.taken_back),
        (owed(MessageKind.arrived), after(ARRIVED, EventKind.undone), Reason.taken_back),
        (owed(MessageKind.arrived), after(ARRIVED, EventKind.undone, EventKind.arrived), Reason.taken_back),
        (owed(MessageKind.arrived), COMPLETED, Reason.moved_on),
        (owed(MessageKind.delayed), after(EN_ROUTE, EventKind.delayed, EventKind.arrived), Reason.moved_on),
        (owed(MessageKind.delayed), replace(EN_ROUTE, promise=3, late_promise=2), Reason.moved_on),
        (owed(MessageKind.reassigned), after(EN_ROUTE, EventKind.reassigned), Reason.moved_on),
        (owed(MessageKind.completed), after(COMPLETED, EventKind.undone), Reason.taken_back),
        (owed(MessageKind.on_the_way, expires_s=NOW_S - 1), EN_ROUTE, Reason.expired),
    ],
)
def test_what_is_no_longer_true_is_not_sent(message: Message, job: Job, reason: Reason) -> None:
    """A late message never misleads."""
    assert why_not(message, MARIA, job, NOW_S) is reason


@pytest.mark.parametrize(
    ("corrects", "job", "reason"),
    [
        (Standing.skipped, after(ARRIVED, EventKind.undone), Reason.nothing_to_correct),
        (Standing.failed, after(ARRIVED, EventKind.undone), Reason.nothing_to_correct),
        (None, after(ARRIVED, EventKind.undone), Reason.nothing_to_correct),
        (Standing.sent, after(ARRIVED, EventKind.undone, EventKind.arrived), Reason.moved_on),
        (Standing.sent, ARRIVED, Reason.moved_on),
    ],
)
def test_a_correction_needs_a_wrong_message_and_no_newer_truth(
    corrects: Standing | None, job: Job, reason: Reason
) -> None:
    """Only what was sent is corrected, and not once it has come true after all."""
    message = owed(MessageKind.correction, about={"was": "arrived"}, corrects=corrects)
    assert why_not(message, MARIA, job, NOW_S) is reason


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (None, Reason.no_recipient),
        (replace(MARIA, email=None), Reason.no_recipient),
        (replace(MARIA, email="new@example.com"), Reason.recipient_changed),
        (replace(MARIA, messages_allowed=False), Reason.not_allowed),
    ],
)
def test_the_contact_decides_first(contact: Contact | None, reason: Reason) -> None:
    """Nothing goes to an address that is no longer theirs, or against their will."""
    assert why_not(owed(MessageKind.arrived), contact, ARRIVED, NOW_S) is reason


def test_a_delay_with_a_new_window_counts_as_told_for_the_broken_promise() -> None:
    """The message about promise 1 is still true once promise 2 replaced it."""
    late = replace(EN_ROUTE, eta=Window(NOW_S + 9000, NOW_S + 9600, NOW_S + 10_200, 0.8))
    promised_anew = after(late, EventKind.delayed)
    assert promised_anew.promise == 2
    assert why_not(owed(MessageKind.delayed, 1), MARIA, promised_anew, NOW_S) is None


ORDER = (Channel.sms, Channel.email)
BOTH = replace(MARIA, phone="+351912345678")


@pytest.mark.parametrize(
    ("contact", "order", "expected"),
    [
        (BOTH, ORDER, [Channel.sms, Channel.email]),
        (BOTH, ORDER[::-1], [Channel.email, Channel.sms]),
        (MARIA, ORDER, [Channel.email]),
        (replace(BOTH, sms_allowed=False), ORDER, [Channel.email]),
        (replace(BOTH, email_allowed=False), ORDER, [Channel.sms]),
        (BOTH, (Channel.email,), [Channel.email]),
        (replace(BOTH, phone="", email=None), ORDER, []),
    ],
)
def test_the_ways_to_a_contact(contact: Contact, order: tuple[Channel, ...], expected: list[Channel]) -> None:
    """Those with an address and a consent, in the firm's order."""
    assert ways(contact, order) == expected


@pytest.mark.parametrize(
    ("failed", "order", "expected"),
    [
        (Channel.sms, ORDER, Channel.email),
        (Channel.email, ORDER, None),
        (Channel.email, ORDER[::-1], Channel.sms),
        (Channel.webhook, ORDER, None),
    ],
)
def test_nothing_goes_back_to_a_way_that_failed(
    failed: Channel, order: tuple[Channel, ...], expected: Channel | None
) -> None:
    """Only forward, so that it ends."""
    assert way_after(BOTH, order, failed) is expected


def test_a_webhook_is_told_what_a_customer_is_not() -> None:
    """What happened stays true for a machine: expired, moved on, taken back."""
    late = owed(MessageKind.on_the_way, expires_s=NOW_S - 1, channel=Channel.webhook)
    assert why_not(late, None, ARRIVED, NOW_S) is None


@pytest.mark.parametrize(
    ("ahead_h", "lead_h", "due_h"),
    [(48, 24, 24), (26.5, 24, 2.5), (25, 24, None), (24, 24, None), (12, 24, None), (48, 0, None), (100, 72, 28)],
)
def test_a_reminder_comes_a_day_before_unless_that_is_just_after_the_booking(
    ahead_h: float, lead_h: float, due_h: float | None
) -> None:
    """Who booked two hours ago needs none."""
    window = NOW_S + ahead_h * 3600, NOW_S + (ahead_h + 2) * 3600
    found = remind_at_s(window, lead_h * 3600, NOW_S)
    assert found == (None if due_h is None else NOW_S + due_h * 3600)
