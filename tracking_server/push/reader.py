"""The reader's end of a stream: opened, written to, let go when it takes nothing, and watched for leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import structlog
from starlette.types import Receive, Scope, Send

from tracking_server.connections import abort
from tracking_server.push import wire

log = structlog.get_logger()
EVICT_AFTER_S = 15.0  # a reader who takes nothing for so long is let go
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Reader:
    """One reader of server-sent events."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._open = False

    async def open(self) -> None:
        """Begin the answer."""
        await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        self._open = True
        await self.write(wire.opening())

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send; drops the connection and raises `TimeoutError` when the reader takes nothing for too long."""
        try:
            async with asyncio.timeout(EVICT_AFTER_S):
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except TimeoutError:
            abort(self._scope)
            raise
        self._open = not last

    def offer(self, data: bytes, *, last: bool = False) -> bool:
        """Send at once, without a task; says whether the reader could take it. Nothing of it is sent otherwise."""
        sending = cast(
            Coroutine[Any, Any, None], self._send({"type": "http.response.body", "body": data, "more_body": not last})
        )
        try:
            sending.send(None)
        except StopIteration:
            self._open = not last
            return True
        sending.close()  # it waits for the reader, and has written nothing yet
        return False

    async def ready(self) -> None:
        """Returns when the reader takes more; raises as `write`."""
        await self.write(b"")

    def drop(self) -> None:
        """End the connection at once; the page connects again."""
        abort(self._scope)

    async def gone(self) -> None:
        """Returns when the reader has left, or was told the last."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def hear(self, writing: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
        """Let `writing` write until it is over, the reader is gone, or this process stops.

        When the process stops, the answer ends, but not what it tells of: the page connects again.
        """
        tasks = [asyncio.ensure_future(one) for one in (writing, self.gone(), stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            failure, *_ = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(failure, Exception):
            log.warning("stream_failed", error=type(failure).__name__)
        elif stopping.is_set() and self._open:
            await self.write(b"", last=True)
