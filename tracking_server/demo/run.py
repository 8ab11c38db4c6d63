"""`./doorstep demo`: a firm at work on the embedded servers, in a database of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.status import Status
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import embedded, region
from tracking_server.basemap.archive import read_archive
from tracking_server.clock import Clock, clock_from
from tracking_server.demo import cast
from tracking_server.demo.day import Office, Round
from tracking_server.demo.firm import Visit, make_firm, make_owner
from tracking_server.demo.morning import book_visits, tell_morning
from tracking_server.demo.rider import Rider
from tracking_server.demo.sent import Mailbag, Viewer, showing, taking_mails
from tracking_server.demo.streets import TooFewStreets
from tracking_server.demo.told import Page, Told
from tracking_server.demo.ways import Ways, find_ways, straight_ways
from tracking_server.http_server import listen
from tracking_server.installation import UserError, console
from tracking_server.replay.processes import ProcessEnded, Processes, environment_for
from tracking_server.replay.uplink import Uplink
from tracking_server.routing.valhalla import RoadEngineAway
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

DATABASE = "doorstep_demo"
LOCK = "demo.lock"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (looked for, not listened on)
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


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `seconds` is None for a demo that ends by hand."""

    host: str
    port: int
    speed: float
    seconds: float | None


def demo(options: Options, ready: Callable[[Told], None]) -> None:
    """Run it. `ready` is called once everything answers. Raises `UserError` when it cannot start."""
    begun_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    installation = embedded.Installation.of_this_clone()
    embedded.make_folder(installation.folder)
    with ExitStack() as held:
        lock = held.enter_context(_only_one(installation.folder / LOCK))
        with listen(options.host, options.port):
            pass  # `serve` takes it; that it is free is said before anything is started
        listening = held.enter_context(listen(options.host, options.port + 1))
        try:
            servers = held.enter_context(embedded.running())
            embedded.drop_database(servers, DATABASE)
            embedded.create_database(servers, DATABASE)
            migrate(servers.owner_url(DATABASE))
            asyncio.run(_Demo(options, servers, listening, lock, begun_s).run(ready))
        except ProcessEnded as error:
            raise UserError(str(error)) from error
        except KeyboardInterrupt:
            pass  # Ctrl-C while the servers start


