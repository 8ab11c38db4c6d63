"""Quiet hours in the customer's time zone: when they end, and for which messages they hold. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from tracking_server.domain.message import LIVE, Channel, Message, MessageKind
from tracking_server.organisation_settings import OrganisationSettings

AHEAD = frozenset({MessageKind.booked, MessageKind.reminder})


def quiet_until_s(now_s: float, zone: ZoneInfo, quiet_from: time, quiet_to: time) -> float | None:
    """When the quiet hours that hold at `now_s` end, None when none hold.

    By the clock on the customer's wall: the night of a change to or from daylight saving is an hour shorter or longer
    like every other thing in it. Equal times mean no quiet hours.
    """
    local = datetime.fromtimestamp(now_s, zone)
    at = local.time()
    over_midnight = quiet_from > quiet_to
    quiet = quiet_from <= at < quiet_to or (over_midnight and (at >= quiet_from or at < quiet_to))
    if not quiet:
        return None
    date = local.date() + timedelta(days=1 if over_midnight and at >= quiet_from else 0)
    end = datetime.combine(date, quiet_to, zone)
    if end.timestamp() <= now_s:  # the clock was set back over the end: it comes a second time
        end = end.replace(fold=1)
    return end.timestamp()


def held_until_s(
    message: Message,
    promised: tuple[float, float] | None,
    now_s: float,
    time_zone: str,
    settings: OrganisationSettings,
) -> float | None:
    """Until when the quiet hours hold a message back, None when it may go.

    What can wait (booked, reminder, completed) waits for the morning on every channel that rings or lights a phone,
    unless the visit begins before: who books for tonight is awake, and would be told when it is over.
    A live message of a visit in the night is wanted: somebody is awake for it. By e-mail it goes at once. By SMS,
    which rings, it goes only when the window promised to the customer touches the quiet hours, for then they agreed to
    a visit at that time; a technician who runs three hours late past 21:00 does not wake a household that went to bed.
    Webhooks go to machines, which do not sleep; and a link goes to who asked for it just now.
    """
    if message.channel is Channel.webhook or message.kind is MessageKind.new_link:
        return None
    zone = ZoneInfo(time_zone)
    hours = time.fromisoformat(settings.quiet_from), time.fromisoformat(settings.quiet_to)
    until_s = quiet_until_s(now_s, zone, *hours)
    if until_s is None:
        return None
    if message.kind not in LIVE:
        cannot_wait = message.kind in AHEAD and promised is not None and promised[0] < until_s
        return None if cannot_wait else until_s
    if message.channel is Channel.email or (promised is not None and touches_quiet(promised, zone, *hours)):
        return None
    return until_s


def touches_quiet(window: tuple[float, float], zone: ZoneInfo, quiet_from: time, quiet_to: time) -> bool:
    """Whether any moment of a window (epoch seconds) lies in quiet hours."""
    if any(quiet_until_s(at_s, zone, quiet_from, quiet_to) is not None for at_s in window):
        return True
    first = datetime.fromtimestamp(window[0], zone)
    begins = datetime.combine(first.date(), quiet_from, zone)
    if begins.timestamp() < window[0]:
        begins = datetime.combine(first.date() + timedelta(days=1), quiet_from, zone)
    return quiet_from != quiet_to and begins.timestamp() <= window[1]
