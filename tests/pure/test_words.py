"""Everything a customer reads exists in every language, whole: catalogues, and what messages make of them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tracking_server import words
from tracking_server.domain.eta import Window
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.message import MessageKind
from tracking_server.notify.texts import Letter, letter
from tracking_server.store.messages import Visit
from tracking_server.words import first_name

DOMAINS = ("doorstep", "board")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
NOW_S = 1_800_000_000.0  # Friday, January 15, 2027, 8:00 in Lisbon
LINK = "https://doorstep.example/t/token"
JOB = Job(
    UUID(int=1),
    State.en_route,
    5,
    Geofence(0.0, 0.0),
    promise=2,
    late_promise=1,
    promised=(NOW_S + 3600, NOW_S + 7200),
    arrived_at_s=NOW_S,
    ended_at_s=NOW_S + 1800,
    eta=Window(NOW_S + 600, NOW_S + 900, NOW_S + 1200, 0.8),
)
VIEW = Visit(
    organisation_name="Ribeira Plumbing",
    office_phone="+351 220 000 000",
    title="Leaking tap",
    time_zone="Europe/Lisbon",
    technician_name="Ana Sousa",
    vehicle="white van",
    plate="12-AB-34",
    job=JOB,
)
BARE = replace(
    VIEW,
    office_phone=None,
    technician_name=None,
    vehicle=None,
    plate=None,
    job=Job(UUID(int=1), State.scheduled, 1, Geofence(0.0, 0.0)),
)
KINDS: list[tuple[MessageKind, State | None]] = [
    *((kind, None) for kind in MessageKind if kind is not MessageKind.correction),
    (MessageKind.correction, State.arrived),
    (MessageKind.correction, State.completed),
]


@cache
def used(domain: str) -> dict[str, str | None]:
    """Every text that a domain's templates and code name, with its plural."""
    found: dict[str, str | None] = {}
    service = words.VIEW.parent / "tracking_server"
    staffs = [service / "accounts", service / "dispatch" / "board"]
    sources = {
        "doorstep": [(words.VIEW, "*.html", "jinja2"), (service, "**.py", "python")],
        "board": [(folder, *method) for folder in staffs for method in (("*.html", "jinja2"), ("*.py", "python"))],
    }
    for folder, files, method in sources[domain]:
        extracted = extract_from_dir(
            folder, [(files, method)], directory_filter=lambda path: "node_modules" not in str(path)
        )
        for file, _, text, _, _ in extracted:
            if domain == "doorstep" and any((folder / file).is_relative_to(own) for own in staffs):
                continue
            singular, plural = text if isinstance(text, tuple) else (text, None)
            found[singular] = plural
    return found


