"""What customers say with the forms of their page, without any script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import count, job_row, rows
from tests.support.showcase import Showcase, stage
from tests.support.visitor import Visitor, visiting
from tracking_server.domain.note import MOST_NOTES
from tracking_server.embedded import Installation


@pytest.fixture
async def show(engine: AsyncEngine, now_s: float) -> Showcase:
    return await stage(engine, "en", now_s)


@pytest.fixture
def shown_firm(engine: AsyncEngine, show: Showcase, now_s: float) -> Firm:
    return Firm(engine, show.organisation_id, now_s)


@pytest.fixture
async def driving(servers: Installation, database: str, clock: SetClock, show: Showcase) -> AsyncIterator[Visitor]:
    async with visiting(servers, database, clock, show.tokens["en_route"]) as visitor:
        yield visitor


async def test_a_note_is_kept_told_and_shown(driving: Visitor, show: Showcase, shown_firm: Firm) -> None:
    """Back to the page with thanks, once however often it is sent, and everybody who watches looks again."""
    before = (await job_row(shown_firm, show.jobs["en_route"])).version
    for _ in range(2):
        sent = await driving.send("note", text="Second floor\r\n<b>left</b>", id="7b1de0b0-3f5c-4f2c-9a53-0b8f3c3f0001")
        assert sent.status_code == 303
        assert "said=note" in sent.headers["location"]
    page = await driving.page("said=note")
    assert "Thank you. We have got your note." in page
    assert "Second floor\n&lt;b&gt;left&lt;/b&gt;" in page
    kept = [note for note in await rows(shown_firm, "note") if note.text.startswith("Second")]
    assert [(note.kind, note.author, note.job_id) for note in kept] == [("note", "customer", show.jobs["en_route"])]
    assert (await job_row(shown_firm, show.jobs["en_route"])).version > before
    assert "said" not in await driving.page("said=%3Cscript%3E")


async def test_a_form_that_was_gone_back_to_is_another_note(driving: Visitor, shown_firm: Firm) -> None:
    """A browser shows it with the number it had: what was changed in it is kept as well, and thanked for once more."""
    number = "7b1de0b0-3f5c-4f2c-9a53-0b8f3c3f0002"
    for form, text in (("note", "Ring twice"), ("note", "Ring three times"), ("reschedule", "Ring three times")):
        assert (await driving.send(form, text=text, id=number)).status_code == 303
    kept = {(note.kind, note.text) for note in await rows(shown_firm, "note")}
    assert kept >= {("note", "Ring twice"), ("note", "Ring three times"), ("not_home", "Ring three times")}


@pytest.mark.parametrize(
    ("form", "fields", "line"),
    [
        ("note", {"text": " \n "}, "Please write something first."),
        ("note", {"text": "x" * 1001}, "Please keep it under 1000 characters."),
        ("note", {"text": "a\0b"}, "Some characters in this text cannot be sent."),
        ("reschedule", {"day": "1999-01-01", "text": "hello"}, "Please choose one of the days in the list."),
        ("rate", {"stars": "5", "text": "hello"}, "Your visit has moved on"),
    ],
)
async def test_what_cannot_be_taken_comes_back_with_the_reason(
    driving: Visitor, shown_firm: Firm, form: str, fields: dict[str, str], line: str
) -> None:
    """422, one clear line, and the text still in the form."""
    before = await count(shown_firm, "note")
    sent = await driving.send(form, **fields)
    assert sent.status_code == 422
    assert line in sent.text
    assert fields["text"].strip().replace("\0", "") in sent.text.replace("\0", "")
    assert await count(shown_firm, "note") == before


async def test_bytes_that_are_no_text_are_refused(driving: Visitor) -> None:
    """Half characters and broken encodings, without a failure of ours."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"text=%ff%fe", b"text=%ed%a0%80", "text=ä".encode(), b"&".join(b"a%d=1" % n for n in range(50))):
        answer = await driving.client.post(f"{driving.base}/note", content=body, headers=headers)
        assert answer.status_code in (400, 422), body