class _Demo:
    def __init__(
        self,
        options: Options,
        servers: embedded.Installation,
        listening: socket.socket,
        lock: TextIO,
        begun_s: float,
    ) -> None:
        self._options = options
        self._servers = servers
        self._listening = listening
        self._lock = lock
        self._begun_s = begun_s
        self._address = lan_address() if options.host in EVERYWHERE else options.host
        self._url = f"http://{self._address}:{options.port}"

    async def run(self, ready: Callable[[Told], None]) -> None:
        """Until cancelled, or until its time is over."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (there is one, as this runs)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        setting = f"scaled:{time.time()}:{self._options.speed}" if self._options.speed != 1 else "wall"
        clock = clock_from(setting)
        people = (*cast.CUSTOMERS.values(), *cast.CALLERS)
        bag = Mailbag({address: one.name for one in people for address in (one.email, one.phone) if address})
        viewer = Viewer(bag, cast.FIRM)
        engine = create_engine(self._servers.app_url(DATABASE), pool_size=4)
        try:
            with suppress(asyncio.CancelledError):
                async with taking_mails(bag) as smtp_port, showing(viewer, self._listening):
                    environment = self._environment(setting, smtp_port, viewer.token)
                    own = Processes(self._url, self._servers.folder, "demo", environment)
                    try:
                        await self._play(engine, own, clock, ready)
                    finally:
                        own.stop()
        finally:
            await engine.dispose()

    def _environment(self, clock: str, smtp_port: int, sms_token: str) -> dict[str, str]:
        place = {"DOORSTEP_ROAD_ENGINE_URL": self._servers.road_engine_url}
        if region.BASEMAP.exists():
            place["DOORSTEP_BASEMAP"] = str(region.BASEMAP)
        return (
            environment_for(self._servers, DATABASE, clock)
            | place
            | {
                "DOORSTEP_HOST": self._options.host,
                "DOORSTEP_PORT": str(self._options.port),
                "DOORSTEP_PUBLIC_URL": self._url,
                "DOORSTEP_SMTP_HOST": "127.0.0.1",
                "DOORSTEP_SMTP_PORT": str(smtp_port),
                "DOORSTEP_SMTP_STARTTLS": "false",
                "DOORSTEP_MAIL_FROM": cast.MAIL_FROM,
                "DOORSTEP_SMS_GATEWAY": "http",
                "DOORSTEP_SMS_URL": f"http://{_near(self._options.host)}:{self._options.port + 1}/sms",
                "DOORSTEP_SMS_TOKEN": sms_token,
                "DOORSTEP_SMS_FROM": cast.SMS_FROM,
            }
        )

    async def _play(self, engine: AsyncEngine, own: Processes, clock: Clock, ready: Callable[[Told], None]) -> None:
        own.start("serve")
        ways = await self._ways()
        now_s = clock.now()
        zone, note = time_zone(now_s)
        firm = await make_firm(engine, ways, zone, now_s)
        password = await make_owner(engine, firm.organisation_id, now_s)
        visits = await book_visits(engine, firm, ways, now_s)
        await own.ready()
        uplink = Uplink(own.url)
        riders = {one.person.name: Rider(one.key, uplink, clock) for one in firm.technicians}
        begun = await tell_morning(ways, visits, riders, now_s)
        own.start("work")
        office = Office(engine, firm, ways, clock, visits)
        url = self._servers.road_engine_url
        rounds = [Round(one, riders[one.person.name], office, ways, url, clock) for one in firm.technicians]
        tasks = [
            asyncio.create_task(
                one.run(visits[FIRST[one.technician.person]].door, begun.get(one.technician.person.name))
            )
            for one in rounds
        ]
        tasks += [asyncio.create_task(office.run()), asyncio.create_task(_keep_running(own))]
        try:
            told = self._told(visits, password, note)
            self._lock.truncate(0)
            self._lock.write(self._url)
            self._lock.flush()
            ready(told)
            tasks.append(asyncio.create_task(_tell_now_and_then(rounds)))
            ended, _ = await asyncio.wait(tasks, timeout=self._options.seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            uplink.close()

    async def _ways(self) -> Ways:
        """Over the region's roads; as the crow flies where they were not made."""
        url = self._servers.road_engine_url
        if not url or not region.BASEMAP.exists():
            return straight_ways()
        state = region.EXTRACT.stat()
        kept = self._servers.folder / "demo-ways.json"
        try:
            made_of = f"{state.st_size} {state.st_mtime_ns}"
            return await find_ways(url, read_archive(region.BASEMAP).bounds, kept, made_of)
        except (TooFewStreets, RoadEngineAway, TimeoutError) as error:
            console.print(f"going on without roads: {error}", markup=False, highlight=False, soft_wrap=True)
            return straight_ways()

    def _told(self, visits: Mapping[str, Visit], password: str, note: str) -> Told:
        pages = [
            Page(
                state, visit.customer.name, visit.customer.language,
                f"{self._url}/t/{visit.token}?lang={visit.customer.language}",
            )
            for state, visit in visits.items()
        ]  # fmt: skip
        pages.sort(key=lambda page: SHOWN.index(page.state))
        return Told(
            firm=cast.FIRM,
            pages=pages,
            board=f"{self._url}/board",
            email=cast.OWNER[1],
            password=password,
            sent=f"http://{self._address}:{self._options.port + 1}/",
            phone=self._url,
            local_only=self._address == "127.0.0.1",
            ready_after_s=time.monotonic() - self._begun_s,
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


@contextmanager
def _only_one(file: Path) -> Iterator[TextIO]:
    """One demo at a time, as there is one database for it. The kernel gives the lock back however a demo ends."""
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            where = lock.read().strip()
            at = f" at {where}" if where else ""
            raise UserError(f"the demo of this clone is running already{at}: stop it with Ctrl-C first") from None
        yield lock


def lan_address() -> str:
    """Where other machines of the network reach this one; 127.0.0.1 when it is in none. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that belongs to nobody (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _near(host: str) -> str:
    """Where a process of this machine reaches what listens there."""
    return "127.0.0.1" if host in EVERYWHERE else host


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