@cache
def catalogue(language: str, domain: str = "doorstep") -> Catalog:
    with (words.VIEW / "locale" / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_catalogue_has_what_is_used_and_nothing_else(language: str, domain: str) -> None:
    """What a fresh extraction finds is what the catalogue holds, plurals and all."""
    ids = [message.id for message in catalogue(language, domain) if message.id]
    kept = dict((text, None) if isinstance(text, str) else text for text in ids)
    assert kept == used(domain)
    assert not [message.id for message in catalogue(language, domain) if message.fuzzy and message.id]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_each_text_is_translated_whole(language: str, domain: str) -> None:
    """No text is empty outside of English, no plural form is missing, and placeholders are the original's."""
    for message in catalogue(language, domain):
        if not message.id:
            continue
        originals = [message.id] if isinstance(message.id, str) else list(message.id)
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        if len(originals) == 2:
            assert len(texts) == catalogue(language, domain).num_plurals, message.id
        wanted = {name for text in originals for name in PLACEHOLDER.findall(text)}
        for text in texts:
            if language == "en" and len(originals) == 1:
                assert text in ("", message.id)
                continue
            assert text.strip(), message.id
            names = set(PLACEHOLDER.findall(text))
            assert names == wanted or (len(originals) == 2 and names <= wanted), text
            assert "%" not in PLACEHOLDER.sub("", text), text


@pytest.mark.parametrize("domain", DOMAINS)
def test_plural_rules_are_the_language_s_own(domain: str) -> None:
    """As many forms as CLDR knows: one in Thai, six in Arabic."""
    assert {language: catalogue(language, domain).num_plurals for language in words.LANGUAGES} == {
        "en": 2,
        "th": 1,
        "ar": 6,
    }


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize(("kind", "was"), KINDS)
@pytest.mark.parametrize("view", [VIEW, BARE], ids=["all known", "little known"])
def test_each_message_is_whole_in_each_language(
    kind: MessageKind, was: State | None, language: str, view: Visit
) -> None:
    """No placeholder is left, the firm is named, the link is the last line."""
    text = letter(kind, was, view, language, LINK)
    assert text.subject
    assert "\n" not in text.subject
    for part in (text.subject, text.body):
        assert "%(" not in part
        assert "None" not in part
    assert text.body.splitlines()[0] == text.subject or language == "ar"
    assert text.body.splitlines()[-1] == LINK
    assert "Ribeira Plumbing" in text.body
    if language != "en":
        spoken = text.body.replace(LINK, "")
        for own in ("Ribeira Plumbing", "Ana", "Leaking tap", "white van", "AB"):
            spoken = spoken.replace(own, "")
        assert not re.search("[A-Za-z]", spoken), "nothing is left in English"


def test_a_booking_in_words() -> None:
    """The whole letter, as a customer reads it."""
    text = letter(MessageKind.booked, None, VIEW, "en", LINK)
    assert text == Letter(
        "Your visit is booked",
        "Your visit is booked\n"
        "Ribeira Plumbing comes on Friday, January 15, 2027, between 9:00\u202fAM and 10:00\u202fAM.\n"
        "\n"
        "Leaking tap\n"
        "\n"
        "Questions? Call Ribeira Plumbing: +351 220 000 000\n"
        "\n"
        "Everything about your visit:\n"
        f"{LINK}\n",
    )


def test_a_delay_tells_the_new_promise() -> None:
    """Not the window that was broken; and none where none is known."""
    assert "between 9:00\u202fAM and 10:00\u202fAM" in letter(MessageKind.delayed, None, VIEW, "en", LINK).body
    broken = replace(VIEW, job=replace(JOB, promise=1, eta=None))
    body = letter(MessageKind.delayed, None, broken, "en", LINK).body
    assert "9:00" not in body
    assert "as soon as we know it" in body


@pytest.mark.parametrize("night", ["2026-03-27 23:30", "2026-10-24 00:30"])
def test_each_day_is_offered_once(night: str) -> None:
    """Also late at night, over the days of 23 and of 25 hours."""
    now = datetime.fromisoformat(night).replace(tzinfo=ZoneInfo("Europe/Lisbon"))
    later = [words.days_later(now.timestamp(), n, "Europe/Lisbon") for n in range(1, 15)]
    days = [words.iso_day(at_s, "Europe/Lisbon") for at_s in later]
    assert days == [(now.date() + timedelta(days=n)).isoformat() for n in range(1, 15)]


@pytest.mark.parametrize(
    ("name", "called"),
    [("Ana Sousa", "Ana"), ("สมชาย ใจดี", "สมชาย"), ("عبد الله حسن", "عبد الله"), ("  Ana\nSousa ", "Ana"), ("", "")],
)
def test_a_technician_is_called_by_their_first_name(name: str, called: str) -> None:
    """Also where the first word alone is half a name."""
    assert first_name(name) == called


@pytest.mark.parametrize(
    ("asked", "accepts", "language"),
    [
        ("TH-th", "en", "th"),
        ("AR", "", "ar"),
        ("ar_EG", "en", "ar"),
        ("xx", "AR-eg;q=0.4, TH;q=0.9, en;q=0.1", "th"),
        (None, "de, en;q=0.5, th;q=0.7", "th"),
        (None, "th;q=0, ar;q=0.1", "ar"),
        (None, "th;q=much, ar ; q=0.1", "ar"),
        (None, "*, ,;q=1,,-", "en"),
        (None, "", "en"),
    ],
)
def test_the_language_is_one_that_the_page_speaks(asked: str | None, accepts: str, language: str) -> None:
    """However it is written, and in the order of liking."""
    assert words.choose_language(asked, accepts) == language
