"""What a message says: a letter or a short text, from the same catalogues and in the same words as the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tracking_server import words
from tracking_server.domain import sms
from tracking_server.domain.job import Job, State
from tracking_server.domain.message import MessageKind
from tracking_server.store.messages import Visit
from tracking_server.words import first_name

RIGHT_TO_LEFT = "\u200f"  # begins a line that begins with a Latin name but is not a Latin line
MOST_PARTS = 4  # of a short text; beyond it goes the detail, which the page has
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"  # a Latin name within Arabic keeps its place and that of what follows
Say = Callable[[str], str]
Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in words."""

    subject: str
    body: str


def letter(kind: MessageKind, was: State | None, view: Visit, language: str, link: str) -> Letter:
    """The message in one of `words.LANGUAGES`; its last line is the link. `was` is what a correction takes back."""
    say = words.catalogue(language).gettext
    headline = _headline(kind, was, say)
    facts = _facts(kind, view, language, say)
    subject = headline % facts
    if words.direction(language) == "rtl":
        facts = {name: f"{ISOLATE}{value}{END_OF_ISOLATE}" for name, value in facts.items()}
    lines = [headline, *_details(kind, was, facts, say)]
    vehicle = [_vehicle(view)] if kind in (MessageKind.on_the_way, MessageKind.arriving) else []
    blocks = [
        [line % facts for line in lines],
        [_one_line(view.title), *vehicle],
        [_signature(view, say) % facts],
        [_link_line(say), link],
    ]
    return Letter(subject, "\n\n".join("\n".join(line for line in block if line) for block in blocks) + "\n")


def short_text(kind: MessageKind, was: State | None, view: Visit, language: str, link: str) -> str:
    """The message as an SMS: whose it is first, the link last, and between them as much as `MOST_PARTS` hold."""
    say = words.catalogue(language).gettext
    facts = sms_facts(kind, view, language)
    headline = _headline(kind, was, say) % facts
    details = " ".join(line % facts for line in _details(kind, was, facts, say) if line)
    texts = (sms_text(facts["firm"], said, language, link) for said in (f"{headline}. {details}".rstrip(), headline))
    return next((text for text in texts if sms.parts(text) <= MOST_PARTS), sms_text("", headline, language, link))


def sms_text(firm: str, said: str, language: str, link: str) -> str:
    """What is said, between whose it is and the link. The isolates of a wide text are worth their room."""
    mark = RIGHT_TO_LEFT if words.direction(language) == "rtl" else ""
    return mark + sms.narrow(f"{firm}: {said}" if firm else said) + f" {link}"


def sms_facts(kind: MessageKind, view: Visit, language: str) -> dict[str, str]:
    """What the placeholders stand for in an SMS, where people's names make no link and no line."""
    facts = _facts(kind, view, language, words.catalogue(language).gettext)
    facts |= {name: sms.name(facts[name]) for name in ("firm", "name")}
    facts = {name: sms.narrow(value) for name, value in facts.items()}
    if words.direction(language) == "rtl":
        facts = {name: f"{ISOLATE}{value}{END_OF_ISOLATE}" for name, value in facts.items()}
    return facts


def sms_title(view: Visit) -> str:
    """The job's title as an SMS may show it."""
    return sms.name(view.title)


def letter_facts(kind: MessageKind, view: Visit, language: str) -> dict[str, str]:
    """What the placeholders stand for in a letter."""
    return _facts(kind, view, language, words.catalogue(language).gettext)


def _headline(kind: MessageKind, was: State | None, _: Say) -> str:
    match kind:
        case MessageKind.booked:
            return _("Your visit is booked")
        case MessageKind.reminder:
            return _("A reminder of your visit")
        case MessageKind.on_the_way:
            return _("%(name)s is on the way to you")
        case MessageKind.you_are_next:
            return _("You are next")
        case MessageKind.arriving:
            return _("%(name)s is arriving now")
        case MessageKind.arrived:
            return _("%(name)s is at your door")
        case MessageKind.delayed:
            return _("Your visit is later than planned")
        case MessageKind.reassigned:
            return _("Now coming: %(name)s")
        case MessageKind.completed:
            return _("The work is done")
        case MessageKind.new_link:
            return _("Here is your new link")
        case MessageKind.correction if was is State.completed:
            return _("Correction: the work is not done yet")
        case MessageKind.correction:
            return _("Correction: your technician has not arrived yet")


def _details(kind: MessageKind, was: State | None, facts: Facts, _: Say) -> list[str]:
    """Sentences that say more, as far as their facts are known."""
    expected = _("Expected between %(earliest)s and %(latest)s.") if "earliest" in facts else ""
    match kind:
        case MessageKind.booked | MessageKind.reminder if "earliest" in facts:
            return [_("%(firm)s comes on %(day)s, between %(earliest)s and %(latest)s.")]
        case MessageKind.on_the_way:
            return [expected]
        case MessageKind.you_are_next:
            return [_("%(name)s comes to you next."), expected]
        case MessageKind.arrived if "time" in facts:
            return [_("Since %(time)s")]
        case MessageKind.delayed if "earliest" in facts:
            return [_("New time: %(day)s, between %(earliest)s and %(latest)s.")]
        case MessageKind.delayed:
            return [_("We are sorry. The new time will be on the page as soon as we know it.")]
        case MessageKind.reassigned:
            return [_("%(name)s comes instead of the technician named before."), expected]
        case MessageKind.completed if "time" in facts:
            return [_("Finished at %(time)s")]
        case MessageKind.correction if was is State.completed:
            return [_("Our earlier message that the work is done was wrong. We are sorry.")]
        case MessageKind.correction:
            return [_("Our earlier message that your technician had arrived was wrong. We are sorry."), expected]
    return []


def _signature(view: Visit, _: Say) -> str:
    return _("Questions? Call %(firm)s: %(phone)s") if view.office_phone else "%(firm)s"


def _link_line(_: Say) -> str:
    return _("Everything about your visit:")


def _facts(kind: MessageKind, view: Visit, language: str, _: Say) -> dict[str, str]:
    """What the placeholders stand for; what is not known is left out."""
    facts = {"firm": _one_line(view.organisation_name), "phone": _one_line(view.office_phone or "")}
    facts["name"] = first_name(view.technician_name) if view.technician_name else _("Your technician")
    window = _window(kind, view.job)
    if window is not None:
        facts["day"] = words.day(window[0], view.time_zone, language)
        facts["earliest"], facts["latest"] = (words.clock_time(at_s, view.time_zone, language) for at_s in window)
    at_s = view.job.arrived_at_s if kind is MessageKind.arrived else view.job.ended_at_s
    if at_s is not None:
        facts["time"] = words.clock_time(at_s, view.time_zone, language)
    return facts


def _window(kind: MessageKind, job: Job) -> tuple[float, float] | None:
    """The window this message tells: the promise for what is ahead, the estimate once somebody drives."""
    estimate = (job.eta.earliest_s, job.eta.latest_s) if job.eta is not None else None
    if kind in (MessageKind.booked, MessageKind.reminder):
        return job.promised
    if kind is MessageKind.delayed and job.promise > job.late_promise:
        return job.promised
    return estimate


def _vehicle(view: Visit) -> str:
    return " · ".join(_one_line(part) for part in (view.vehicle, view.plate) if part)


def _one_line(text: str) -> str:
    """Nobody's name makes a line of its own."""
    return " ".join(text.split())
