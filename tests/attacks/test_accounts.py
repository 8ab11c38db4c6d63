"""Attacks on sign-in, sessions and forms, named by their ids."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest
from starlette.routing import Route

from tests.attacks.conftest import HOST, from_address
from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import count, rows
from tests.support.staff import PASSWORD, Browser, begin_session, fresh_address, hire
from tracking_server import tokens
from tracking_server.accounts import passwords
from tracking_server.accounts.people import mint_setup_token
from tracking_server.accounts.tries import FOR_ONE_ACCOUNT, FROM_ONE_ADDRESS
from tracking_server.app import HotPaths
from tracking_server.domain.role import Role


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The hashes that were compared, without the work of it; only `PASSWORD` is right."""
    seen: list[str | None] = []

    async def verify(hashed: str | None, password: str) -> bool:
        seen.append(hashed)
        await asyncio.sleep(0)
        return hashed is not None and password == PASSWORD

    monkeypatch.setattr(passwords, "verify", verify)
    return seen


async def test_a01_nobody_is_there_before_the_setup(browser: Browser, firm: Firm) -> None:
    """No known default opens anything, registration is closed, and a made-up token is nothing."""
    for name in ("admin", "admin@example.com", "root@localhost", "owner@ribeira.example", ""):
        for password in ("admin", "123456", "", "doorstep"):
            answer = await browser.sign_in(name, password)
            assert answer.status_code in (401, 429)
            assert "set-cookie" not in answer.headers
    for token in ("", "setup", "0" * 43, tokens.mint(firm.organisation_id, tokens.Purpose.setup)[0]):
        assert (await browser.post(f"/board/setup/{token}", name="x", password=PASSWORD)).status_code in (404, 410)
    assert await count(firm, "staff") == 0


async def test_a03_ten_guesses_from_one_address(
    app: HotPaths, database: str, firm: Firm, looked_at: list[str | None]
) -> None:
    """All at once or one after the other, no more are looked at; the right one elsewhere still gets in."""
    email = f"{database}@ribeira.example"
    await hire(firm, email=email)
    async with from_address(app, fresh_address()).client as client:
        attacker = Browser(client)
        answers = await asyncio.gather(*(attacker.sign_in(email, f"guess number {n}") for n in range(200)))
        assert len(looked_at) == FROM_ONE_ADDRESS
        assert {answer.status_code for answer in answers} == {401, 429}
        assert (await attacker.sign_in(email)).status_code == 429, "even with the right one"
    async with from_address(app, fresh_address()).client as client:
        assert (await Browser(client).sign_in(email)).status_code == 303


async def test_a03_guesses_from_many_addresses(
    app: HotPaths, database: str, firm: Firm, looked_at: list[str | None]
) -> None:
    """Fifty addresses are no more than a bounded number of guesses at one account, whose owner is not locked out where
    they signed in before."""
    email, office = f"{database}@ribeira.example", fresh_address()
    await hire(firm, email=email)
    async with from_address(app, office).client as client:
        assert (await Browser(client).sign_in(email)).status_code == 303
    looked_at.clear()
    for n in range(50):
        async with from_address(app, fresh_address()).client as client:
            await asyncio.gather(*(Browser(client).sign_in(email, f"guess {n} {m}") for m in range(20)))
    assert len(looked_at) == FOR_ONE_ACCOUNT - 1
    for address, status in ((fresh_address(), 429), (office, 303)):
        async with from_address(app, address).client as client:
            assert (await Browser(client).sign_in(email)).status_code == status


async def test_a03_one_address_does_not_shut_out_another(
    app: HotPaths, database: str, firm: Firm, looked_at: list[str | None]
) -> None:
    """Also where a socket for both kinds of addresses names them all alike."""
    email = f"{database}@ribeira.example"
    await hire(firm, email=email)
    async with from_address(app, "::ffff:198.51.100.77").client as client:
        for n in range(FROM_ONE_ADDRESS + 1):
            refused = await Browser(client).sign_in(email, f"guess {n}")
        assert refused.status_code == 429
    async with from_address(app, "::ffff:203.0.113.77").client as client:
        assert (await Browser(client).sign_in(email)).status_code == 303


async def test_a03_unknown_addresses_cost_the_same_work(
    browser: Browser, firm: Firm, looked_at: list[str | None]
) -> None:
    """One hash is compared either way, and the answers are the same bytes."""
    staff = await hire(firm, email=f"{uuid4().hex}@ribeira.example")
    known = await browser.sign_in(staff.email, "not the password")
    unknown = await browser.sign_in(staff.email.replace("@", "@x."), "not the password")
    assert [hashed is None for hashed in looked_at] == [False, True]
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace(staff.email, "") == unknown.text.replace(staff.email.replace("@", "@x."), "")


