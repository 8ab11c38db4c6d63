"""What the phone costs: keeping a fix, sending a backlog while its window is drawn, bytes on the wire, waking up.

The phone's side is `tech_app.bench`, processes of its own; this is the service that they speak to, with its private
database, behind a relay that counts the bytes of all frames and headers, both ways. Beside each figure stands a
baseline of the same run: a bare row of SQLite, and a service that acknowledges without storing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import embedded, tokens
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.embedded import CLONE
from tracking_server.installation import UserError
from tracking_server.replay.processes import Processes, processes
from tracking_server.store import devices, people
from tracking_server.store.engine import begin, create_engine, transaction

BACKLOG = 10_000
PIECE_BYTES = 65_536
# Kivy's own renderer without a screen, on whatever processor there is.
UNSEEN = {"SDL_VIDEODRIVER": "offscreen", "SDL_NO_SIGNAL_HANDLERS": "1", "LP_NUM_THREADS": "1"}


def bench_phone(console: Console) -> dict[str, float]:
    """Measure; returns the figures by name, and tells their baselines."""
    with own_database() as installation:
        return asyncio.run(_measure(installation, console))


async def _measure(installation: embedded.Installation, console: Console) -> dict[str, float]:
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    try:
        with processes(installation, DATABASE, "wall") as own:
            await own.ready()
            with console.status("keeping fixes"):
                kept = await _phone("enqueue")
            with console.status("sending a backlog to nobody"):
                bare = await _phone("bare")
            with console.status("sending a backlog while the window is drawn"):
                drained, sent_bytes = await _drain(own, engine)
            with console.status("standing still for a minute"):
                idle = await _phone("idle", await _session(engine, own.url))
    finally:
        await engine.dispose()
    console.print(
        f"baselines: a bare row of SQLite {kept['bare_p50']:.2f} ms (p99 {kept['bare_p99']:.1f}), "
        f"the backlog to a service that stores nothing, without a window {bare['s']:.1f} s",
        highlight=False,
    )
    return {
        "enqueue_ms_p50": round(kept["p50"], 3),
        "enqueue_ms_p99": round(kept["p99"], 3),
        "drain_s_10000": round(drained["s"], 2),
        "ui_fps_during_drain": round(drained["fps"], 1),
        "bytes_per_fix_batch": round(sent_bytes / BACKLOG, 1),
        "idle_wakeups_per_min": round(idle["per_min"], 1),
    }


async def _drain(own: Processes, engine: AsyncEngine) -> tuple[dict[str, float], int]:
    """What the phone measured, and the bytes that went over the wire."""
    async with _relay(urlsplit(own.url).port or 0) as relay:
        drained = await _phone("drain", await _session(engine, relay.url))
    return drained, relay.counted_bytes


async def _session(engine: AsyncEngine, url: str) -> str:
    """A new technician's phone, as the app keeps it."""
    now_s = time.time()
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection, name="Bench", time_zone="UTC", language="en", office_phone=None, now_s=now_s
        )
    async with transaction(engine, organisation_id) as connection:
        technician_id = await people.insert_technician(connection, organisation_id, name="Ana Sousa", now_s=now_s)
        key, key_hash = tokens.mint(organisation_id, tokens.Purpose.device)
        device_id = await devices.insert_device(
            connection, organisation_id, technician_id, name="bench", key_hash=key_hash, now_s=now_s
        )
    return json.dumps({"url": url, "device": str(device_id), "technician": str(technician_id), "key": key})


async def _phone(what: str, session: str = "") -> dict[str, float]:
    """One measurement, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="doorstep-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tech_app.bench", what, folder),
            cwd=CLONE,
            env={**os.environ, **UNSEEN},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate(f"{session}\n".encode())
    if process.returncode:
        raise UserError(f"the phone's part of it ({what}) failed: see the lines above")
    return dict(json.loads(told))


@dataclass
class _Relay:
    """Hands on what comes, and counts it."""

    port: int
    url: str = ""
    counted_bytes: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(PIECE_BYTES):
                self.counted_bytes += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the phone is done
        finally:
            writer.close()


@asynccontextmanager
async def _relay(port: int) -> AsyncIterator[_Relay]:
    relay = _Relay(port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
