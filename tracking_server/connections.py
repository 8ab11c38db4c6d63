"""What uvicorn's connections lack: an end at once, and no reading from somebody who takes no answers."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, ClassVar, cast

from uvicorn._types import HTTPScope, WebSocketScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

ABORT = "abort"
SAY = "say"
SHORT_FRAME, LONGEST_FRAME = 126, 65_535  # bytes, of those whose length is written in one and in three bytes
MOST_HALF_BYTES = 32 * 1024 * 1024  # of all phones' messages that have begun and not ended
SMALL_BYTES = 64 * 1024  # who holds no more of that is not made to pay for those who do
PIECE_BYTES = 64  # what a piece of a message costs beside its bytes
MOST_UNREAD = 1_000  # messages: a phone sends one and waits for its answer


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
    """A connection of HTTP."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        _let_abort(self.scope, self.transport)


class PhoneConnection(WebSocketsSansIOProtocol):
    """A phone's WebSocket. While it takes nothing it is not read: each ping in it would be answered into memory. Where
    all hold too much of messages that do not end, it is dropped, and sends again."""

    all_half_bytes: ClassVar[int] = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._half_bytes = 0
        self._pieces_bytes = 0

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
