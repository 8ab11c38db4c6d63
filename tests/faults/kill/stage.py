"""Everything that the rounds are played with, built up and taken down again: in a temporary folder, on servers of its
own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.faults.kill.book import Book
from tests.faults.kill.checker import Checker
from tests.faults.kill.crews import CrewProcess, Crews
from tests.faults.kill.deck import Line
from tests.faults.kill.dump import Dumper
from tests.faults.kill.history import Asked, Begun, Paired
from tests.faults.kill.office import Office
from tests.faults.kill.readers import Pages
from tests.faults.kill.rounds import Play
from tests.faults.kill.supervisor import Supervisor
from tests.faults.kill.tally import Tally
from tests.faults.kill.town import Town
from tests.support.firm import Firm
from tests.support.gateway import Gateway, Mood, Taken, gateway
from tests.support.server import free_port
from tests.support.tcp_proxy import Place, TcpProxy, tcp_proxied
from tracking_server import embedded
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

DATABASE, TEMPLATE = "doorstep_kill", "doorstep_template"
RETRY_AFTER_S = 3  # what the gateway says when it is busy
ASSIGNED_BEFORE_S = 600.0


@asynccontextmanager
async def stage(seed: int, history: Path, mutant: str | None, tell: Callable[[str], None]) -> AsyncIterator[Play]:
    """The whole play, everything at work."""
    folder = Path(tempfile.mkdtemp(prefix="doorstep-kill-"))
    os.chmod(folder, 0o755)  # noqa: S103 - PostgreSQL is another user
    try:
        with servers_in(folder / "servers") as servers:
            tell("making a database")
            await asyncio.to_thread(make_databases, servers)
            async with play(seed, servers, folder, history, mutant, tell) as one:
                yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def servers_in(folder: Path) -> Iterator[Installation]:
    """PostgreSQL, which notes when each transaction was committed, and Redis."""
    before = os.environ.get("DOORSTEP_EMBEDDED_FOLDER")
    os.environ["DOORSTEP_EMBEDDED_FOLDER"] = str(folder)
    try:
        with embedded.running() as servers:
            host = str(servers.socket_folder)
            with psycopg.connect(host=host, user="doorstep_admin", dbname="postgres", autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
            os.kill(servers.postgres_pids()[0], signal.SIGINT)  # its keeper starts it again
            while servers.postgres_answers():
                time.sleep(0.02)
            while not servers.postgres_answers():
                time.sleep(0.02)
            try:
                yield servers
            finally:
                embedded.stop(servers)
    finally:
        os.environ.pop("DOORSTEP_EMBEDDED_FOLDER")
        if before is not None:
            os.environ["DOORSTEP_EMBEDDED_FOLDER"] = before


def make_databases(servers: Installation) -> None:
    embedded.create_database(servers, TEMPLATE)
    migrate(servers.owner_url(TEMPLATE))
    embedded.create_database(servers, DATABASE, TEMPLATE)


@asynccontextmanager
async def play(
    seed: int, servers: Installation, folder: Path, history: Path, mutant: str | None, tell: Callable[[str], None]
) -> AsyncIterator[Play]:
    program, phone = ("-m", "tracking_server"), ("-m", "tests.faults.kill.phone")
    if mutant is not None:
        from tests.faults.kill import mutants

        await asyncio.to_thread(mutants.prepare, mutant, servers.owner_url(DATABASE))
        program = ("-m", "tests.faults.kill.mutants", mutant)
        phone = (*program, "phone")
    async with AsyncExitStack() as held:
        book = held.enter_context(Book.at(history))
        sms = await held.enter_async_context(gateway(seed))
        engine = create_engine(servers.app_url(DATABASE))
        held.push_async_callback(engine.dispose)
        port = free_port()
        proxies = {
            line: await held.enter_async_context(tcp_proxied(*places))
            for line, places in places_of(servers, folder, port, sms).items()
        }
        checker = Checker()
        book.listeners.append(checker.take)
        book.hear(Begun(time.monotonic(), time.time(), seed))
        town = await Town.build(await Firm.create(engine, time.time() - ASSIGNED_BEFORE_S))
        for technician, paired in town.phones.items():
            book.hear(Paired(time.monotonic(), str(paired.device.id), technician, town.names[technician]))
        sms.retry_after_s = RETRY_AFTER_S
        sms.on_asked = asked(book)
        url = f"http://127.0.0.1:{proxies[Line.app].place}"
        environment = environment_of(proxies, sms, url, folder)
        supervisor = Supervisor(servers, environment, folder, port, program)
        held.callback(supervisor.stop)
        crews = Crews([])
        book.listeners.append(crews.hear)
        for n, crew in enumerate(town.crews(str(folder), url)):
            crews.processes.append(CrewProcess(crew, phone, folder / f"phones-{n}.log", book.hear))
        held.callback(crews.stop)
        pages = Pages(int(str(proxies[Line.app].place)), book.hear)
        held.push_async_callback(pages.close)
        office = Office(town, crews, url, servers.redis_url, book.hear)
        dumper = Dumper(engine, town.firm.organisation_id)
        loops = [supervisor.run(), *(crew.run() for crew in crews.processes)]
        running = [asyncio.create_task(loop) for loop in loops]
        held.callback(lambda: [task.cancel() for task in running])
        parts = town, supervisor, crews, office, pages, proxies, sms
        one = Play(*parts, book.hear, checker, dumper, TEMPLATE, Tally(seed), tell)
        tell("starting everything")
        await one.begin()
        yield one


def places_of(servers: Installation, folder: Path, port: int, sms: Gateway) -> dict[Line, tuple[Place, Place]]:
    """Where each proxy stands, and before what."""
    sockets = folder / "lines"
    sockets.mkdir()
    return {
        Line.app: (free_port(), port),
        Line.postgres: (sockets / ".s.PGSQL.5432", servers.socket_folder / ".s.PGSQL.5432"),
        Line.redis: (sockets / "redis.sock", servers.redis_socket),
        Line.gateway: (free_port(), sms.port),
    }


def environment_of(proxies: dict[Line, TcpProxy], sms: Gateway, url: str, folder: Path) -> dict[str, str]:
    """What the processes are told: whatever they talk to stands behind a proxy."""
    sockets = quote(str(Path(str(proxies[Line.postgres].place)).parent), safe="")
    own = sms.environment() | {
        "embedded": "true",
        "database_url": f"postgresql+psycopg://doorstep_app@/{DATABASE}?host={sockets}",
        "owner_database_url": f"postgresql+psycopg://doorstep_owner@/{DATABASE}?host={sockets}",
        "redis_url": f"unix://{quote(str(proxies[Line.redis].place))}",
        "public_url": url,
        "sms_url": f"http://127.0.0.1:{proxies[Line.gateway].place}",
        "attachments": str(folder / "attachments"),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith(("DOORSTEP_", "FAULT_"))}
    return others | {f"DOORSTEP_{name.upper()}": value for name, value in own.items()}


def asked(book: Book) -> Callable[[Taken, Mood], None]:
    def hear(one: Taken, mood: Mood) -> None:
        taken = mood in (Mood.good, Mood.drop)
        book.hear(Asked(time.monotonic(), one.key or "", one.to, one.text, mood.value, taken))

    return hear
