"""`./doorstep replay`: a database, a service and a worker of its own, and a phone for every recorded drive."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.gps.replay import Drive, read_drives
from tech_app.core.uplink import Way
from tracking_server import embedded
from tracking_server.clock import Clock, clock_from
from tracking_server.replay.firm import make_firm, make_visits
from tracking_server.replay.phone import Phone, Refused
from tracking_server.replay.processes import ProcessEnded, Processes, processes
from tracking_server.replay.result import Result, read_result
from tracking_server.replay.uplink import LaneLine, Lanes, Tally
from tracking_server.replay.visit import HELD_EVERY_S, HELD_S, Visit
from tracking_server.store.engine import create_engine, to_time, transaction
from tracking_server.store.migrate import migrate
from tracking_server.store.schema import job

DATABASE = "doorstep_replay"
START_S = 4.0  # real seconds until the service answers
SETTLE_WITHIN_S = 10.0
SETTLED_S = 60.0  # nothing due for so long, on the replay's clock
LOOK_EVERY_S = 0.1


class CannotReplay(Exception):
    """The replay cannot be done; the text says why."""


def replay(file: Path, speed: float, trips: int, console: Console) -> Result:
    """Replay the first `trips` drives of a file (0: all of them), `speed` times as fast as they were."""
    if os.environ.get("DOORSTEP_DATABASE_URL"):
        raise CannotReplay(
            "DOORSTEP_DATABASE_URL is set: a replay runs only in the embedded installation, on a clock of its own; "
            "unset it"
        )
    try:
        drives = list(islice(read_drives(file), trips or None))
    except ValueError as error:
        raise CannotReplay(str(error)) from error
    if not drives:
        raise CannotReplay(f"{file} has no drives")
    with embedded.running() as installation, _only_one(installation.folder / "replay.lock", console):
        embedded.drop_database(installation, DATABASE)
        embedded.create_database(installation, DATABASE)
        migrate(installation.owner_url(DATABASE))
        try:
            return asyncio.run(_replay(installation, drives, speed, console))
        except (ProcessEnded, Refused) as error:
            raise CannotReplay(str(error)) from error


async def _replay(
    installation: embedded.Installation, drives: Sequence[Drive], speed: float, console: Console
) -> Result:
    engine = create_engine(installation.app_url(DATABASE), pool_size=2)
    try:
        now_s = time.time()
        organisation_id = await make_firm(engine, now_s)
        with console.status(f"making {len(drives)} jobs"):
            start_s = now_s + START_S * speed + 0.05 * len(drives)
            visits = await make_visits(engine, organisation_id, drives, start_s, now_s)
        setting = f"scaled:{time.time()}:{speed}"
        tally = Tally()
        with processes(installation, DATABASE, setting) as own:
            clock = clock_from(setting)
            await own.ready()
            await _drive(own, visits, clock, tally, console)
            await _settle(engine, organisation_id, clock)
            return await read_result(engine, organisation_id, visits, tally)
    finally:
        await engine.dispose()


async def _drive(own: Processes, visits: Sequence[Visit], clock: Clock, tally: Tally, console: Console) -> None:
    """Drive until all phones are done, or one fails, or a process ends."""
    lanes = Lanes(own.url)
    with _bar(console) as bar, TemporaryDirectory(prefix="doorstep-replay-") as folder:
        total = sum(len(visit.fixes) for visit in visits)
        shown = bar.add_task("fixes acknowledged", total=total)

        async def drive(number: int, visit: Visit) -> None:
            line = LaneLine(lanes, visit.phone_key, tally, lambda n: bar.advance(shown, n))
            async with Phone(Path(folder) / f"{number}.db", dict.fromkeys(Way, line), clock) as phone:
                fixes = await phone.keep_when_due(visit.items)
                tally.sent += fixes
                await phone.told()

        driving = asyncio.gather(*(drive(number, visit) for number, visit in enumerate(visits)))
        watching = asyncio.create_task(own.watch())
        try:
            await asyncio.wait((driving, watching), return_when=asyncio.FIRST_COMPLETED)
            await (driving if driving.done() else watching)
        finally:
            driving.cancel()
            watching.cancel()
            await asyncio.gather(driving, watching, return_exceptions=True)
            lanes.close()


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


async def _settle(engine: AsyncEngine, organisation_id: UUID, clock: Clock) -> None:
    """Wait until the clock's path has done what is due now."""
    due = sa.select(sa.func.count()).where(job.c.due_at <= to_time(clock.now() + SETTLED_S))
    until = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < until:
        async with transaction(engine, organisation_id) as connection:
            if not await connection.scalar(due):
                return
        await asyncio.sleep(LOOK_EVERY_S)


@contextmanager
def _only_one(file: Path, console: Console) -> Iterator[None]:
    """One replay at a time, as there is one database for it. The kernel gives the lock back however a replay ends."""
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another replay is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def table_of(result: Result, speed: float) -> Table:
    """The result for people."""
    table = Table(
        title="Replay",
        caption=(
            f"Assumed: every drive shifted to start at the replay's now, on a clock {speed:g} times as fast as the "
            f"wall's, its fixes at the recording's pace, then held at its last point for {HELD_S / 60:g} min, "
            f"one fix per {HELD_EVERY_S:g} s."
        ),
        min_width=60,
    )
    table.add_column("what")
    table.add_column("count", justify="right")
    for name, number in result.to_json().items():
        if isinstance(number, int):
            table.add_row(name.replace("_", " "), str(number))
    for heading, numbers in (("quarantined", result.quarantined_by_reason), ("message", result.messages_by_kind)):
        for name, number in numbers.items():
            table.add_row(f"  {heading}: {name.replace('_', ' ')}", str(number))
    return table
