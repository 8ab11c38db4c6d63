"""Accounts over HTTP: the first owner, sign-in, sessions, invites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import rows
from tests.support.staff import PASSWORD, Browser, begin_session, fresh_address, hire, words_of
from tracking_server import tokens
from tracking_server.accounts.people import IDLE_S, SESSION_LIFE_S, SETUP_LIFE_S, mint_setup_token
from tracking_server.accounts.tries import Tries
from tracking_server.app import create_app
from tracking_server.domain.role import Role
from tracking_server.embedded import Installation
from tracking_server.settings import Settings
from tracking_server.store.engine import begin, watching
from tracking_server.store.schema import organisation


@pytest.fixture
async def browser(servers: Installation, database: str, clock: SetClock) -> AsyncIterator[Browser]:
    settings = Settings(
        database_url=servers.app_url(database), redis_url=servers.redis_url, public_url="http://doorstep.test"
    )
    transport = httpx.ASGITransport(create_app(settings, clock), client=(fresh_address(), 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep.test") as client:
        yield Browser(client)


OWNER = {"name": "Joana Reis", "email": "Joana@Ribeira.example ", "password": PASSWORD, "language": "th"}
FIRM = {"organisation": "Ribeira Plumbing", "time_zone": "Europe/Lisbon", "office_phone": "+351220000000"}


async def test_the_first_owner_brings_their_firm(browser: Browser, engine: AsyncEngine, now_s: float) -> None:
    """One token makes one organisation and its owner, signed in; then it is used up."""
    token = await mint_setup_token(engine, None, now_s)
    assert "Name of the firm" in (await browser.get(f"/board/setup/{token}")).text
    bad = await browser.post(f"/board/setup/{token}", **{**OWNER, **FIRM, "time_zone": "Lisbon"})
    assert (bad.status_code, "no such time zone" in bad.text) == (422, True)
    made = await browser.post(f"/board/setup/{token}", **OWNER, **FIRM)
    assert (made.status_code, made.headers["location"]) == (303, "/board")
    account = await browser.get("/board/account")
    assert 'lang="th"' in account.text
    assert "joana@ribeira.example" in account.text
    assert (await browser.get(f"/board/setup/{token}")).status_code == 410
    assert (await browser.post(f"/board/setup/{token}", **OWNER, **FIRM)).status_code == 410
    async with watching(engine) as connection:
        assert len(list(await connection.scalars(sa.select(organisation.c.id)))) == 1


async def test_a_firm_that_exists_gets_its_owner(browser: Browser, firm: Firm, now_s: float) -> None:
    """A token of one organisation asks for no other, and its day is soon over."""
    token = await mint_setup_token(firm.engine, firm.organisation_id, now_s)
    page = await browser.get(f"/board/setup/{token}")
    assert "Ribeira Plumbing" in page.text
    assert "Name of the firm" not in page.text
    assert (await browser.post(f"/board/setup/{token}", **OWNER)).status_code == 303
    (owner,) = await rows(firm, "staff")
    assert (owner.role, owner.email) == ("owner", "joana@ribeira.example")
    old = await mint_setup_token(firm.engine, firm.organisation_id, now_s - SETUP_LIFE_S)
    assert (await browser.get(f"/board/setup/{old}")).status_code == 410


async def test_a_new_session_begins_with_each_sign_in(browser: Browser, firm: Firm) -> None:
    """The cookie is another one, the session before it is dead, and what happened stands in the audit."""
    await hire(firm)
    assert (await browser.get("/board/account")).headers["location"] == "/board/sign-in"
    assert (await browser.sign_in("Dispatcher@ribeira.example")).status_code == 303
    first = browser.token
    cookie = (await browser.sign_in("dispatcher@ribeira.example")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert browser.token not in ("", first)
    assert (await browser.get("/board/account")).status_code == 200
    browser.wear(first)
    assert (await browser.get("/board/account")).status_code == 303
    assert [row.action for row in await rows(firm, "audit")] == ["signed_in", "signed_in"]


async def test_sessions_end(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """By signing out, everywhere at once, after twelve idle hours, after thirty days, and with a new password."""
    staff = await hire(firm)
    one, other = [await begin_session(firm.engine, staff, clock.now_s) for _ in range(2)]

    async def lives(token: str) -> bool:
        browser.wear(token)
        return (await browser.get("/board/account")).status_code == 200

    assert await lives(one)
    await browser.post("/board/sign-out")
    assert not await lives(one)
    assert await lives(other)
    await browser.post("/board/account/everywhere")
    assert not await lives(other)

    third = await begin_session(firm.engine, staff, clock.now_s)
    clock.now_s += IDLE_S - 1
    assert await lives(third)
    clock.now_s += IDLE_S
    assert not await lives(third)
    fourth = await begin_session(firm.engine, staff, clock.now_s)
    begun_s = clock.now_s
    while clock.now_s + IDLE_S / 2 < begun_s + SESSION_LIFE_S:
        clock.now_s += IDLE_S / 2
        assert await lives(fourth)
    clock.now_s += IDLE_S / 2
    assert not await lives(fourth)

    fifth, sixth = [await begin_session(firm.engine, staff, clock.now_s) for _ in range(2)]
    browser.wear(fifth)
    wrong = await browser.post("/board/account/password", present="not my password", password="another three words")
    assert (wrong.status_code, await lives(sixth)) == (422, True)
    browser.wear(fifth)
    await browser.post("/board/account/password", present=PASSWORD, password="another three words")
    changed = browser.token
    assert [await lives(token) for token in (fifth, sixth, changed)] == [False, False, True]


async def test_an_invited_colleague_joins_and_is_shut_out(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """The owner's link works once; disabling somebody ends their sessions, and nobody shuts themselves out."""
    owner = await hire(firm, Role.owner)
    owners = await begin_session(firm.engine, owner, clock.now_s)
    browser.wear(owners)
    page = await browser.post("/board/staff/invite", email="rui@ribeira.example", role="viewer")
    path = "/board/join/" + page.text.split("/board/join/")[1].split('"')[0]
    for name, password, said in (("Rui", "short", "too short"), (" ", PASSWORD, "A name needs")):
        bad = await browser.post(path, name=name, password=password)
        assert (bad.status_code, said in words_of(bad)) == (422, True)
    assert (await browser.post(path, name="Rui", password=PASSWORD)).status_code == 303
    ruis = browser.token
    assert (await browser.post(path, name="Rui", password=PASSWORD)).status_code == 410
    assert (await browser.get("/board/staff")).status_code == 403, "a viewer manages nobody"
    browser.wear(owners)
    people = {row.name: row for row in await rows(firm, "staff")}
    assert people["Rui"].role == "viewer"
    assert (await browser.post(f"/board/staff/{owner.id}/disable")).status_code == 422
    assert (await browser.post(f"/board/staff/{people['Rui'].id}/disable")).status_code == 303
    browser.wear(ruis)
    assert (await browser.get("/board/account")).status_code == 303
    assert (await browser.sign_in("rui@ribeira.example")).status_code == 401
    browser.wear(owners)
    await browser.post(f"/board/staff/{people['Rui'].id}/enable")
    assert (await browser.sign_in("rui@ribeira.example")).status_code == 303


