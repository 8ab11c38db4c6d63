"""`POST /v1/fixes`: the way to the service that every network lets through."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
from urllib.parse import urlsplit

from tech_app.core.line import ANSWER_WITHIN_S, Answer, NotNow, compressed, read_answer, refusal
from tech_app.core.outbox import Batch

LONGEST_ANSWER_BYTES = 4_000_000  # a verdict for each of 10,000 fixes is 0.3 MB


class HttpLine:
    """One connection, kept between batches; a thread waits for it."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None) -> None:
        """`url` is the service's, with https when `tls` is given."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/") + "/v1/fixes"
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    async def exchange(self, batch: Batch) -> Answer:
        return await asyncio.to_thread(self._exchange, batch.to_json())

    async def close(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: str) -> Answer:
        small = compressed(body)
        headers = self._headers if small is None else {**self._headers, "content-encoding": "gzip"}
        try:
            response = self._request(small or body.encode(), headers)
            answer = response.read(LONGEST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise NotNow(f"no connection: {error!r}") from error
        if response.status != 200:
            what = answer.decode(errors="replace")
            raise refusal(response.status, what, response.getheader("retry-after"))
        return read_answer(answer)

    def _request(self, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        """The service may have closed a connection that was silent: then once more, on a new one."""
        if self._connection is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._ask(self._connection, body, headers)
            self._close()
        self._connection = self._open()
        return self._ask(self._connection, body, headers)

    def _ask(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection.request("POST", self._path, body, headers)
        return connection.getresponse()

    def _open(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_WITHIN_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_WITHIN_S, context=self._tls)
