"""An SMS gateway for tests that misbehaves as real ones do, by a seed: what it shows is what a customer would get."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any
from urllib.parse import parse_qs

from tracking_server.settings import Settings


class Mood(StrEnum):
    """How a request is answered."""

    good = "good"
    error = "500"
    drop = "accept, then drop the connection"
    busy = "429"
    hang = "hang"
    refuse = "400"


# of every hundred requests; what is left goes well
MISBEHAVIOUR = {Mood.error: 10, Mood.drop: 5, Mood.busy: 2, Mood.hang: 1}
TWICE_PERCENT = 2  # a receipt is sent a second time
RETRY_AFTER_S = 30


@dataclass
class Taken:
    """One request that the gateway accepted."""

    key: str | None
    to: str
    text: str
    body: dict[str, Any]
    authorization: str


@dataclass
class Gateway:
    """Speaks the plain JSON way and Twilio's. `shown` are messages as a phone shows them: one for each key."""

    seed: int
    moods: list[Mood] = field(default_factory=list)  # for the next requests, before chance decides again
    misbehaviour: dict[Mood, int] = field(default_factory=lambda: dict(MISBEHAVIOUR))
    taken: list[Taken] = field(default_factory=list)
    asked: int = 0
    counts: dict[Mood, int] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)
    on_taken: Callable[[Taken], None] = lambda _: None
    on_asked: Callable[[Taken, Mood], None] = lambda *_: None
    retry_after_s: int = RETRY_AFTER_S
    refuse_code: int = 21211
    port: int = 0

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)

    @property
    def shown(self) -> dict[str, list[Taken]]:
        """What was taken, by key; without a key each is shown."""
        by_key: dict[str, list[Taken]] = {}
        for n, one in enumerate(self.taken):
            by_key.setdefault(one.key or f"without key {n}", []).append(one)
        return by_key

    def texts(self, to: str | None = None) -> list[str]:
        """What phones show, in order, each key once."""
        firsts = [times[0] for times in self.shown.values()]
        return [one.text for one in firsts if to in (None, one.to)]

    def settings(self, kind: str = "http", **other: Any) -> Settings:
        """Settings that name this gateway."""
        return Settings.model_validate({**self.environment(kind), **other})

    def environment(self, kind: str = "http") -> dict[str, str]:
        """The same as words, for a process of its own."""
        return {
            "public_url": "https://doorstep.example",
            "sms_gateway": kind,
            "sms_url": f"http://127.0.0.1:{self.port}",
            "sms_account": "AC1",
            "sms_token": "a token",
            "sms_from": "+351910000000",
        }

    def _mood(self) -> Mood:
        if self.moods:
            return self.moods.pop(0)
        drawn = self._chance.uniform(0, 100)
        for mood, percent in self.misbehaviour.items():
            drawn -= percent
            if drawn < 0:
                return mood
        return Mood.good

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await _head(reader):
                request = await _request(head, reader)
                mood = self._mood()
                self.asked += 1
                self.counts[mood] = self.counts.get(mood, 0) + 1
                self.on_asked(request, mood)
                if mood is Mood.hang:
                    await reader.read()  # until the other side has had enough
                    break
                if mood in (Mood.good, Mood.drop):
                    self._take(request)
                if mood is Mood.drop:
                    break
                writer.write(self._answer(mood))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _take(self, one: Taken) -> None:
        self.taken.append(one)
        reference = one.body.get("reference") or one.body.get("StatusCallback", "").rpartition("=")[2]
        times = 2 if self._chance.uniform(0, 100) < TWICE_PERCENT else 1
        self.receipts += [reference] * times
        self.on_taken(one)

    def _answer(self, mood: Mood) -> bytes:
        status, body, more = {
            Mood.good: ("201 Created", {"sid": f"SM{self.asked}"}, ""),
            Mood.error: ("500 Internal Server Error", {}, ""),
            Mood.busy: ("429 Too Many Requests", {}, f"retry-after: {self.retry_after_s}\r\n"),
            Mood.refuse: ("400 Bad Request", {"code": self.refuse_code}, ""),
        }[mood]
        text = json.dumps(body)
        return f"HTTP/1.1 {status}\r\n{more}content-length: {len(text)}\r\n\r\n{text}".encode()


async def _head(reader: asyncio.StreamReader) -> dict[str, str]:
    line = await reader.readline()
    headers = {"": line.decode().strip()}
    while line and (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return headers if headers[""] else {}


async def _request(headers: dict[str, str], reader: asyncio.StreamReader) -> Taken:
    raw = (await reader.readexactly(int(headers["content-length"]))).decode()
    authorization = headers["authorization"]
    if headers["content-type"].startswith("application/json"):
        body = json.loads(raw)
        return Taken(headers["idempotency-key"], body["to"], body["text"], body, authorization)
    body = {name: values[0] for name, values in parse_qs(raw).items()}
    decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    return Taken(None, body["To"], body["Body"], body, decoded)


@asynccontextmanager
async def gateway(seed: int = 1, *, well_behaved: bool = False) -> AsyncIterator[Gateway]:
    """Serve on a free port until the block ends. It misbehaves unless it is told not to."""
    one = Gateway(seed)
    if well_behaved:
        one.misbehaviour = {}
    server = await asyncio.start_server(one.talk, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
