"""A visit as a calendar keeps it (RFC 5545)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from tracking_server import words
from tracking_server.domain.page_state import PageState
from tracking_server.store.views import JobView

MOST_OCTETS = 75  # of a line, its end not counted
PRODUCT = "-//Doorstep//Visit//EN"


def calendar(view: JobView, page: PageState, language: str, now_s: float) -> str | None:
    """The visit with its window, without its address; None when it has no window. The same visit keeps its identity,
    so that a calendar that takes it again moves it."""
    if page.window is None:
        return None
    say = words.catalogue(language).gettext
    number = f" #{view.details.number}" if view.details.number else ""
    phone = view.firm.office_phone
    called = say("Questions? Call %(firm)s: %(phone)s") % {"firm": view.firm.name, "phone": phone} if phone else ""
    told = "\n".join(part for part in (view.details.preparation, called) if part)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{_identity(view)}",
        f"DTSTAMP:{_time(now_s)}",
        f"SEQUENCE:{view.job.promise}",
        f"DTSTART:{_time(page.window[0])}",
        f"DTEND:{_time(page.window[1])}",
        f"SUMMARY;LANGUAGE={language}:{_text(f'{view.firm.name}: {view.details.title}{number}')}",
        *([f"DESCRIPTION;LANGUAGE={language}:{_text(told)}"] if told else []),
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _identity(view: JobView) -> str:
    """Tells nothing of our own ids."""
    return hashlib.sha256(b"visit" + view.organisation_id.bytes + view.job.id.bytes).hexdigest()[:32] + "@doorstep"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    for sign, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r\n", "\n"), ("\r", "\n"), ("\n", "\\n")):
        text = text.replace(sign, written)
    return "".join(sign for sign in text if sign >= " ")


def _folded(line: str) -> str:
    """In pieces of at most MOST_OCTETS, each but the first begun by a space, no character cut."""
    pieces, piece = [], ""
    for sign in line:
        if len((piece + sign).encode()) > MOST_OCTETS:
            pieces.append(piece)
            piece = " "
        piece += sign
    return "\r\n".join([*pieces, piece])
