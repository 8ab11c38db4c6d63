"""What is asked before a tap counts, when something speaks against it. A tap that nothing speaks against is not asked
about: it can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tech_app.core.day import NotNow, ProofMissing
from tech_app.core.jobs import Job
from tech_app.core.outbox import NoRoom
from tech_app.core.shift import Shift
from tech_app.core.tap import TapKind
from tech_app.ui.views import said
from tech_app.ui.views.today import UNDER_WAY, earlier_stop
from tech_app.ui.words import _


class Doubt(StrEnum):
    """What speaks against a tap."""

    off_shift = "off_shift"
    on_break = "on_break"
    out_of_order = "out_of_order"
    under_way = "under_way"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and the words of the answer that goes on."""

    doubt: Doubt
    title: str
    text: str
    yes: str


def doubts(kind: TapKind, job: Job | None, jobs: Sequence[Job], shift: Shift) -> Ask | None:
    """The first question before this tap, None when it counts at once."""
    if kind is TapKind.en_route and job is not None:
        return _before_driving(job, jobs, shift)
    if kind is TapKind.shift_end:
        begun = next((job for job in jobs if job.state in UNDER_WAY), None)
        if begun is not None:
            facts = {"customer": said.name(begun), "state": said.state(begun.state)}
            return Ask(
                Doubt.under_way,
                _("End the shift now?"),
                _("The visit to %(customer)s is not finished: %(state)s.") % facts,
                _("End shift"),
            )
    return None


def _before_driving(job: Job, jobs: Sequence[Job], shift: Shift) -> Ask | None:
    if not shift.on:
        return Ask(
            Doubt.off_shift,
            _("You are off shift"),
            _("%(customer)s can only see you coming while you are on shift.") % {"customer": said.name(job)},
            _("Start shift and go"),
        )
    if shift.on_break:
        return Ask(
            Doubt.on_break,
            _("You are on a break"),
            _("%(customer)s can only see you coming after your break.") % {"customer": said.name(job)},
            _("End break and go"),
        )
    earlier = earlier_stop(jobs, job)
    if earlier is None or job.stop_number is None:
        return None
    facts = {"number": earlier.stop_number, "customer": said.name(earlier)}
    return Ask(
        Doubt.out_of_order,
        _("Not in order"),
        _("Stop %(number)s, %(customer)s, comes before this one and has not been visited.") % facts,
        _("Go to stop %(number)s now") % {"number": job.stop_number},
    )


def refusal(error: NotNow | ProofMissing | NoRoom) -> str:
    """Why a tap did not count."""
    match error:
        case ProofMissing():
            return _("Still missing: %(proof)s") % {"proof": said.proofs(error.proof)}
        case NoRoom():
            return _("This phone is full: delete something on it, then try again.")
    return _("This is not possible now. The visit may have changed meanwhile.")
