"""Customers' open pages: each listens to its link's stream and connects again as the page's script does."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.kill.history import Closed, Opened, Record, heard_of
from tests.faults.kill.town import Link

# As customer_view/connection.js has them.
QUIET_AFTER_S = 30.0
SILENT_AFTER_S = 10.0
REOPEN_AFTER_S = 1.0
REOPEN_SOON_S = 3.0
BROWSER_AGAIN_S = 2.0  # what the stream itself asks for; a browser waits so long when a stream breaks
GONE = 410
OK = 200


@dataclass(eq=False)
class Page:
    """One page of one link."""

    subscriber: str
    link: str
    token: str
    job: str
    port: int
    hear: Callable[[Record], None]
    number: int = 0
    over: bool = False

    async def run(self) -> None:
        """Listen until nothing more may come."""
        wait_s = REOPEN_AFTER_S
        while not self.over:
            status = await self._listen()
            if status == OK:
                wait_s = REOPEN_AFTER_S
                await asyncio.sleep(BROWSER_AGAIN_S)
            elif status == GONE:
                self.over = True
            else:
                await asyncio.sleep(wait_s * (1 + random.random() / 2))
                wait_s = min(wait_s * 2, REOPEN_SOON_S)

    async def _listen(self) -> int:
        """One stream until it breaks; returns how it was answered, 0 when it was not."""
        self.number += 1
        at_s, status = time.monotonic(), 0
        try:
            async with asyncio.timeout(SILENT_AFTER_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except (OSError, TimeoutError):
            return 0
        try:
            writer.write(f"GET /t/{self.token}/updates?lang=en HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            async with asyncio.timeout(SILENT_AFTER_S):
                status = await _status(reader)
            self.hear(Opened(at_s, self.subscriber, self.link, self.number, status))
            if status == OK:
                await self._follow(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            if status == OK:
                self.hear(Closed(time.monotonic(), self.subscriber, self.number))
        return status

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        patience_s = SILENT_AFTER_S
        updates = _updates(reader)
        while True:
            async with asyncio.timeout(patience_s):
                name, data, update_id = await anext(updates)
            patience_s = QUIET_AFTER_S
            if name != "ping":
                self.hear(heard_of(time.monotonic(), self.subscriber, self.number, name, data, update_id))
            if name == "end":
                self.over = True
                return


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


async def _updates(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str, str]]:
    """Each as name, data and id. Raises `IncompleteReadError` when the stream ends."""
    fields: dict[str, list[str]] = {}
    async for line in _lines(reader):
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        else:
            if "event" in fields:
                yield fields["event"][0], "\n".join(fields.get("data", [])), fields.get("id", [""])[0]
            fields = {}


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Of a chunked body."""
    left = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).strip() or b"0", 16)
        piece = await reader.readexactly(size + 2)
        if not size:
            raise asyncio.IncompleteReadError(left, None)
        *lines, left = (left + piece[:-2]).split(b"\n")
        for line in lines:
            yield line.decode()


@dataclass(eq=False)
class Pages:
    """All open pages, by subscriber."""

    port: int
    hear: Callable[[Record], None]
    open: dict[str, Page] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _count: int = 0

    def add(self, link: Link) -> None:
        """Somebody opens a link."""
        self._count += 1
        name = f"page {self._count}"
        page = self.open[name] = Page(name, link.id, link.token, link.job, self.port, self.hear)
        self._tasks[name] = asyncio.create_task(page.run())

    def forget_ended(self) -> None:
        """Those to whom nothing more may come; raises what ended one that should not have."""
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()
            del self.open[name]

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
