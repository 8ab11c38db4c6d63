"""A technician's day in the app itself: a real window, touched as a hand does, on the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.window import Driver, middle, opened  # before any Kivy

# isort: split
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home
from tech_app.ui.app import DoorstepApp
from tech_app.ui.system import System
from tests.support.app_tour import WallCamera
from tests.support.firm import HOME, Firm, noon_zone
from tests.support.phone_clock import AheadClock
from tests.support.rows import events, job_row, rows
from tests.support.server import Server
from tracking_server import tokens
from tracking_server.store import devices
from tracking_server.store.engine import transaction
from tracking_server.store.schema import job, organisation

REQUIRED = {"photo": "required", "signature": "required"}


@pytest.fixture
async def technician(firm: Firm) -> UUID:
    """Ana, of a firm that asks for photo and signature."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        quiet_never = {"quiet_from": "00:00", "quiet_to": "00:00", "proof": REQUIRED}
        await connection.execute(organisation.update().values(settings=quiet_never))
    return (await firm.phone()).device.technician_id


@pytest.fixture
def clock() -> AheadClock:
    return AheadClock()


async def a_code(firm: Firm, technician: UUID) -> str:
    code, code_hash = tokens.mint_code()
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await devices.insert_pairing_code(connection, firm.organisation_id, technician, code_hash, firm.now_s + 1200)
    return code


async def revoke(firm: Firm, technician: UUID) -> None:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await devices.revoke_devices(connection, firm.organisation_id, technician, firm.now_s)


async def a_visit(firm: Firm, technician: UUID, stop: int, address: str) -> UUID:
    job_id = await firm.job(technician, time_zone=noon_zone(firm.now_s))
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(job.update().where(job.c.id == job_id).values(stop_number=stop, address=address))
    return job_id


@asynccontextmanager
async def the_app(
    folder: Path, clock: AheadClock, invitation: str | None = None
) -> AsyncIterator[tuple[DoorstepApp, Driver]]:
    """Where the first visit is, with a camera."""
    home = Home(folder, clock, lambda clock: SimulatorSource(clock, (HOME[1], HOME[0])))
    app = DoorstepApp(home, system=System(camera=WallCamera()), invitation=invitation)
    async with opened(app) as driver:
        yield app, driver


class Hand:
    """Touches what is written, and waits for what follows. A hand needs a second from one step to the next."""

    def __init__(self, app: DoorstepApp, driver: Driver, clock: AheadClock) -> None:
        self.app, self.driver, self._clock = app, driver, clock

    async def tap(self, text: str, nth: int = 0) -> None:
        """By its words or its name; it may be drawn anew while the hand is on its way."""
        await self.driver.until(lambda: self._is_there(text), text)
        place = None
        while True:
            widget = self.driver.find(text, nth)
            await self.driver.scroll_to(widget)
            for bar in self.driver.of("Snackbar"):
                if bar.y <= middle(widget)[1] <= bar.top and widget.parent is not bar.button:
                    await self.driver.tap(bar.words)
            if place == (place := middle(widget)) and widget.get_root_window() is not None:
                break
            await self.driver.frames(2)
        await self.driver.tap_at(*middle(widget))
        self._clock.pass_time(1.0)

    def _is_there(self, text: str) -> bool:
        named = any(getattr(widget, "name", None) == text for widget in self.driver.widgets())
        return named or self.driver.sees(text)

    async def sees(self, text: str, within_s: float = 10) -> None:
        await self.driver.until(lambda: self.driver.sees(text), text, within_s)

    async def all_is_sent(self) -> None:
        """The phone has nothing left."""

        def empty() -> bool:
            facts = self.app.desk.facts()
            return facts.taps + facts.files + facts.fixes == 0

        await self.driver.until(empty, "all to be sent", within_s=20)


async def pair(hand: Hand, server: Server, code: str, then: str = "Off shift") -> None:
    await hand.driver.type("Address of your office's Doorstep", server.url)
    await hand.driver.type("Code", code.lower())
    await hand.tap("Go on")
    await hand.sees(f"Connect to {server.url.removeprefix('http://')}?")
    await hand.sees("not encrypted")
    await hand.tap("Yes, connect")
    await hand.sees(then)