async def test_who_is_shut_out_leaves_no_invite(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """An owner's invites are good while that owner is."""
    first = await hire(firm, Role.owner, email="first@ribeira.example")
    second = await hire(firm, Role.owner, email="second@ribeira.example")
    browser.wear(await begin_session(firm.engine, second, clock.now_s))
    page = await browser.post("/board/staff/invite", email="back@door.example", role="owner")
    path = "/board/join/" + page.text.split("/board/join/")[1].split('"')[0]
    assert (await browser.get(path)).status_code == 200
    browser.wear(await begin_session(firm.engine, first, clock.now_s))
    await browser.post(f"/board/staff/{second.id}/disable")
    for answer in (await browser.get(path), await browser.post(path, name="Back", password=PASSWORD)):
        assert answer.status_code == 410
    assert len(await rows(firm, "staff")) == 2


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "too short"),
        ("password123", "Too many people"),
        ("aaaaaaaaaaaa", "Too many people"),
        ("x" * 201, "too long"),
    ],
)
async def test_guessable_passwords_are_not_taken(
    browser: Browser, firm: Firm, now_s: float, password: str, said: str
) -> None:
    """With the reason in a sentence; no rule asks for kinds of characters."""
    token = await mint_setup_token(firm.engine, firm.organisation_id, now_s)
    refused = await browser.post(f"/board/setup/{token}", **{**OWNER, "password": password, "language": "en"})
    assert refused.status_code == 422
    assert said in (await browser.post(f"/board/setup/{token}?lang=en", **{**OWNER, "password": password})).text


