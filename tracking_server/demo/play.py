"""The demo's course: the firm is made while the service starts, its morning is told, and then it goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.status import Status
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server.basemap.archive import read_archive
from tracking_server.clock import Clock, clock_from
from tracking_server.demo import cast
from tracking_server.demo.day import Office, Round
from tracking_server.demo.firm import Visit, make_firm, make_owner
from tracking_server.demo.morning import book_visits, tell_morning
from tracking_server.demo.rider import Rider
from tracking_server.demo.run import DATABASE, Stage
from tracking_server.demo.sent import Mailbag, Viewer, showing, taking_mails
from tracking_server.demo.streets import TooFewStreets
from tracking_server.demo.told import Page, Told
from tracking_server.demo.ways import Ways, find_ways, middle, straight_ways
from tracking_server.installation import console
from tracking_server.replay.processes import ProcessEnded, Processes
from tracking_server.routing.valhalla import RoadEngineAway
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

LOOK_EVERY_S = 0.5
PATIENCE_S, MOST_ENDS = 60.0, 5  # a process that ends more often is not worth starting again
SHOW_EVERY_S, TELL_EVERY_S = 2.0, 60.0
NIGHT_UNTIL_H, NIGHT_FROM_H = 3, 21  # the visits reach from two hours ago to two hours ahead, and all are of one day
# From which visit's door each technician goes on, and the order in which the pages are told.
FIRST = {cast.ELENA: "completed", cast.DAVID: "no_access", cast.HENRIK: "in_progress"}
SHOWN = (
    "en_route", "arriving", "today", "reassigned", "delayed", "scheduled", "in_progress", "completed", "no_access",
    "cancelled", "expired",
)  # fmt: skip


async def play(stage: Stage, ready: Callable[[Told], None]) -> None:
    """Until told to stop, or until its time is over. Raises `ProcessEnded`."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (there is one, as this runs)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    people = (*cast.CUSTOMERS.values(), *cast.CALLERS)
    bag = Mailbag({address: one.name for one in people for address in (one.email, one.phone) if address})
    engine = create_engine(stage.servers.app_url(DATABASE), pool_size=4)
    with suppress(asyncio.CancelledError):
        try:
            viewer = Viewer(bag, cast.FIRM, stage.sms_token)
            async with taking_mails(bag, stage.mails), showing(viewer, stage.sent), AsyncExitStack() as phones:
                await _play(stage, engine, clock_from(stage.clock), ready, phones)
        finally:
            await engine.dispose()


async def _play(
    stage: Stage, engine: AsyncEngine, clock: Clock, ready: Callable[[Told], None], phones: AsyncExitStack
) -> None:
    await asyncio.to_thread(migrate, stage.servers.owner_url(DATABASE))
    ways = await _ways(stage)
    now_s = clock.now()
    zone, note = time_zone(now_s)
    firm = await make_firm(engine, ways, zone, now_s)
    password = await make_owner(engine, firm.organisation_id, now_s)
    visits = await book_visits(engine, firm, ways, now_s)
    await stage.own.ready()
    queues = Path(phones.enter_context(TemporaryDirectory(prefix="doorstep-demo-")))
    riders = {}
    for one in firm.technicians:
        rider = Rider(queues / f"{one.id}.db", stage.own.url, one.key, clock)
        riders[one.person] = await phones.enter_async_context(rider)
    begun = await tell_morning(ways, visits, riders, now_s)
    stage.own.start("work")  # not before: what it sees too early is late
    office = Office(engine, firm, ways, clock, visits)
    rounds = [Round(one, riders[one.person], office, ways, stage.ground.road_engine, clock) for one in firm.technicians]
    going_on = [
        *(one.run(visits[FIRST[one.technician.person]].door, begun.get(one.technician.person)) for one in rounds),
        office.run(),
        _keep_running(stage.own),
        _tell_now_and_then(rounds),
    ]
    ready(_told(stage, visits, password, note))
    tasks = [asyncio.create_task(one) for one in going_on]
    try:
        ended, _ = await asyncio.wait(tasks, timeout=stage.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ways(stage: Stage) -> Ways:
    """Over the region's roads; as the crow flies where they were not made."""
    place = stage.ground
    bounds = middle(read_archive(Path(place.basemap)).bounds) if place.basemap else None
    if bounds is None or not place.road_engine:
        return straight_ways(bounds)
    kept = stage.servers.folder / "demo-ways.json"
    try:
        return await find_ways(place.road_engine, bounds, kept, place.made_of)
    except (TooFewStreets, RoadEngineAway, TimeoutError) as error:
        console.print(f"going on without roads: {error}", markup=False, highlight=False, soft_wrap=True)
        return straight_ways(bounds)


def _told(stage: Stage, visits: Mapping[str, Visit], password: str, note: str) -> Told:
    def page(state: str) -> Page:
        customer, token = visits[state].customer, visits[state].token
        return Page(state, customer.name, customer.language, f"{stage.url}/t/{token}?lang={customer.language}")

    return Told(
        firm=cast.FIRM,
        pages=[page(state) for state in SHOWN],
        board=f"{stage.url}/board",
        email=cast.OWNER[1],
        password=password,
        sent=stage.sent_url,
        phone=stage.url,
        local_only=stage.url.startswith("http://127.0.0.1:"),
        ready_after_s=time.monotonic() - stage.begun_s,
        note=note,
    )


async def _keep_running(own: Processes) -> None:
    """Start again what ended. Never returns; raises `ProcessEnded` when it ends again and again."""
    ended_s: list[float] = []
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for name in own.ended():
            ended_s = [at_s for at_s in ended_s if at_s > time.monotonic() - PATIENCE_S] + [time.monotonic()]
            if len(ended_s) > MOST_ENDS:
                raise ProcessEnded(f"{name} ends again and again; see {own.log(name)}")
            console.print(f"{name} ended, starting it again (see {own.log(name)})", highlight=False, soft_wrap=True)
            own.start(name)


async def _tell_now_and_then(rounds: Sequence[Round]) -> None:
    """One line about who is where: always the same one on a terminal, a new one when it changed elsewhere."""
    before = ""
    with console.status("") if console.is_terminal else nullcontext() as shown:
        while True:
            await asyncio.sleep(SHOW_EVERY_S if shown else TELL_EVERY_S)
            line = " · ".join(f"{one.technician.person.name} {one.doing}" for one in rounds)
            if isinstance(shown, Status):
                shown.update(Text(line, no_wrap=True, overflow="ellipsis"))
            elif line != before:
                console.print(f"{time.strftime('%H:%M')} {line}", markup=False, highlight=False, soft_wrap=True)
            before = line


def time_zone(now_s: float) -> tuple[str, str]:
    """The machine's own zone, so that the times on the pages are those on the wall. In the night, when a firm would be
    asleep and its visits on two dates, one in which it is noon, and a note that says so."""
    name = _zone_of_this_machine()
    if NIGHT_UNTIL_H <= datetime.fromtimestamp(now_s, ZoneInfo(name)).hour < NIGHT_FROM_H:
        return name, ""
    noon = f"Etc/GMT{int(now_s // 3600) % 24 - 11:+d}"
    return noon, "It is night here: the firm is in a time zone where it is noon, and so are the times on its pages."


def _zone_of_this_machine() -> str:
    named = (
        os.environ.get("TZ", "").removeprefix(":") or str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    )
    try:
        return ZoneInfo(named).key if named else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"
