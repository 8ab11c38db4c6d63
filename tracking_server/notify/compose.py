"""A message in words for one channel: the firm's own where they hold, else the catalogues'."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tracking_server import words
from tracking_server.domain.job import State
from tracking_server.domain.message import Channel, Message, MessageKind
from tracking_server.notify import texts
from tracking_server.notify.templates import BadTemplate, render
from tracking_server.organisation_settings import OrganisationSettings, Template
from tracking_server.store.messages import Visit

NO_TEMPLATE = Template()


@dataclass(frozen=True, slots=True)
class Composed:
    """What is sent; `remark` says why the firm's own words were not used."""

    subject: str
    body: str
    remark: str = ""


def compose(
    channel: Channel,
    kind: MessageKind,
    was: State | None,
    visit: Visit,
    language: str,
    link: str,
    settings: OrganisationSettings,
) -> Composed:
    """An e-mail or an SMS, in one of `words.LANGUAGES`. `was` is what a correction takes back."""
    own = settings.templates.get(kind, {}).get(language, NO_TEMPLATE)  # type: ignore[call-overload]
    if channel is Channel.sms:
        text = texts.short_text(kind, was, visit, language, link)
        facts = texts.sms_facts(kind, visit, language)
        said, remark = _own_words("sms", own.sms, facts | {"title": texts.sms_title(visit), "link": link})
        return Composed("", text if said is None else _with_link(facts["firm"], said, language, link), remark)
    letter = texts.letter(kind, was, visit, language, link)
    facts = texts.letter_facts(kind, visit, language) | {"title": visit.title, "link": link}
    subject, no_subject = _own_words("subject", own.subject, facts)
    body, no_body = _own_words("body", own.body, facts)
    if body is not None:
        body = (body if link in body else f"{body}\n\n{link}") + "\n"
    return Composed(
        subject=letter.subject if subject is None else subject,
        body=letter.body if body is None else body,
        remark="; ".join(filter(None, (no_subject, no_body))),
    )


def _own_words(part: str, template: str | None, facts: dict[str, str]) -> tuple[str | None, str]:
    if template is None:
        return None, ""
    try:
        return render(part, template, facts), ""
    except BadTemplate as error:
        return None, f"the firm's {part} was not used: {error}"


def _with_link(firm: str, said: str, language: str, link: str) -> str:
    """A firm's own words still say whose they are, and end with the link."""
    said = " ".join(said.replace(link, " ").split())
    return texts.sms_text("" if said.startswith(firm) else firm, said, language, link)


def document(message: Message, visit: Visit) -> str:
    """What a webhook is told: which message, about what, and how the job stands now. Nobody's name or place."""
    job = visit.job
    data: dict[str, Any] = {
        "job": str(message.job_id),
        "occasion": message.occasion,
        "at": message.about.get("at_s"),
        "takes_back": message.about.get("was"),
        "state": job.state.value,
        "version": job.version,
        "technician": str(job.technician_id) if job.technician_id else None,
        "promised": job.promised,
        "expected": (job.eta.earliest_s, job.eta.latest_s) if job.eta is not None else None,
    }
    return json.dumps({"type": f"visit.{message.kind.value}", "timestamp": message.about.get("at_s"), "data": data})


def language_of(contact_language: str) -> str:
    """One that the catalogues speak."""
    return words.choose_language(None, contact_language)
