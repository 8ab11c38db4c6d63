"""How a customer's page is reached, shared and left, and what its answers say to a browser."""

from __future__ import annotations

import asyncio
import gzip
import re
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import count, rows
from tests.support.showcase import Showcase, portrait, stage
from tests.support.visitor import HTTP, HTTPS, visiting
from tracking_server import links
from tracking_server.domain.note import Author
from tracking_server.embedded import Installation
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.pictures import Picture, insert_picture
from tracking_server.store.schema import link, note, organisation
from tracking_server.words import LANGUAGES

BEFORE_THE_MAP = 12_000  # bytes of a compressed page with all it needs: a second on a slow phone
WITH_THE_MAP = 160_000


@pytest.fixture
async def show(engine: AsyncEngine, now_s: float) -> Showcase:
    return await stage(engine, "en", now_s)


@pytest.fixture
def shown_firm(engine: AsyncEngine, show: Showcase, now_s: float) -> Firm:
    return Firm(engine, show.organisation_id, now_s)


async def test_a_browser_without_cookies_is_served_under_the_token(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """All of it: page, updates, forms, calendar and picture; and the address is told to nobody."""
    async with visiting(servers, database, clock, show.tokens["today"], cookies=False) as visitor:
        visitor.client.cookies.clear()
        answer = await visitor.client.get(f"{visitor.base}?c=1")
        assert answer.status_code == 200
        assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
        assert "/j/" not in answer.text
        photo = re.search(rf"{visitor.base}/photo/[0-9a-f]{{32}}", answer.text)
        assert photo
        for part in (photo[0], f"{visitor.base}/status", f"{visitor.base}/visit.ics"):
            assert (await visitor.client.get(part)).status_code == 200, part
        sent = await visitor.send("note", {"origin": "null"}, text="no cookies")
        assert sent.headers["location"] == f"{visitor.base}?c=1&lang=en&said=note"
        assert "no cookies" in (await visitor.client.get(sent.headers["location"])).text


async def test_a_returning_browser_is_led_on_at_once(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """Who has the cookie already is not probed again."""
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        answer = await visitor.client.get(f"/t/{visitor.token}?lang=th")
        assert answer.headers["location"] == f"{visitor.base}?lang=th"


async def test_a_shared_page_is_a_second_link(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm
) -> None:
    """It opens the same visit in another browser; there is a handful, however many are asked for at once."""
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        before = await count(shown_firm, "link")
        page = (await visitor.send("share")).text
        address = re.search(rf'value="({HTTP}/t/[^"]+)"', page)
        assert address
        visitor.client.cookies.clear()
        second = await visitor.client.get(address[1], follow_redirects=True)
        assert "comes to you today" in second.text
        assert second.url.path != visitor.base
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        asked = [visitor.send("share", {"accept": "application/json"}) for _ in range(2 * links.MOST_SHARED)]
        addresses = [answer.json()["address"] for answer in await asyncio.gather(*asked)]
    assert sum(address is not None for address in addresses) == links.MOST_SHARED - 1
    assert await count(shown_firm, "link") == before + links.MOST_SHARED


async def test_asking_for_a_new_link_tells_nothing(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm, now_s: float
) -> None:
    """The same bytes for a link that was, one that was revoked and one that never was; owed once in ten minutes."""
    expired, revoked = show.tokens["today"], show.tokens["arriving"]
    async with transaction(shown_firm.engine, shown_firm.organisation_id) as connection:
        job = {"today": show.jobs["today"], "arriving": show.jobs["arriving"]}
        await connection.execute(
            link.update().where(link.c.job_id == job["today"]).values(expires_at=to_time(now_s - 9))
        )
        await connection.execute(
            link.update().where(link.c.job_id == job["arriving"]).values(revoked_at=to_time(now_s - 9))
        )
    async with visiting(servers, database, clock, show.tokens["en_route"]) as visitor:
        gone = await visitor.client.get(f"/t/{expired}")
        assert gone.status_code == 410
        assert 'method="post"' in gone.text
        targets = [f"/t/{expired}", f"/t/{expired}", f"/t/{revoked}", f"/t/{expired[:-1]}x", "/j/" + "0" * 32]
        answers = [await visitor.client.post(target) for target in targets]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    asked = [row for row in await rows(shown_firm, "audit") if row.action == "new_link_asked"]
    assert [row.job_id for row in asked] == [show.jobs["today"]]


async def test_a_form_of_a_link_that_is_over_leads_to_a_new_link(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm, now_s: float
) -> None:
    """Whatever of the open page was used last; the button on what it leads to is taken."""
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        async with transaction(shown_firm.engine, shown_firm.organisation_id) as connection:
            await connection.execute(link.update().values(expires_at=to_time(now_s - 9)))
        assert (await visitor.client.get(f"{visitor.base}/status")).status_code == 410
        for part in ("note", "share", "visit.ics"):
            sent = await visitor.client.request("GET" if "." in part else "POST", f"{visitor.base}/{part}?lang=th")
            assert (sent.status_code, sent.headers["location"]) == (303, f"{visitor.base}?lang=th")
        gone = await visitor.client.get(sent.headers["location"])
        assert (gone.status_code, 'method="post"' in gone.text) == (410, True)
        assert (await visitor.client.post(sent.headers["location"])).status_code == 200
    assert len([row for row in await rows(shown_firm, "audit") if row.action == "new_link_asked"]) == 1


async def test_a_picture_is_seen_only_on_the_page_that_shows_it(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm, now_s: float
) -> None:
    """Another technician's photo, one before its time, and a number that is none: all the same 404."""
    async with transaction(shown_firm.engine, shown_firm.organisation_id) as connection:
        picture = Picture("image/png", portrait())
        logo_id = await insert_picture(connection, shown_firm.organisation_id, picture, now_s)
        await connection.execute(organisation.update().values(logo_id=logo_id))
    photos = {}
    for scene in ("today", "en_route"):
        async with visiting(servers, database, clock, show.tokens[scene]) as visitor:
            found = re.search(rf"{visitor.base}/photo/([0-9a-f]{{32}})", await visitor.page())
            assert found
            photos[scene] = found[1]
            shown = await visitor.client.get(f"{visitor.base}/photo/{found[1]}")
            assert (shown.status_code, shown.content) == (200, portrait())
            assert shown.headers["content-type"] == "image/png"
            assert shown.headers["cache-control"].startswith("private")
            assert shown.headers["x-content-type-options"] == "nosniff"
            assert (await visitor.client.get(f"{visitor.base}/logo/{logo_id.hex}")).status_code == 200
            for path in (f"photo/{logo_id.hex}", f"logo/{found[1]}", "photo/none", "photo/..%2f..%2fx"):
                assert (await visitor.client.get(f"{visitor.base}/{path}")).status_code == 404, path
    async with visiting(servers, database, clock, show.tokens["scheduled"]) as visitor:
        for photo in photos.values():
            assert (await visitor.client.get(f"{visitor.base}/photo/{photo}")).status_code == 404


async def test_the_answers_score_highest_at_the_observatory(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """By the rules of MDN's HTTP Observatory, over https; and over plain http nothing that would break it."""
    async with visiting(servers, database, clock, show.tokens["today"], url=HTTPS) as visitor:
        entered = await visitor.client.get(f"/t/{show.tokens['arrived']}")
        page = await visitor.client.get(visitor.base)
        assert observatory_score(page, entered.headers.get_list("set-cookie")) == 130
        gone = await visitor.client.get("/j/" + "0" * 32)
        assert observatory_score(gone, []) >= 120
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        plain = await visitor.client.get(visitor.base)
        assert "strict-transport-security" not in plain.headers
        assert "upgrade-insecure-requests" not in plain.headers["content-security-policy"]
        assert plain.headers["x-robots-tag"].startswith("noindex")


def observatory_score(answer: httpx.Response, cookies: list[str]) -> int:
    """MDN HTTP Observatory's modifiers for one page of ours; what is not best scores as bad as it can."""
    headers = answer.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    unsafe = "unsafe" in str(policy) or "http:" in str(policy) or "*" in str(policy)
    strict = policy["default-src"] == "'none'" and policy["form-action"] == "'self'" and policy["base-uri"] == "'none'"
    age = re.fullmatch(r"max-age=(\d+)", headers.get("strict-transport-security", ""))
    scripts = re.findall(r"<script[^>]*>", answer.text)
    score = 100
    score += 10 if strict and not unsafe else -25
    score += 0 if age and int(age[1]) >= 15_768_000 else -20
    score += 0 if headers.get("x-content-type-options") == "nosniff" else -5
    score += 5 if policy.get("frame-ancestors") == "'none'" else -20
    score += 5 if headers.get("referrer-policy") in ("no-referrer", "same-origin") else -5
    score += 10 if headers.get("cross-origin-resource-policy") == "same-origin" else 0
    score += 0 if all('src="/' in script for script in scripts) else -50
    score += 0 if "access-control-allow-origin" not in headers else -50
    for cookie in cookies:
        morsel = next(iter(SimpleCookie(cookie).values()))
        score += 0 if morsel["secure"] and morsel["httponly"] and morsel["samesite"].lower() == "lax" else -40
    return score


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_page_weighs_little(
    servers: Installation, database: str, clock: SetClock, show: Showcase, language: str
) -> None:
    """Compressed, with every script and style it begins with; and the library of the map in the second sum."""
    async with visiting(servers, database, clock, show.tokens["en_route"]) as visitor:
        answer, weight = await weigh(visitor.client, f"{visitor.base}?lang={language}")
        parts = set(re.findall(r'(?:href|src)="(/view/[^"]+\.(?:js|css))"', answer))
        assert len(parts) == 6
        weight += sum([(await weigh(visitor.client, part))[1] for part in parts])
        assert weight <= BEFORE_THE_MAP
        version = next(iter(parts)).rsplit("/", 1)[0]
        later = [f"{version}/map.js", f"{version}/styles/map.css"]
        later += [f"{version}/vendor/{name}" for name in ("leaflet.js", "leaflet.css", "protomaps-leaflet.js")]
        if not (Path(__file__).parents[2] / "customer_view" / "vendor").is_dir():
            pytest.skip("the map library is fetched by ./doorstep setup")
        weight += sum([(await weigh(visitor.client, part))[1] for part in later])
        assert weight <= WITH_THE_MAP


async def weigh(client: httpx.AsyncClient, address: str) -> tuple[str, int]:
    """A file's text and its bytes on the wire; kept for ever if it is no page."""
    async with client.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.status_code == 200, address
        assert answer.headers.get("content-encoding") == "gzip", address
        if address.startswith("/view/"):
            assert "immutable" in answer.headers["cache-control"]
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    return gzip.decompress(raw).decode(), len(raw)


async def test_only_the_page_s_own_files_are_served(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """No path leads out, and an old page's files are today's, kept by nobody."""
    async with visiting(servers, database, clock, show.tokens["today"]) as visitor:
        client = visitor.client
        for name in ("page.html", "..%2fpyproject.toml", "locale/en", "package.json"):
            assert (await client.get(f"/view/0/{name}")).status_code == 404, name
        old = await client.get("/view/0/link.js")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


async def test_a_poll_says_what_the_stream_says(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """The same words and the same position, in one small answer; nothing of it names a person's data or an id."""
    async with visiting(servers, database, clock, show.tokens["en_route"]) as visitor:
        told = (await visitor.client.get(f"{visitor.base}/status")).json()
        assert told["status"] in await visitor.page("lang=en")
        assert set(told) == {"status", "position", "more"}
        assert set(told["position"]) == {"lon", "lat", "accuracy_m", "course_deg", "age_s"}
    async with visiting(servers, database, clock, show.tokens["arrived"]) as visitor:
        assert (await visitor.client.get(f"{visitor.base}/status")).json()["position"] is None


async def test_the_calendar_has_the_window_and_no_address(
    servers: Installation, database: str, clock: SetClock, show: Showcase
) -> None:
    """A file that calendars take, under the same identity each time; none for a visit that is over."""
    async with visiting(servers, database, clock, show.tokens["scheduled"]) as visitor:
        first, second = [await visitor.client.get(f"{visitor.base}/visit.ics?lang=th") for _ in range(2)]
    assert first.headers["content-type"] == "text/calendar; charset=utf-8"
    assert first.text == second.text
    assert "Rua das Flores" not in first.text
    assert "METHOD:PUBLISH" in first.text
    async with visiting(servers, database, clock, show.tokens["completed"]) as visitor:
        assert (await visitor.client.get(f"{visitor.base}/visit.ics")).status_code == 404


async def test_notes_of_others_are_not_shown(
    servers: Installation, database: str, clock: SetClock, show: Showcase, shown_firm: Firm
) -> None:
    """Each contact reads their own lines."""
    async with transaction(shown_firm.engine, shown_firm.organisation_id) as connection:
        await connection.execute(note.update().values(contact_id=None, author=Author.dispatcher.value))
    async with visiting(servers, database, clock, show.tokens["en_route"]) as visitor:
        assert "The bell does not work" not in await visitor.page()
