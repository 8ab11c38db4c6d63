"""Receivers of webhooks, good and hostile, and traps that only listen: whoever connects to one has been led astray."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """Answers every request with the bytes it was given; `chunks` come one after the other, `pause_s` apart."""

    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    chunks: list[bytes] = field(default_factory=list)
    pause_s: float = 0.0
    for_ever: bool = False
    connections: int = 0
    sent_bytes: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            line = (await reader.readline()).decode().strip()
            headers = {"": line}
            while (line := (await reader.readline()).decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append((headers, body))
            await self._write(writer, self.answer)
            while self.chunks:
                for chunk in self.chunks:
                    await self._write(writer, chunk)
                    await asyncio.sleep(self.pause_s)
                if not self.for_ever:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)


@asynccontextmanager
async def receiver(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, **how: object
) -> AsyncIterator[Receiver]:
    """Listen until the block ends."""
    one = Receiver(**how)  # type: ignore[arg-type]
    server = await asyncio.start_server(one.talk, host, port, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
