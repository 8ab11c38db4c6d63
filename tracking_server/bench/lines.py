"""The ways to the service of a bench's phones, written by hand: the loader shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import urlsplit

HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\nupgrade: websocket\r\n"
    "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MASKED = b"\0\0\0\0"  # a mask that changes nothing
NEWS = b'{"news"'
SHORT = 126  # a WebSocket frame's length, below which it is one byte


class Wrong(Exception):
    """The service did not answer as it should."""


class Line(asyncio.Protocol):
    """One connection of one phone. Its requests wait for their answers in order; each answer must say what is expected.

    `answered` is called with the seconds since the request was due.
    """

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._rest = b""
        self._expected: deque[tuple[float, bytes]] = deque()
        self.answered: Callable[[float], None] = lambda _: None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class

    def connection_lost(self, error: Exception | None) -> None:
        if not self.failed.done():
            self.failed.set_exception(Wrong(f"the service hung up: {error}"))

    def request(self, data: bytes, expected: bytes, due_s: float) -> None:
        """Send at once, whatever is unanswered yet."""
        assert self._transport is not None  # noqa: S101 (`open_line` waits for it)
        self._expected.append((due_s, expected))
        self._transport.write(data)

    def close(self) -> None:
        self.failed.cancel()
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (length := self._whole()) and length <= len(self._rest):
            answer, self._rest = self._rest[:length], self._rest[length:]
            if NEWS in answer:
                continue
            due_s, expected = self._expected.popleft()
            if expected not in answer:
                self._fail(f"{expected!r} is not in {answer[:300]!r}")
                return
            self.answered(time.perf_counter() - due_s)

    def _fail(self, why: str) -> None:
        if not self.failed.done():
            self.failed.set_exception(Wrong(why))

    def _whole(self) -> int | None:
        """The length of the answer that the received bytes begin with, None when that is not known yet."""
        raise NotImplementedError


class HttpLine(Line):
    """`POST /v1/fixes` on one kept connection."""

    def _whole(self) -> int | None:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            return None
        at = self._rest.find(b"content-length: ", 0, end)
        return end + 4 + int(self._rest[at + 16 : self._rest.find(b"\r", at)])


class StreamLine(Line):
    """`/v1/stream`; the handshake is the first request."""

    def _whole(self) -> int | None:
        if self._rest.startswith(b"HTTP"):
            end = self._rest.find(b"\r\n\r\n")
            return end + 4 if end > 0 else None
        if len(self._rest) < 4:
            return None
        length = self._rest[1]
        return 2 + length if length < SHORT else 4 + int.from_bytes(self._rest[2:4], "big")


AnyLine = TypeVar("AnyLine", bound=Line)


async def open_line(kind: type[AnyLine], url: str) -> AnyLine:
    """A connection that is open."""
    parts = urlsplit(url)
    _, line = await asyncio.get_running_loop().create_connection(kind, parts.hostname or "", parts.port or 0)
    return line


def http_request(key: str, body: bytes, encoding: str = "") -> bytes:
    """A delivery over HTTP."""
    encoded = f"content-encoding: {encoding}\r\n" if encoding else ""
    head = (
        f"POST /v1/fixes HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"{encoded}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def message(body: bytes) -> bytes:
    """A delivery over the stream: a text frame of up to 64 KiB."""
    length = bytes([0x80 | len(body)]) if len(body) < SHORT else bytes([0x80 | SHORT]) + len(body).to_bytes(2, "big")
    return b"\x81" + length + MASKED + body
