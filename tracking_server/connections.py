"""What uvicorn's connections lack: an end at once, and no reading from somebody who takes no answers."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, cast

from uvicorn._types import HTTPScope, WebSocketScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT = "abort"


def abort(scope: MutableMapping[str, Any]) -> None:
    """Drop a request's connection with all that its reader did not take; a close would wait for them, for ever."""
    drop = scope.get("extensions", {}).get(ABORT)
    if drop is not None:  # other servers have no such extension
        drop()


def _let_abort(scope: HTTPScope | WebSocketScope, transport: asyncio.Transport) -> None:
    cast(MutableMapping[str, Any], scope).setdefault("extensions", {})[ABORT] = transport.abort


class HttpConnection(HttpToolsProtocol):
    """A connection of HTTP."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        _let_abort(self.scope, self.transport)


class PhoneConnection(WebSocketsSansIOProtocol):
    """A phone's WebSocket. While it takes nothing it is not read: each ping in it would be answered into memory."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            _let_abort(self.scope, self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