async def test_a05_a_token_opens_what_it_is_for(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """Every kind in every other kind's place: only the diagonal works."""
    staff = await hire(firm, Role.owner)
    phone = await firm.phone()
    page = None
    session = await begin_session(firm.engine, staff, clock.now_s)
    browser.wear(session)
    page = await browser.post("/board/staff/invite", email="new@ribeira.example", role="viewer")
    kinds = {
        "session": session,
        "invite": page.text.split("/board/join/")[1].split('"')[0],
        "setup": await mint_setup_token(firm.engine, firm.organisation_id, clock.now_s),
        "device": phone.key,
        "link": await firm.link(await firm.job()),
    }

    async def opens(place: str, token: str) -> bool:
        browser.client.cookies.clear()
        if place == "session":
            browser.wear(token)
            return (await browser.get("/board/account")).status_code == 200
        if place == "device":
            headers = {"authorization": f"Bearer {token}"}
            return (await browser.client.post("/v1/fixes", content=b"", headers=headers)).status_code != 401
        path = {"invite": "/board/join/", "setup": "/board/setup/", "link": "/t/"}[place]
        return (await browser.get(path + token)).status_code in (200, 303)

    for place in ("session", "invite", "setup", "link"):
        for kind, token in kinds.items():
            assert await opens(place, token) == (place == kind), (place, kind)
    for kind in ("session", "invite", "setup", "link"):
        assert not await opens("device", kinds[kind])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://doorstep.test.evil.example"},
        {"origin": "http://evil.doorstep.test"},
        {"origin": HOST, "sec-fetch-site": "cross-site"},
        {"origin": HOST, "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_a28_a31_foreign_forms_change_nothing(
    app: HotPaths, browser: Browser, firm: Firm, clock: SetClock, headers: dict[str, str]
) -> None:
    """Every unsafe route of the board refuses a form that is not from its own pages, signing in included."""
    owner = await hire(firm, Role.owner)
    token = await begin_session(firm.engine, owner, clock.now_s)
    before = [await count(firm, table) for table in ("staff", "session", "audit", "job", "technician")]
    paths = [path for path, methods in board_routes(app) if "POST" in methods]
    assert len(paths) > 8
    for path in paths:
        browser.wear(token)
        answer = await browser.client.post(path, data={"email": owner.email, "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    assert before == [await count(firm, table) for table in ("staff", "session", "audit", "job", "technician")]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/json", ""])
async def test_a28_other_bodies_are_no_forms(browser: Browser, firm: Firm, kind: str) -> None:
    """What a page elsewhere can send without asking is refused by its type."""
    await hire(firm)
    body = b"email=dispatcher%40ribeira.example&password=" + PASSWORD.replace(" ", "+").encode()
    headers = {"origin": HOST, "content-type": kind}
    assert (await browser.client.post("/board/sign-in", content=body, headers=headers)).status_code == 415
    huge = {"origin": HOST, "content-type": "application/x-www-form-urlencoded"}
    for content, status in ((b"a=" + b"x" * 70_000, 413), (b"&".join([b"a=1"] * 100), 422), (b"a=%00", 422)):
        assert (await browser.client.post("/board/sign-in", content=content, headers=huge)).status_code == status


async def test_a30_a32_no_other_site_may_read_or_frame(browser: Browser, app: HotPaths) -> None:
    """No CORS answer to a preflight, and every page forbids frames, foreign scripts and sniffing."""
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for path, methods in board_routes(app):
        preflight = await browser.client.options(path, headers=headers)
        assert "access-control-allow-origin" not in preflight.headers
        if "GET" in methods and not path.startswith("/board/static"):
            page = await browser.get(re.sub(r"{\w+:uuid}", str(uuid4()), path))
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"], path
            assert "unsafe" not in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["cache-control"] == "no-store"


async def test_a02_the_board_is_shut_without_a_session(browser: Browser, app: HotPaths) -> None:
    """Only signing in answers, and what the pages are made of."""
    for path, methods in board_routes(app):
        for method in methods & {"GET", "POST"}:
            if method == "GET":
                status = (await browser.get(path)).status_code
            else:
                status = (await browser.post(path)).status_code
            open_to_all = path == "/board/sign-in" or path.startswith("/board/static")
            assert status >= 300 or open_to_all, (method, path)


async def test_a58_a_failed_sign_in_is_one_line_without_the_address(
    browser: Browser, firm: Firm, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever was typed, nothing of it is in the log."""
    await browser.sign_in('canary@ribeira.example\r\n{"event":"signed_in"}\x1b[31m', "canary password")
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    assert [row.action for row in await rows(firm, "audit")] == []


def board_routes(app: HotPaths) -> list[tuple[str, set[str]]]:
    """Every path of the board with something in its place holders, and its methods."""
    found = []
    for route in app.rest.routes:
        if isinstance(route, Route) and route.path.startswith("/board"):
            path = route.path
            for holder in (
                "{token}",
                *(f"{{{name}:uuid}}" for name in ("staff_id", "job_id", "technician_id", "item_id")),
            ):
                path = path.replace(holder, str(uuid4()))
            found.append((path, set(route.methods or ())))
    return found
