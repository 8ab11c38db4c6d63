"""A place at the demo for one more technician, who has the app in a window: `./doorstep phone`.

A program for the app to start. It finds the demo of this clone, or starts it, gives the newcomer some visits, prints
one JSON document and waits until its input is closed; a demo that it started ends with it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import tokens
from tracking_server.clock import WallClock
from tracking_server.demo import cast
from tracking_server.demo.firm import MINUTE_S, Firm, Technician, book
from tracking_server.demo.run import DATABASE, LOCK
from tracking_server.embedded import CLONE, EmbeddedError, Installation
from tracking_server.installation import UserError
from tracking_server.replay.processes import WITH_THIS_PROCESS, free_port
from tracking_server.routing.valhalla import LonLat
from tracking_server.store import devices, people
from tracking_server.store.engine import create_engine, transaction, watching
from tracking_server.store.schema import geofence

CODE_LIFE_S = 600.0
# The first window begins now, the next follow; the last visit is tomorrow's.
WINDOWS_MIN = ((-10, 50), (45, 105), (100, 160), (24 * 60, 25 * 60))


def main() -> None:
    installation = Installation.of_this_clone()
    try:
        with _demo(installation) as url:
            place = asyncio.run(_take_place(installation, url))
            print(json.dumps(place), flush=True)  # noqa: T201 (what the app reads)
            sys.stdin.read()
    except (UserError, EmbeddedError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


@contextmanager
def _demo(installation: Installation) -> Iterator[str]:
    """Where the demo's service is; started when it does not run."""
    if url := running_demo(installation):
        yield url
        return
    command = [sys.executable, "-m", "tracking_server.demo", "--json", "--host", "127.0.0.1", "--port"]
    with subprocess.Popen(  # noqa: S603 (our own program)
        [*WITH_THIS_PROCESS, *command, str(free_port())], cwd=CLONE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as demo:
        try:
            assert demo.stdout is not None  # noqa: S101 (it is a pipe)
            yield str(told_at_first(demo.stdout)["phone"]["url"])
        finally:
            demo.terminate()


def told_at_first(lines: Iterable[str]) -> dict[str, Any]:
    """The JSON document that a demo prints when it runs. Raises `UserError` when it ended before that."""
    told = ""
    for line in lines:
        told += line
        if line == "}\n":
            return dict(json.loads(told))
    raise UserError("the demo did not start: see the lines above")


def running_demo(installation: Installation) -> str | None:
    """Where the running demo of this clone is."""
    try:
        with (installation.folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            return None
    return (installation.folder / LOCK).read_text().strip() or None


async def _take_place(installation: Installation, url: str) -> dict[str, Any]:
    """What the app needs to know: an invitation, where to stand, and which pages the customers of its visits see."""
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    now_s = WallClock().now()
    try:
        firm = await _firm(engine)
        async with transaction(engine, firm.organisation_id) as connection:
            doors = await _doors(connection)
            technician_id = await people.insert_technician(
                connection, firm.organisation_id, name=cast.GUEST.name, phone=cast.GUEST.phone,
                vehicle=cast.GUEST.vehicle, trade=cast.GUEST.trade, now_s=now_s,
            )  # fmt: skip
            code, code_hash = tokens.mint_code()
            await devices.insert_pairing_code(
                connection, firm.organisation_id, technician_id, code_hash, now_s + CODE_LIFE_S
            )
            guest = Technician(technician_id, cast.GUEST, "")
            pages = []
            for customer, door, window in zip(cast.CALLERS, doors[1:], WINDOWS_MIN, strict=False):
                earliest_s, latest_s = (now_s + minutes * MINUTE_S for minutes in window)
                visit = await book(
                    connection, firm, customer, door, [guest], (earliest_s, latest_s), booked_s=now_s, assigned_s=now_s
                )
                pages.append({"customer": customer.name, "url": f"{url}/t/{visit.token}?lang={customer.language}"})
    finally:
        await engine.dispose()
    lon, lat = doors[0]
    return {"invitation": f"{url}#{code}", "technician": cast.GUEST.name, "place": f"{lat},{lon}", "pages": pages}


async def _firm(engine: AsyncEngine) -> Firm:
    async with watching(engine) as connection:
        ids = await people.organisation_ids(connection)
    if len(ids) != 1:
        raise UserError("the demo is still making its firm: try again in a few seconds")
    async with transaction(engine, ids[0]) as connection:
        return Firm(ids[0], await people.time_zone(connection, ids[0]), ())


async def _doors(connection: AsyncConnection) -> list[LonLat]:
    """Those of the demo's visits, the most northern one first."""
    centre = geofence.c.centre
    places = sa.select(sa.func.ST_X(centre), sa.func.ST_Y(centre)).distinct()
    doors = sorted(((float(lon), float(lat)) for lon, lat in await connection.execute(places)), key=lambda at: -at[1])
    if len(doors) <= len(WINDOWS_MIN):
        raise UserError("the demo has not booked its visits yet: try again in a few seconds")
    return doors


if __name__ == "__main__":
    main()
