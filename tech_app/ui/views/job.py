"""One visit: where, when, for whom, how to get in, the one thing to tap next, and the others behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tech_app.core.jobs import Job, Note, Proof, Reason, Rule, State, missing_proof, possible_taps, waited_s
from tech_app.core.navigation import Navigator, Platform, call_url, message_url
from tech_app.core.tap import TapKind
from tech_app.ui.views import said
from tech_app.ui.views.said import Action
from tech_app.ui.views.today import NEXT_STEP, stop_name
from tech_app.ui.words import _, clock_time, day_name, minutes, ngettext, window

LATE_MIN = (5, 10, 15, 20, 30, 45, 60)
LONGEST_NOTE = 2_000  # what the service takes
MENU = (TapKind.late, TapKind.not_home, TapKind.no_access, TapKind.undo)


@dataclass(frozen=True, slots=True)
class ProofLine:
    """A kind of proof on the job: its words, whether it is asked for, and what there is."""

    kind: Proof
    label: str
    rule: str
    there: str
    missing: bool


@dataclass(frozen=True, slots=True)
class NoteLine:
    """A line somebody wrote."""

    who: str
    time: str
    text: str
    mine: bool


@dataclass(frozen=True, slots=True)
class JobView:
    """Everything on the screen. `hint` says under the main action what is missing for it."""

    id: str
    title: str
    state: State
    state_word: str
    pending: bool
    address: str
    window: str
    customer: str
    summary: str
    access: str
    waiting: str
    notes: tuple[NoteLine, ...]
    proof: tuple[ProofLine, ...]
    action: Action | None
    hint: str
    menu: tuple[Action, ...]
    can_call: bool
    can_message: bool
    can_write: bool
    can_prove: bool


Pictures = Mapping[Proof, int]


def job_view(job: Job, pictures: Pictures, today: str, now_s: float, *, pending: bool) -> JobView:
    """`pictures` is how many there are of each kind, on the phone or sent."""
    possible = possible_taps(job)
    step = NEXT_STEP.get(job.state)
    lacking = missing(job, pictures) if step is TapKind.done else []
    when = window(job.promised) if job.promised else _("no time yet")
    return JobView(
        job.id,
        stop_name(job) or _("Visit"),
        job.state,
        said.state(job.state),
        pending,
        job.address,
        when if job.day in ("", today) else f"{day_name(job.day, today)}, {when}",
        job.customer,
        job.summary,
        job.access,
        _waiting(job, now_s),
        tuple(note_line(note) for note in job.notes),
        proof_lines(job, pictures),
        None if step is None else said.action(step),
        _("Still missing: %(proof)s") % {"proof": said.proofs(lacking)} if lacking else "",
        tuple(said.action(kind) for kind in MENU if kind in possible),
        job.phone is not None and call_url(job.phone) is not None,
        job.phone is not None and message_url(job.phone) is not None,
        TapKind.note in possible,
        TapKind.done in possible,
    )


def missing(job: Job, pictures: Pictures) -> list[Proof]:
    """What is required before the job is done, and not there; a note of the technician's own is proof."""
    given = {kind for kind in Proof if _count(kind, job, pictures)}
    return missing_proof(job, given)


def proof_lines(job: Job, pictures: Pictures) -> tuple[ProofLine, ...]:
    """The kinds that are not switched off, required ones first."""
    lacking = missing(job, pictures)
    kinds = [kind for kind in Proof if job.rule(kind) is not Rule.off]
    kinds.sort(key=lambda kind: job.rule(kind) is not Rule.required)
    return tuple(
        ProofLine(
            kind, _title(kind), said.rule(job.rule(kind)), _there(kind, _count(kind, job, pictures)), kind in lacking
        )
        for kind in kinds
    )


def note_line(note: Note) -> NoteLine:
    return NoteLine(said.author(note.author), clock_time(note.time_s), note.text, note.author == "technician")


def reasons() -> tuple[tuple[Reason, str], ...]:
    """Why a job cannot be done, to choose from."""
    return tuple((why, said.reason(why)) for why in Reason)


def late_choices() -> tuple[tuple[int, str], ...]:
    """By how many minutes one is late, to choose from."""
    return tuple((n, minutes(n)) for n in LATE_MIN)


def break_reasons() -> tuple[tuple[str, str], ...]:
    """Why a break is taken, to choose from."""
    return (("meal", _("Meal")), ("rest", _("Rest")), ("fuel", _("Fuel")), ("private", _("Private")))


def navigators(platform: Platform) -> tuple[tuple[Navigator, str], ...]:
    """The apps that can lead the way, to choose from."""
    names: Mapping[Navigator, str] = {
        Navigator.system: _("This phone's own maps"),
        Navigator.google: "Google Maps",
        Navigator.waze: "Waze",
    }
    if platform is Platform.desktop:
        return tuple((which, names[which]) for which in (Navigator.google, Navigator.waze))
    return tuple(names.items())


def done_words(kind: TapKind, job: Job) -> str:
    """What the bar at the bottom says after a tap, beside "Undo"."""
    return {
        TapKind.en_route: _("%(customer)s can see you coming."),
        TapKind.arrived: _("Arrived at %(customer)s."),
        TapKind.start: _("Work at %(customer)s has begun."),
        TapKind.done: _("The visit to %(customer)s is done."),
        TapKind.no_access: _("Noted: the visit to %(customer)s could not be done."),
        TapKind.undo: _("Undone."),
        TapKind.not_home: _("Noted: you are waiting at the door."),
        TapKind.late: _("Noted: the office is told that you are late."),
        TapKind.note: _("Noted."),
    }[kind] % {"customer": said.name(job)}


def _title(kind: Proof) -> str:
    return {Proof.photo: _("Photos"), Proof.signature: _("Signature"), Proof.note: _("Note")}[kind]


def _count(kind: Proof, job: Job, pictures: Pictures) -> int:
    if kind is Proof.note:
        return sum(note.author == "technician" for note in job.notes)
    return pictures.get(kind, 0)


def _there(kind: Proof, n: int) -> str:
    if not n:
        return ""
    match kind:
        case Proof.signature:
            return _("Signed")
        case Proof.photo:
            return ngettext("%(count)s photo", "%(count)s photos", n) % {"count": n}
    return ngettext("%(count)s note", "%(count)s notes", n) % {"count": n}


def _waiting(job: Job, now_s: float) -> str:
    waited = waited_s(job, now_s)
    if waited is None or job.not_home_since_s is None:
        return ""
    facts = {"time": clock_time(job.not_home_since_s), "minutes": minutes(int(waited // 60))}
    return _("You have been waiting since %(time)s: %(minutes)s") % facts
