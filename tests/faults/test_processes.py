"""Several server processes under one master: each can be killed, and so can the master."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.firm import Firm, Phone
from tests.support.rows import count
from tests.support.server import CLONE, Server, free_port, send, serving
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.turn import Delivery

PROCESSES = 2
SOON_S = 15.0  # generous: a machine under load; what it does itself takes a third of a second
CONNECTIONS = 200


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database, processes=str(PROCESSES)) as server:
        until(lambda: len(processes_of(server)) == PROCESSES)
        yield server


def processes_of(server: Server) -> list[int]:
    """The server processes that a master has now."""
    of = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in of.read_text().split()]


def until(true: Callable[[], bool]) -> None:
    until_s = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


class Sender:
    """A phone that sends fix after fix over HTTP, each on a connection of its own, again until it is acknowledged."""

    def __init__(self, phone: Phone, url: str, now_s: float) -> None:
        self.acknowledged = 0
        self._phone = phone
        self._url = url
        self._now_s = now_s

    async def send(self, stop: asyncio.Event) -> None:
        await self._deliver(self._phone.delivery(self._now_s, taps=[self._phone.tap(self._now_s, TapKind.shift_start)]))
        while not stop.is_set():
            fix = self._phone.fix(self._now_s + self.acknowledged * 0.1)
            await self._deliver(self._phone.delivery(fix.time_s, [fix]))
            self.acknowledged += 1

    async def _deliver(self, delivery: Delivery) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                async with httpx.AsyncClient(base_url=self._url, timeout=SOON_S) as client:
                    if (await send(client, self._phone, delivery)).status_code == 200:
                        return


async def test_a_killed_process_is_replaced_and_nothing_acknowledged_is_lost(
    server: Server, firm: Firm, now_s: float
) -> None:
    """Each process is killed under load, then all at once: as many are there again, and what was told is kept."""
    senders = [Sender(await firm.phone(f"Technician {n}"), server.url, now_s - 3000) for n in range(4)]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for sender in senders:
            tasks.create_task(sender.send(stop))
        for n in range(3):
            running = processes_of(server)
            await kill_and_wait(server, running if n == PROCESSES else running[n : n + 1], senders)
        stop.set()
    assert server.process.poll() is None
    assert await count(firm, "fix") == sum(sender.acknowledged for sender in senders)


async def kill_and_wait(server: Server, killed: list[int], senders: list[Sender]) -> None:
    """Until others are there in their place, and phones are answered again."""
    before = sum(sender.acknowledged for sender in senders)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: len(set(processes_of(server)) - set(killed)) == PROCESSES)
    await asyncio.to_thread(until, lambda: sum(one.acknowledged for one in senders) > before + 20)


async def test_a_killed_master_takes_its_processes_with_it(server: Server) -> None:
    """Nobody is left to answer, and the next master has the port at once."""
    processes = processes_of(server)
    server.kill()
    await asyncio.to_thread(until, lambda: all(is_gone(pid) for pid in processes))
    await asyncio.to_thread(server.start_again)
    await asyncio.to_thread(until, lambda: len(processes_of(server)) == PROCESSES)


async def test_told_to_stop_it_ends_all_of_them(server: Server) -> None:
    """With status 0, and the port is free."""
    processes = processes_of(server)
    server.process.terminate()
    assert await asyncio.to_thread(server.process.wait, SOON_S) == 0
    assert all(is_gone(pid) for pid in processes)
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)


async def test_pages_are_spread_evenly(server: Server) -> None:
    """Each process has its share of connections that stay open: the kernel gives them out by lot."""
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as held:
        for _ in range(CONNECTIONS):
            connection = held.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(4096)
        shares = [sockets_of(pid) for pid in processes_of(server)]
    assert sum(shares) >= CONNECTIONS
    assert min(shares) > CONNECTIONS / PROCESSES / 2  # a fair lot falls short of it once in 10^13


async def test_what_keeps_it_from_starting_is_said_once(server: Server) -> None:
    """A process that cannot start the first time ends the master with its line; a port that is taken is nobody's."""
    for wrong, said in (
        ({"DOORSTEP_BASEMAP": str(CLONE / "README.md"), "DOORSTEP_PORT": str(free_port())}, "README.md"),
        ({}, "is taken"),
    ):
        ended = await asyncio.to_thread(
            subprocess.run, server.command, env=server.environment | wrong, cwd=CLONE, capture_output=True, timeout=60
        )
        assert ended.returncode == 1
        assert ended.stderr.decode().count("\n") == 1
        assert said in ended.stderr.decode()


def sockets_of(pid: int) -> int:
    """How many sockets a process has open."""
    links = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    return sum(link.startswith("socket:") for link in links)
