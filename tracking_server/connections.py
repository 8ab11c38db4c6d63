"""What uvicorn's connections lack: an end at once, no reading from somebody who takes no answers, and bounds.

What a client says is bounded in size as it comes, and in time by one look at all connections every two seconds: a timer
for each request would cost every phone what few deserve. Who is too slow is dropped without a word, which a phone takes
for the bad network that it has.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Protocol, cast

from uvicorn._types import HTTPScope, WebSocketScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

ABORT = "abort"
SAY = "say"
SHORT_FRAME, LONGEST_FRAME = 126, 65_535  # bytes, of those whose length is written in one and in three bytes
LOOK_EVERY_S = 2
HEAD_WITHIN_S = 8.0  # so that ten seconds after the first byte it is there, or the connection is gone
BODY_WITHIN_S = 30.0  # and as much longer as its bytes take at the slowest rate that is waited for:
LEAST_BYTES_PER_S = 500  # a phone at the edge of the oldest network has twice as many
MOST_HEAD_BYTES = 64 * 1024  # between what is of use: also of what is no head, such as the ends of chunks
MOST_HEADERS = 100  # browsers send 20
MOST_BODY_BYTES = 16 * 1024 * 1024  # each route takes less and says so; beyond it nobody listens to the answer
MOST_PIPELINED = 8  # requests that wait behind one; our clients send none before they are answered
MOST_CONNECTIONS = 10_000  # of one process; at 20 KiB for each page, 200 MiB
MOST_HALF_BYTES = 32 * 1024 * 1024  # of all phones' messages that have begun and not ended
SMALL_BYTES = 64 * 1024  # who holds no more of that is not made to pay for those who do
PIECE_BYTES = 64  # what a piece of a message costs beside its bytes
MOST_UNREAD = 1_000  # messages: a phone sends one and waits for its answer
FILES_FOR_OTHERS = 200  # of those that a process may open: the store's connections, Redis, files
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_NOTHING, _HEAD, _BODY = "", "head", "body"


class Unbearable(Exception):
    """No client of ours sends such a request."""


class Connection(Protocol):
    """What is looked at."""

    transport: asyncio.Transport

    def is_too_slow(self, now_s: float) -> bool: ...


def drop_slow(connections: Iterable[Connection], now_s: float) -> None:
    """End all connections that have taken too long to say what they began; `now_s` is of the monotonic clock."""
    for connection in list(connections):
        if connection.is_too_slow(now_s):
            connection.transport.abort()


def most_connections() -> int:
    """How many this process may have; raises its limit of open files as far as it may."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return max(1, min(MOST_CONNECTIONS, files - FILES_FOR_OTHERS))


def abort(scope: MutableMapping[str, Any]) -> None:
    """Drop a request's connection with all that its reader did not take; a close would wait for them, for ever."""
    drop = scope.get("extensions", {}).get(ABORT)
    if drop is not None:  # other servers have no such extension
        drop()


def say_at_once(scope: MutableMapping[str, Any], text: bytes) -> bool:
    """Send a text to a phone without waiting; False when that cannot be: then it must be sent as any message."""
    say = scope.get("extensions", {}).get(SAY)
    return say is not None and say(text)


def _let_abort(scope: HTTPScope | WebSocketScope, transport: asyncio.Transport) -> None:
    cast(MutableMapping[str, Any], scope).setdefault("extensions", {})[ABORT] = transport.abort