async def start_shift(hand: Hand) -> None:
    await hand.tap("Start shift")
    await hand.sees("What is recorded")
    await hand.tap("I have read this: start")
    await hand.sees("On shift since")


async def work_at_the_first(hand: Hand) -> None:
    """Up to the proof."""
    await hand.tap("I am on my way")
    await hand.sees("can see you coming")
    await hand.tap("I am here")
    await hand.tap("Start work")
    await hand.tap("Done")
    await hand.sees("Still missing: photo and signature")
    await hand.tap("Take a photo")
    await hand.sees("Remove photo")
    await hand.tap("Have the customer sign")
    (pad,) = hand.driver.of("Signature")
    left, low = pad.to_window(pad.x, pad.y)
    strokes = [(0.2, 0.4), (0.4, 0.8), (0.5, 0.3), (0.8, 0.6)]
    await hand.driver.drag([(left + x * pad.width, low + y * pad.height) for x, y in strokes])
    await hand.tap("Keep the signature")
    await hand.sees("Signed")
    await hand.tap("Done")
    await hand.sees("is done.")


async def nobody_at_the_second(hand: Hand, clock: AheadClock) -> None:
    await hand.tap("Praça 2")
    await hand.tap("I am on my way")
    await hand.tap("I am here")
    await hand.tap("Customer not at home")
    clock.pass_time(12 * 60)
    await hand.sees("12 min")
    await hand.tap("Cannot be done")
    await hand.tap("Nobody at home")
    await hand.driver.type("In your words (optional)", "rang three times")
    await hand.tap("Cannot be done", 1)
    await hand.sees("could not be done.")
    await hand.driver.back()


async def test_a_day(server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path) -> None:
    """From the typed code to the end of the shift by touches alone: the service knows every step, every picture and
    every word, once, and the phone has nothing left."""
    first = await a_visit(firm, technician, 1, "Rua 1")
    second = await a_visit(firm, technician, 2, "Praça 2")
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await pair(hand, server, await a_code(firm, technician))
        await hand.sees("Rua 1")
        await start_shift(hand)
        await work_at_the_first(hand)
        await hand.tap("Undo")
        await hand.sees("Undone.")
        await hand.tap("Done")
        await hand.sees("is done.")
        await driver.back()
        await nobody_at_the_second(hand, clock)
        await hand.tap("End shift")
        await hand.sees("Off shift")
        await hand.all_is_sent()
        await hand.sees("Everything is sent.")
        assert app.desk.dead_taps() == []
    actor = f"technician:{technician}"
    audit = [(row.job_id, row.action) for row in await rows(firm, "audit") if row.actor == actor]
    assert audit == [
        (first, "en_route"),
        (first, "arrived"),
        (first, "started"),
        (first, "completed"),
        (first, "undone"),
        (first, "completed"),
        (second, "en_route"),
        (second, "arrived"),
        (second, "no_access"),
    ]
    assert (await job_row(firm, first)).state == "completed"
    assert (await job_row(firm, second)).state == "no_access"
    (why,) = [event.evidence for event in await events(firm, second) if event.kind == "no_access"]
    assert why["reason"] == "nobody_home"
    assert [(note.job_id, note.text) for note in await rows(firm, "note")] == [(second, "rang three times")]
    assert sorted((row.kind, row.job_id) for row in await rows(firm, "attachment")) == [
        ("photo", first),
        ("signature", first),
    ]


async def test_a_day_without_a_network(
    server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path
) -> None:
    """The service goes away after the jobs came: the day goes on to its end, every step says that it waits, and all of
    it arrives when the service is back."""
    first = await a_visit(firm, technician, 1, "Rua 1")
    second = await a_visit(firm, technician, 2, "Praça 2")
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await pair(hand, server, await a_code(firm, technician))
        await hand.sees("Rua 1")
        server.kill()
        await start_shift(hand)
        await work_at_the_first(hand)
        await hand.sees("Waiting to be sent")
        await driver.back()
        await nobody_at_the_second(hand, clock)
        await hand.tap("End shift")
        await hand.sees("No connection. You can go on working:")
        facts = app.desk.facts()
        assert (facts.taps, facts.files) == (10, 2)
        await asyncio.to_thread(server.start_again)
        clock.pass_time(600)
        app.desk.poke()
        await hand.all_is_sent()
        await hand.sees("Everything is sent.")
        assert app.desk.dead_taps() == []
    assert [(await job_row(firm, job_id)).state for job_id in (first, second)] == ["completed", "no_access"]
    (why,) = [event.evidence for event in await events(firm, second) if event.kind == "no_access"]
    assert 12 * 60 <= why["waited_s"] < 13 * 60
    assert sorted(row.kind for row in await rows(firm, "attachment")) == ["photo", "signature"]


