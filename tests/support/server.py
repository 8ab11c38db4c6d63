"""The real service as a process of its own, and clients that speak to it over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.firm import Phone
from tracking_server.embedded import Installation
from tracking_server.turn import Delivery

CLONE = Path(__file__).parents[2]
START_WITHIN_S = 30


class EndedError(Exception):
    """The service ended before it was ready."""


@dataclass
class Server:
    """A running process of the service."""

    url: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    command: list[str]

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start_again(self) -> None:
        """As a supervisor would: again, when the store is not back yet."""
        for _ in range(20):
            self.process = subprocess.Popen(self.command, env=self.environment, cwd=CLONE)
            try:
                wait_until_ready(self)
                return
            except EndedError:
                time.sleep(0.5)
        raise EndedError


@contextmanager
def serving(servers: Installation, database: str, **settings: str) -> Iterator[Server]:
    """Serve a database until the block ends."""
    port = free_port()
    attachments = servers.folder / "attachments" / database
    environment = {
        **os.environ,
        "DOORSTEP_EMBEDDED": "true",
        "DOORSTEP_DATABASE_URL": servers.app_url(database),
        "DOORSTEP_OWNER_DATABASE_URL": servers.owner_url(database),
        "DOORSTEP_REDIS_URL": servers.redis_url,
        "DOORSTEP_PORT": str(port),
        "DOORSTEP_ATTACHMENTS": str(attachments),
        **{f"DOORSTEP_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "tracking_server", "serve"]
    process = subprocess.Popen(command, env=environment, cwd=CLONE)
    server = Server(f"http://127.0.0.1:{port}", process, environment, command)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=15)
        shutil.rmtree(attachments, ignore_errors=True)


def wait_until_ready(server: Server) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise EndedError(f"the service ended with {server.process.returncode}")
        try:
            if httpx.get(f"{server.url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError("the service does not answer")


def free_port() -> int:
    """Below 32768, where loopback clients take theirs from."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def body_of(delivery: Delivery) -> dict[str, Any]:
    """A delivery as a phone writes it."""
    names = ("accuracy_m", "speed_mps", "course_deg", "altitude_m", "battery_pct")
    return {
        "stream": delivery.stream,
        "sent_at": delivery.sent_s if delivery.sent_s is not None else delivery.received_s,
        "fixes": [
            {"seq": fix.seq, "time": fix.time_s, "lat": fix.lat, "lon": fix.lon}
            | {name: getattr(fix, name) for name in names if getattr(fix, name) is not None}
            for fix in delivery.fixes
        ],
        "taps": [
            {"seq": tap.seq, "time": tap.time_s, "kind": tap.kind.value}
            | ({"job": str(tap.job_id)} if tap.job_id else {})
            for tap in delivery.taps
        ],
    }


async def send(client: httpx.AsyncClient, phone: Phone, delivery: Delivery) -> httpx.Response:
    """Post a delivery with the phone's key."""
    return await client.post("/v1/fixes", json=body_of(delivery), headers={"authorization": f"Bearer {phone.key}"})


async def enter_link(client: httpx.AsyncClient, token: str) -> str:
    """Open a link as a browser that keeps cookies does; returns the id in the page's address."""
    probed = await client.get(f"/t/{token}")
    assert (probed.status_code, probed.headers["location"]) == (303, f"/t/{token}?c=1")
    entered = await client.get(probed.headers["location"])
    assert entered.status_code == 303
    return entered.headers["location"].removeprefix("/j/")


@dataclass
class Update:
    """One server-sent event."""

    name: str
    data: str
    id: str

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.data))


class PageStream:
    """What a page has heard so far."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.closed = False
        self._news = asyncio.Condition()

    async def _read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
            elif "event" in fields:
                self.updates.append(Update(fields["event"], fields.get("data", ""), fields.get("id", "")))
                fields = {}
                async with self._news:
                    self._news.notify_all()
            else:
                fields = {}
        self.closed = True
        async with self._news:
            self._news.notify_all()

    async def until(self, wanted: str, within_s: float = 10.0) -> None:
        """Wait until a status contains these words."""
        try:
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: wanted in self.status)
        except TimeoutError:
            heard = [(update.name, update.id) for update in self.updates]
            raise AssertionError(f"never heard {wanted!r}; the page says {self.status!r} after {heard}") from None

    async def until_position(self, within_s: float = 10.0) -> None:
        """Wait until a position was shown."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: self.positions)

    async def until_position_at(self, lat: float, within_s: float = 2.0) -> None:
        """Wait until the newest position is this far north: sooner than a comparison with the store brings it."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: self.positions and self.positions[-1]["lat"] == round(lat, 6))

    async def until_closed(self, within_s: float) -> None:
        """Wait until the service ended the stream."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: self.closed)

    @property
    def status(self) -> str:
        return next((update.data for update in reversed(self.updates) if update.name == "status"), "")

    @property
    def positions(self) -> list[dict[str, Any]]:
        return [update.facts for update in self.updates if update.name == "position"]


@asynccontextmanager
async def page_stream(client: httpx.AsyncClient, link_id: str) -> AsyncIterator[PageStream]:
    """Open the page's stream as a browser would; the client holds the link's cookie."""
    stream = PageStream()
    async with client.stream("GET", f"/j/{link_id}/updates", timeout=None) as response:
        response.raise_for_status()
        reading = asyncio.create_task(stream._read(response))
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
