"""`./doorstep demo`: a firm at work on the embedded servers, in a database of its own, until it is told to stop.

What takes long to import is imported once the service is starting, beside it: `play.py`.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tracking_server import embedded
from tracking_server.demo import cast
from tracking_server.demo.ground import Ground, ground
from tracking_server.http_server import listen
from tracking_server.installation import UserError
from tracking_server.replay.processes import ProcessEnded, Processes, environment_for

if TYPE_CHECKING:
    from tracking_server.demo.told import Told

DATABASE = "doorstep_demo"
LOCK = "demo.lock"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (looked for, not listened on)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `seconds` is None for a demo that ends by hand."""

    host: str
    port: int
    speed: float
    seconds: float | None
    extract: Path | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo plays on. `url` is where other machines reach the service, `sent_url` the page of what was sent,
    which listens on `sent`; mails come in on `mails`. `begun_s` is when it all began, on the monotonic clock."""

    servers: embedded.Installation
    ground: Ground
    own: Processes
    clock: str
    url: str
    sent_url: str
    sent: socket.socket
    mails: socket.socket
    sms_token: str
    seconds: float | None
    begun_s: float


def demo(options: Options, ready: Callable[[Told], None]) -> None:
    """Run it. `ready` is called once everything answers. Raises `UserError` when it cannot start or go on."""
    begun_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    installation = embedded.Installation.of_this_clone()
    embedded.make_folder(installation.folder)
    with ExitStack() as held:
        try:
            lock = held.enter_context(_only_one(installation.folder / LOCK))
            with listen(options.host, options.port):
                pass  # `serve` takes it; that it is free is said before anything is started
            sent = held.enter_context(listen(options.host, options.port + 1))
            mails = held.enter_context(listen("127.0.0.1", 0))
            servers = held.enter_context(embedded.running())
            embedded.drop_database(servers, DATABASE)
            embedded.create_database(servers, DATABASE)
            address = lan_address() if options.host in EVERYWHERE else options.host
            place = held.enter_context(ground(options.extract, servers))
            stage = _stage(options, servers, place, address, sent, mails, begun_s)
            held.callback(stage.own.stop)
            stage.own.start("serve")
            lock.truncate(0)
            lock.write(stage.url)
            lock.flush()
            from tracking_server.demo.play import play

            asyncio.run(play(stage, ready))
        except ProcessEnded as error:
            raise UserError(str(error)) from error
        except KeyboardInterrupt:
            pass  # Ctrl-C while it starts


def _stage(
    options: Options,
    servers: embedded.Installation,
    place: Ground,
    address: str,
    sent: socket.socket,
    mails: socket.socket,
    begun_s: float,
) -> Stage:
    clock = f"scaled:{time.time()}:{options.speed}" if options.speed != 1 else "wall"
    url, sms_token = f"http://{address}:{options.port}", secrets.token_urlsafe()
    near = "127.0.0.1" if options.host in EVERYWHERE else options.host
    environment = environment_for(servers, DATABASE, clock) | {
        "DOORSTEP_HOST": options.host,
        "DOORSTEP_PORT": str(options.port),
        "DOORSTEP_PUBLIC_URL": url,
        "DOORSTEP_SMTP_HOST": "127.0.0.1",
        "DOORSTEP_SMTP_PORT": str(mails.getsockname()[1]),
        "DOORSTEP_SMTP_STARTTLS": "false",
        "DOORSTEP_MAIL_FROM": cast.MAIL_FROM,
        "DOORSTEP_SMS_GATEWAY": "http",
        "DOORSTEP_SMS_URL": f"http://{near}:{options.port + 1}/sms",
        "DOORSTEP_SMS_TOKEN": sms_token,
        "DOORSTEP_SMS_FROM": cast.SMS_FROM,
        "DOORSTEP_ROAD_ENGINE_URL": place.road_engine,
        "DOORSTEP_BASEMAP": place.basemap,
    }
    own = Processes(f"http://{near}:{options.port}", servers.folder, "demo", environment)
    sent_url = f"http://{address}:{options.port + 1}/"
    return Stage(servers, place, own, clock, url, sent_url, sent, mails, sms_token, options.seconds, begun_s)


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
