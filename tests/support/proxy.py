"""A proxy in front of the service that can be told to fail as real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.server import free_port

PIECE = 65_536
AWAY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Mode(StrEnum):
    """What becomes of a new connection."""

    passes = "passes"
    answers_503 = "answers_503"
    buffers_streams = "buffers_streams"  # event streams arrive only when they end: antivirus, carriers
    refuses = "refuses"


@dataclass
class Proxy:
    """Between the page and the service. `seen` are the request lines of new connections, in order."""

    target_port: int
    port: int = field(default_factory=free_port)
    mode: Mode = Mode.passes
    seen: list[str] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, mode: Mode) -> None:
        """From now on, and for what is open: a deploy behind a proxy."""
        self.mode = mode
        self.cut()

    def cut(self) -> None:
        """End every open connection without a word."""
        for writer in list(self._open):
            writer.transport.abort()

    async def has_seen(self, connections: int) -> None:
        """Wait until so many connections were opened in all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.seen) >= connections)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.refuses:
            return
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen.append(head.split(b"\r\n", 1)[0].decode())
        async with self._news:
            self._news.notify_all()
        if self.mode is Mode.answers_503:
            writer.write(AWAY)
            await writer.drain()
            return
        held = self.mode is Mode.buffers_streams and b"/updates" in head.split(b"\r\n", 1)[0]
        there_reader, there = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._open.add(there)
        try:
            there.write(_one_request(head))
            up = asyncio.create_task(_pump(reader, there))
            if held:
                await asyncio.gather(_hold(there_reader), return_exceptions=True)
            else:
                await _pump(there_reader, writer)
            up.cancel()
        finally:
            self._open.discard(there)
            there.close()


def _one_request(head: bytes) -> bytes:
    """A connection carries one request: the next one is seen, and may be failed, again."""
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()


async def _hold(reader: asyncio.StreamReader) -> None:
    while await reader.read(PIECE):
        pass


@asynccontextmanager
async def proxied(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of this machine, until the block ends."""
    proxy = Proxy(target_port)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