async def test_an_address_shows_its_own_rows_only(firm: Firm, engine: AsyncEngine) -> None:
    """Before any organisation is known the database gives what belongs to the presented e-mail, and nothing else."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    for one, email in ((firm, "a@x.example"), (firm, "b@x.example"), (other, "a@x.example")):
        await hire(one, email=email)
    async with begin(engine) as connection:
        for presented, seen in (("a@x.example", 2), ("b@x.example", 1), ("c@x.example", 0), ("", 0)):
            await connection.execute(sa.text("SELECT set_config('app.email', :email, true)"), {"email": presented})
            assert await connection.scalar(sa.text("SELECT count(*) FROM staff")) == seen
            assert await connection.scalar(sa.text("SELECT count(*) FROM session")) == 0


async def test_the_cookie_is_bound_to_the_host_over_https(servers: Installation, database: str, firm: Firm) -> None:
    """Secure, with the prefix that lets no other host set it."""
    await hire(firm)
    url = "https://board.example"
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url, public_url=url)
    transport = httpx.ASGITransport(create_app(settings), client=("10.9.9.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        answer = await Browser(client).sign_in("dispatcher@ribeira.example")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-board=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


async def test_a_board_without_its_store_says_so_in_words(servers: Installation) -> None:
    """In the reader's language, and when to come again; not where the store is."""
    settings = Settings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        redis_url=servers.redis_url,
        public_url="http://doorstep.test",
    )
    transport = httpx.ASGITransport(create_app(settings), client=(fresh_address(), 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep.test") as client:
        browser = Browser(client)
        token, _ = tokens.mint(uuid4(), tokens.Purpose.session)
        browser.wear(token)
        for answer in (
            await browser.get("/board?lang=th"),
            await browser.get(f"/board/join/{token}?lang=th"),
            await browser.post("/board/jobs/new?lang=th", title="Leaking tap"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert "บอร์ดไม่ตอบสนองในขณะนี้" in words_of(answer)
            assert "127.0.0.1" not in answer.text


async def test_tries_are_counted_while_redis_is_away() -> None:
    """In this process alone, which is better than not at all; the right password forgets them."""
    tries = Tries("redis://127.0.0.1:1")
    assert [await tries.sign_in("a@x.example", "10.0.0.1") for _ in range(12)] == [True] * 10 + [False] * 2
    await tries.signed_in("a@x.example", "10.0.0.1")
    assert await tries.sign_in("a@x.example", "10.0.0.1")
    v6 = [await tries.sign_in("b@x.example", f"2001:db8::{n}") for n in range(12)]
    assert v6.count(True) == 10, "one household has many addresses"


def test_no_token_works_in_another_s_place() -> None:
    """The same secret has another hash for each purpose."""
    hashes = {tokens.digest("secret", purpose) for purpose in tokens.Purpose}
    assert len(hashes) == len(tokens.Purpose)
