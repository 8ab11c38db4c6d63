"""`/v1/stream`: one WebSocket for a phone's batches and for what the service wants to tell it.

A message from the phone is the JSON of `POST /v1/fixes` with an `id` in front, as text, or gzip of it as binary. The
answer carries the same `id`. `{"news": "jobs"}` says that something changed that the phone should fetch.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from tech_app.core.line import (
    ANSWER_WITHIN_S,
    CONNECT_WITHIN_S,
    Answer,
    NotNow,
    NoWay,
    TooMuch,
    Unpaired,
    compressed,
    read_answer,
    refusal,
)
from tech_app.core.outbox import Batch

CLOSE_WITHIN_S = 2.0
LONGEST_MESSAGE_BYTES = 4_000_000
# What the service closes with when the phone's key was revoked meanwhile.
REVOKED = 4401
# ... which is news, too, while nothing is under way.
KEY_REVOKED = "key revoked"

News = Callable[[str], None]


class WebSocketLine:
    """One connection, opened when there is something to send, and then held."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None, on_news: News) -> None:
        """`url` is the service's own, http or https; `tls` is given for https."""
        self._url = "ws" + url.removeprefix("http").rstrip("/") + "/v1/stream"
        self._key = key
        self._tls = tls
        self._on_news = on_news
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._last_id = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def exchange(self, batch: Batch) -> Answer:
        connection = self._connection or await self._open()
        self._last_id += 1
        id_ = self._last_id
        body = batch.to_json(id=id_)
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await connection.send(compressed(body) or body)
                said = await answer
        except (OSError, TimeoutError, ConnectionClosed) as error:
            await self.close()
            if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == REVOKED:
                raise Unpaired(error.rcvd.reason) from error
            raise NotNow(f"the connection broke: {error!r}") from error
        finally:
            self._answers.pop(id_, None)
        if "error" in said:
            raise refusal(said.get("status"), str(said["error"]), str(said.get("retry_after", "")))
        return read_answer(json.dumps(said))

    async def close(self) -> None:
        connection, reader = self._connection, self._reader
        self._connection = self._reader = None
        if reader is not None:
            reader.cancel()
        if connection is not None:
            await connection.close()

    async def _open(self) -> ClientConnection:
        try:
            # No pings of ours: each would wake the radio, and a dead connection shows at the next fix. No compressed
            # frames: the bodies are compressed already.
            connection = await connect(
                self._url,
                ssl=self._tls,
                additional_headers={"authorization": f"Bearer {self._key}"},
                compression=None,
                ping_interval=None,
                open_timeout=CONNECT_WITHIN_S,
                close_timeout=CLOSE_WITHIN_S,
                max_size=LONGEST_MESSAGE_BYTES,
            )
        except InvalidStatus as error:
            status, retry_after = error.response.status_code, error.response.headers.get("retry-after")
            refused = refusal(status, str(error), retry_after)
            if isinstance(refused, NotNow | TooMuch) and retry_after is None:
                raise NoWay(str(error)) from error
            raise refused from error
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            raise NoWay(repr(error)) from error
        self._connection = connection
        self._reader = asyncio.create_task(self._read(connection))
        return connection

    async def _read(self, connection: ClientConnection) -> None:
        """Hand out what comes until the connection ends."""
        try:
            async for message in connection:
                self._take(message)
            closed: BaseException = ConnectionClosed(None, None)
        except ConnectionClosed as error:
            closed = error
        if self._connection is connection:
            self._connection = self._reader = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(closed)
        if isinstance(closed, ConnectionClosed) and closed.rcvd is not None and closed.rcvd.code == REVOKED:
            self._on_news(KEY_REVOKED)

    def _take(self, message: str | bytes) -> None:
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        id_ = said.get("id")
        answer = self._answers.get(id_) if isinstance(id_, int) else None
        if answer is not None and not answer.done():
            answer.set_result(said)
        elif isinstance(said.get("news"), str):
            self._on_news(said["news"])