class HttpConnection(HttpToolsProtocol):
    """A connection of HTTP. `_awaits` is what the client still owes of its request, since `_since_s`."""

    most = MOST_CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._awaits, self._since_s = _HEAD, time.monotonic()
        self._body_bytes = self._useless_bytes = 0
        if len(self.connections) > self.most:
            transport.write(FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        awaited, body_bytes = self._awaits, self._body_bytes
        super().data_received(data)
        if self._awaits is _NOTHING:
            if self.timeout_keep_alive_task is None and self.cycle is not None and self.cycle.response_complete:
                self._awaits, self._since_s = _HEAD, time.monotonic()  # empty lines: no request, and not idle either
        elif self._awaits is awaited and self._body_bytes == body_bytes:
            self._useless_bytes += len(data)
            if self._useless_bytes > MOST_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._awaits, self._since_s = _HEAD, time.monotonic()
        self._body_bytes = self._useless_bytes = 0
        _let_abort(self.scope, self.transport)

    def on_headers_complete(self) -> None:
        if len(self.headers) > MOST_HEADERS or len(self.pipeline) >= MOST_PIPELINED:
            raise Unbearable
        super().on_headers_complete()
        self._awaits, self._since_s = _BODY, time.monotonic()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._body_bytes += len(body)
        if self._body_bytes > MOST_BODY_BYTES:
            raise Unbearable

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._awaits = _NOTHING

    def send_400_response(self, msg: str) -> None:
        """Not into the middle of an answer, or behind it, where it would be that of the next request."""
        if self.cycle is None or not self.cycle.response_started:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def is_too_slow(self, now_s: float) -> bool:
        if self._awaits is _NOTHING:
            return False
        if self.flow.read_paused:
            self._since_s = now_s  # it is we who are slow
        within_s = HEAD_WITHIN_S if self._awaits is _HEAD else BODY_WITHIN_S + self._body_bytes / LEAST_BYTES_PER_S
        return now_s - self._since_s > within_s


class PhoneConnection(WebSocketsSansIOProtocol):
    """A phone's WebSocket. While it takes nothing it is not read: each ping in it would be answered into memory. Where
    all hold too much of messages that do not end, it is dropped, and sends again."""

    all_half_bytes: ClassVar[int] = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._half_bytes = 0
        self._pieces_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._messages = self._messages_before = 0
        self._since_s = time.monotonic()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            _let_abort(self.scope, self.transport)
            cast(MutableMapping[str, Any], self.scope)["extensions"][SAY] = self.say

    def say(self, text: bytes) -> bool:
        """Send a message of text at once; False when it cannot be sent so, and nothing was sent.

        The frame is made here: on the way through `send` it costs as much as all the rest of an answer.
        """
        able = self.handshake_complete and not self.close_sent and self.conn.state is State.OPEN
        if not (able and self.writable.is_set() and len(text) <= LONGEST_FRAME):
            return False
        short = len(text) < SHORT_FRAME
        head = b"\x81%c" % len(text) if short else b"\x81%c" % SHORT_FRAME + len(text).to_bytes(2, "big")
        self.transport.write(head + text)
        return True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._hold((self._pieces_bytes if self.frames else 0) + len(self.conn.reader.buffer))
        is_too_much = self._half_bytes > SMALL_BYTES and PhoneConnection.all_half_bytes > MOST_HALF_BYTES
        if is_too_much or self.queue.qsize() > MOST_UNREAD:
            self.transport.abort()

    def handle_text(self, event: Frame) -> None:
        self._pieces_bytes = len(event.data) + PIECE_BYTES
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._pieces_bytes = len(event.data) + PIECE_BYTES
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._pieces_bytes += len(event.data) + PIECE_BYTES
        super().handle_cont(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hold(0)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _hold(self, half_bytes: int) -> None:
        PhoneConnection.all_half_bytes += half_bytes - self._half_bytes
        self._half_bytes = half_bytes

    def send_receive_event_to_app(self) -> None:
        self._messages += 1
        super().send_receive_event_to_app()

    def is_too_slow(self, now_s: float) -> bool:
        """Whether it has been at one message for too long; not while it is we who do not read."""
        waits = self._half_bytes and not self.read_paused and self.writable.is_set()
        if not waits or self._messages != self._messages_before:
            self._messages_before, self._since_s = self._messages, now_s
        return now_s - self._since_s > BODY_WITHIN_S + self._half_bytes / LEAST_BYTES_PER_S
