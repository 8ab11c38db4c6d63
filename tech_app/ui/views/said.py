"""The words for what the core knows by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tech_app.core.jobs import Job, News, Proof, Reason, Rule, State, Tiding
from tech_app.core.outbox import DeadTap
from tech_app.core.session import Session
from tech_app.core.tap import Tap, TapKind
from tech_app.ui.words import _, clock_time, window


@dataclass(frozen=True, slots=True)
class Action:
    """Something to tap: its words and the name of its icon."""

    kind: TapKind
    label: str
    icon: str


def state(which: State) -> str:
    """Where a job stands."""
    return {
        State.scheduled: _("Planned"),
        State.assigned: _("To do"),
        State.en_route: _("On the way"),
        State.arrived: _("At the door"),
        State.in_progress: _("Working"),
        State.completed: _("Done"),
        State.cancelled: _("Called off"),
        State.no_access: _("Could not be done"),
    }[which]


def action(kind: TapKind) -> Action:
    """What a technician taps."""
    label, icon = {
        TapKind.shift_start: (_("Start shift"), "play"),
        TapKind.shift_end: (_("End shift"), "stop"),
        TapKind.break_start: (_("Take a break"), "pause"),
        TapKind.break_end: (_("Back to work"), "play"),
        TapKind.en_route: (_("I am on my way"), "car"),
        TapKind.arrived: (_("I am here"), "place"),
        TapKind.start: (_("Start work"), "play"),
        TapKind.done: (_("Done"), "done"),
        TapKind.no_access: (_("Cannot be done"), "warning"),
        TapKind.undo: (_("Undo the last step"), "undo"),
        TapKind.not_home: (_("Customer not at home"), "no_door"),
        TapKind.late: (_("I am running late"), "clock"),
        TapKind.note: (_("Write a note"), "edit"),
    }[kind]
    return Action(kind, label, icon)


def tapped(tap: Tap) -> str:
    """What a technician tapped, and when: "arrived at 10:32"."""
    what = {
        TapKind.shift_start: _("shift started"),
        TapKind.shift_end: _("shift ended"),
        TapKind.break_start: _("break started"),
        TapKind.break_end: _("break ended"),
        TapKind.en_route: _("on the way"),
        TapKind.arrived: _("arrived"),
        TapKind.start: _("work started"),
        TapKind.done: _("done"),
        TapKind.no_access: _("could not be done"),
        TapKind.undo: _("undone"),
        TapKind.not_home: _("customer not at home"),
        TapKind.late: _("running late"),
        TapKind.note: _("note"),
    }[tap.kind]
    return _("%(what)s at %(time)s") % {"what": what, "time": clock_time(tap.time_s)}


def reason(why: Reason) -> str:
    """Why a job cannot be done."""
    return {
        Reason.nobody_home: _("Nobody at home"),
        Reason.no_way_in: _("No way in"),
        Reason.wrong_address: _("Wrong address"),
        Reason.refused: _("Customer does not want it"),
        Reason.part_missing: _("A part is missing"),
        Reason.unsafe: _("Not safe"),
        Reason.other: _("Something else"),
    }[why]


def proof(kind: Proof) -> str:
    """A kind of proof, inside a sentence."""
    return {Proof.photo: _("photo"), Proof.signature: _("signature"), Proof.note: _("note")}[kind]


def proofs(kinds: Iterable[Proof]) -> str:
    """ "photo and signature"."""
    return joined([proof(kind) for kind in kinds])


def rule(which: Rule) -> str:
    """Whether a proof is asked for."""
    return {Rule.required: _("Required"), Rule.optional: _("Optional"), Rule.off: _("Not needed")}[which]


def author(who: str) -> str:
    """Who wrote a note."""
    return {"customer": _("Customer"), "technician": _("You"), "dispatcher": _("Office")}.get(who, who)


def tiding(told: Tiding) -> str:
    """What others changed on a job."""
    job = told.job
    facts = {"customer": name(job), "address": job.address, "state": state(job.state)}
    sentence = {
        News.new: _("New visit: %(customer)s, %(address)s"),
        News.gone: _("The visit to %(customer)s is not yours any more"),
        News.cancelled: _("The visit to %(customer)s was called off"),
        News.taken_back: _("The office set the visit to %(customer)s back to “%(state)s”"),
        News.window: _("New time for %(customer)s: %(window)s"),
        News.place: _("New address for %(customer)s: %(address)s"),
        News.order: _("The order of your visits has changed"),
        News.access: _("New access note for %(customer)s: %(access)s"),
        News.note: _("New note on %(customer)s: %(note)s"),
    }[told.news]
    theirs = [note.text for note in job.notes if note.author != "technician"]
    facts |= {
        "window": window(job.promised) if job.promised else _("no time yet"),
        "access": job.access or _("none"),
        "note": theirs[-1] if theirs else "",
    }
    sentence %= facts
    if told.taps:
        kept = joined([tapped(tap) for tap in told.taps])
        return sentence + ". " + _("What you tapped is kept by the office: %(taps)s") % {"taps": kept}
    return sentence


def dead(told: DeadTap, jobs: Iterable[Job]) -> str:
    """A tap that changed nothing at the service, and why."""
    why = {
        "not_yours": _("the visit is somebody else's now"),
        "too_old": _("it came too late"),
        "not_now": _("the visit stood elsewhere by then"),
    }.get(told.verdict, _("the office could not use it"))
    job = next((job for job in jobs if job.id == told.tap.job), None)
    facts = {"tap": tapped(told.tap), "why": why, "customer": name(job) if job else ""}
    if job is None:
        return _("Kept, but without effect: %(tap)s (%(why)s)") % facts
    return _("%(customer)s: kept, but without effect: %(tap)s (%(why)s)") % facts


def name(job: Job) -> str:
    """Whom a visit is for, by name where there is one."""
    return job.customer or job.address or _("a customer")


def technician(session: Session) -> str:
    """Whose this phone is: "Aino Virtanen, Ribeira Plumbing"; empty where the service does not tell."""
    if session.name and session.firm:
        return _("%(some)s, %(more)s") % {"some": session.name, "more": session.firm}
    return session.name or session.firm


def joined(parts: Sequence[str]) -> str:
    """Words one after the other, as a list is spoken: "photo, signature and note"."""
    if len(parts) < 2:
        return "".join(parts)
    head = parts[0]
    for part in parts[1:-1]:
        head = _("%(some)s, %(more)s") % {"some": head, "more": part}
    return _("%(some)s and %(last)s") % {"some": head, "last": parts[-1]}
