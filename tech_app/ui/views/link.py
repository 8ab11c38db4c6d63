"""How the phone stands with the office, in one line that is always on the home screen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tech_app.core.outbox import Facts
from tech_app.core.status import Connection, Status
from tech_app.ui.words import _, ngettext


class Mood(StrEnum):
    """How much it matters."""

    calm = "calm"
    good = "good"
    warn = "warn"
    bad = "bad"


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence and its weight."""

    text: str
    mood: Mood
    icon: str


def link_line(status: Status, facts: Facts) -> Line:
    """Whether all is sent. Fixes are not counted: they go out by themselves, in thousands after a day in a cellar."""
    waiting = facts.taps + facts.files
    if not status.paired:
        return Line(
            _("The office has removed this phone. What you do is kept. Ask the office for a new code."),
            Mood.bad,
            "warning",
        )
    if status.storage_trouble is not None:
        return Line(_("This phone is full. Delete something on it: nothing new can be kept."), Mood.bad, "warning")
    if status.connection is Connection.away:
        if not waiting:
            return Line(_("No connection. You can go on working."), Mood.warn, "cloud_off")
        waits = ngettext(
            "No connection. You can go on working: %(count)s step waits and is sent later.",
            "No connection. You can go on working: %(count)s steps wait and are sent later.",
            waiting,
        )
        return Line(waits % {"count": waiting}, Mood.warn, "cloud_off")
    if waiting:
        sending = ngettext("%(count)s step is being sent.", "%(count)s steps are being sent.", waiting)
        return Line(sending % {"count": waiting}, Mood.calm, "sync")
    if status.connection is Connection.untried:
        return Line(_("Connecting to the office."), Mood.calm, "sync")
    return Line(_("Everything is sent."), Mood.good, "check")


def gps_line(status: Status, *, tracked: bool) -> Line | None:
    """What keeps the phone from knowing where it is, while it should."""
    if not tracked or status.gps_trouble is None:
        return None
    return Line(_("This phone does not find its position. Look at Diagnostics."), Mood.bad, "gps")