async def test_the_app_is_killed_in_the_middle(
    server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path
) -> None:
    """Opened again it knows the shift, the visit and the photo that was not sent yet."""
    await a_visit(firm, technician, 1, "Rua 1")
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await pair(hand, server, await a_code(firm, technician))
        await hand.sees("Rua 1")
        await start_shift(hand)
        for step in ("I am on my way", "I am here", "Start work", "Done", "Take a photo"):
            await hand.tap(step)
        await hand.sees("Remove photo")
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await hand.sees("On shift since")
        await hand.tap("Done")
        await hand.sees("Still missing: signature")
        await hand.sees("1 photo")


async def test_a_visit_given_to_somebody_else_is_told(
    server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path
) -> None:
    """While the phone was away its technician had already arrived: they are told that the visit is not theirs, and that
    what they tapped is kept."""
    job_id = await a_visit(firm, technician, 1, "Rua 1")
    other = (await firm.phone("Rui Costa")).device.technician_id
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await pair(hand, server, await a_code(firm, technician))
        await hand.sees("Rua 1")
        await start_shift(hand)
        await hand.all_is_sent()
        server.kill()
        await hand.tap("I am on my way")
        await firm.assign(job_id, other, clock.now())
        await asyncio.to_thread(server.start_again)
        clock.pass_time(600)
        app.desk.refresh()
        await hand.sees("The visit to Maria Lopes is not yours any more")
        await hand.sees("No visits today.")
        await hand.all_is_sent()
        await driver.until(lambda: app.desk.dead_taps(), "the verdict")
        await hand.sees("the visit is somebody else's now")
        for _ in range(2):
            await hand.tap("Close")
        await driver.until(lambda: not driver.sees("Maria Lopes"), "the news to go")


async def test_a_link_opens_the_question(
    server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path
) -> None:
    """A phone opened by the square code on the board needs one touch; the same link again is refused in words."""
    link = f"{server.url}/#{await a_code(firm, technician)}"
    async with the_app(tmp_path / "first", clock, link) as (app, driver):
        hand = Hand(app, driver, clock)
        await hand.tap("Yes, connect")
        await hand.sees("This phone now belongs to Ana Sousa, Ribeira Plumbing.")
        await hand.sees("Off shift")
    async with the_app(tmp_path / "second", clock, link) as (app, driver):
        hand = Hand(app, driver, clock)
        await hand.tap("Yes, connect")
        await hand.sees("This code is unknown, used, or older than ten minutes.")
        await hand.sees("Connect this phone")


async def test_a_removed_phone_says_so_and_can_be_connected_again(
    server: Server, firm: Firm, technician: UUID, clock: AheadClock, tmp_path: Path
) -> None:
    """Revoked from the board: what is tapped meanwhile is kept, and sent when the same technician connects it again."""
    await a_visit(firm, technician, 1, "Rua 1")
    async with the_app(tmp_path, clock) as (app, driver):
        hand = Hand(app, driver, clock)
        await pair(hand, server, await a_code(firm, technician))
        await hand.sees("Rua 1")
        await start_shift(hand)
        await hand.all_is_sent()
        await revoke(firm, technician)
        await hand.tap("I am on my way")
        await driver.until(lambda: not app.desk.status().paired, "the phone to be told", within_s=20)
        await hand.sees("The office has removed this phone.")
        await hand.tap("Connect again")
        await pair(hand, server, await a_code(firm, technician), "On shift since")
        await hand.all_is_sent()
    assert [row.action for row in await rows(firm, "audit") if row.actor == f"technician:{technician}"] == ["en_route"]