async def test_a_wish_for_another_time_names_day_and_part(driving: Visitor, shown_firm: Firm) -> None:
    """Out of the days that the page offers; without a wish it says that nobody will be home."""
    offered = re.findall(r'<option value="(\d{4}-\d\d-\d\d)"', await driving.page())
    assert len(set(offered)) == 14
    assert (await driving.send("reschedule", day=offered[3], part="evening", text="")).status_code == 303
    assert (await driving.send("reschedule", text="")).status_code == 303
    kept = {note.kind: note.wish for note in await rows(shown_firm, "note")}
    assert kept["reschedule"] == {"day": offered[3], "part": "evening"}
    assert kept["not_home"] == {}


async def test_a_note_written_while_the_page_moved_on_is_taken(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm
) -> None:
    """The technician arrived while somebody typed; how to get in is not shown again to whoever looks."""
    async with visiting(servers, database, clock, show.tokens["arrived"]) as visitor:
        assert (await visitor.send("access", text="Gate code 4711")).status_code == 303
        assert (await visitor.send("cannot_find", text="Back door")).status_code == 303
        page = await visitor.page()
    assert "4711" not in page
    assert "We have your note on how to get in." in page
    assert {note.kind for note in await rows(shown_firm, "note")} >= {"access", "cannot_find"}


async def test_a_rating_is_shown_and_can_be_changed(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm
) -> None:
    """The last one counts; none is no rating."""
    async with visiting(servers, database, clock, show.tokens["completed"]) as visitor:
        assert "Please choose one to five stars." in (await visitor.send("rate", text="fine")).text
        for stars in ("2", "5"):
            assert (await visitor.send("rate", stars=stars, text="Friendly")).status_code == 303
        page = await visitor.page()
    assert re.search(r'value="5" required checked', page)
    assert "Change your rating" in page
    assert [(rating.stars, rating.comment) for rating in await rows(shown_firm, "rating")] == [(5, "Friendly")]


async def test_nobody_writes_without_end(driving: Visitor, shown_firm: Firm) -> None:
    """After so many notes the page says to call."""
    for n in range(MOST_NOTES - 1):  # the showcase has one already
        assert (await driving.send("note", id="", text=f"note {n}")).status_code == 303
    refused = await driving.send("note", id="", text="one more")
    assert refused.status_code == 422
    assert "Please call us instead." in refused.text
    assert await count(shown_firm, "note") == MOST_NOTES


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://doorstep.example.evil"},
        {"sec-fetch-site": "cross-site", "origin": "http://doorstep.example"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://["},
    ],
)
async def test_a_form_from_elsewhere_changes_nothing(
    driving: Visitor, shown_firm: Firm, headers: dict[str, str]
) -> None:
    """Refused by what the browser itself says of where it came from."""
    before = await count(shown_firm, "note")
    for form in ("note", "reschedule", "rate", "share"):
        assert (await driving.send(form, headers=headers, text="x", stars="1")).status_code == 403
    assert await count(shown_firm, "note") == before
    assert await count(shown_firm, "rating") == 0


async def test_only_forms_of_a_fair_size_are_read(driving: Visitor) -> None:
    """Other types 415, more than 16 KiB 413; and reading the form's address writes nothing."""
    target = f"{driving.base}/note"
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
        answer = await driving.client.post(target, content=b"text=x", headers={"content-type": kind})
        assert answer.status_code == 415
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await driving.client.post(target, content=b"text=" + b"x" * 16_384, headers=headers)
    assert answer.status_code == 413
    assert "<textarea" in (await driving.client.get(target)).text


async def test_a_form_has_a_page_that_does_not_reload(driving: Visitor) -> None:
    """The page itself does, every minute, for browsers without script."""
    refresh = 'http-equiv="refresh"'
    assert refresh in await driving.page()
    form = await driving.client.get(f"{driving.base}/note?lang=th")
    assert refresh not in form.text
    assert "ฝากข้อความ" in form.text
    assert (await driving.client.get(f"{driving.base}/rate")).status_code == 303, "not now: back to the page"
