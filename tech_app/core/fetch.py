"""Keeps the jobs on the phone those of the service: asks at the start, when there is news, and now and then."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence

from tech_app.core.ask import ask
from tech_app.core.clock import Clock, pause
from tech_app.core.day import Day
from tech_app.core.line import NotNow, TooMuch, Unpaired, refusal
from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap
from tech_app.core.uplink import State, Way, answered, failed, nudged

# News come over the stream; this is for what was said while it was broken.
EVERY_S = 300.0
MOST_ANSWER_BYTES = 2_000_000


class HttpJobs:
    """`GET /v1/jobs`."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._key = key
        self._tls = tls

    async def get(self, etag: str) -> tuple[str, str] | None:
        """The jobs and the etag of this answer; None when they are still those of `etag`.

        By the etag the service knows which customers' notes have reached the phone: it has to be that of an answer
        that was kept. Raises `NotNow`, `TooMuch` or `Unpaired`.
        """
        return await asyncio.to_thread(self._get, etag)

    def _get(self, etag: str) -> tuple[str, str] | None:
        headers = {"authorization": f"Bearer {self._key}"} | ({"if-none-match": etag} if etag else {})
        reply = ask(self._url, self._tls, "GET", "/v1/jobs", headers=headers, most_bytes=MOST_ANSWER_BYTES)
        if reply.status == 304:
            return None
        if reply.status != 200:
            raise refusal(reply.status, reply.body.decode(errors="replace"), reply.headers.get("retry-after"))
        return reply.body.decode(errors="replace"), reply.headers.get("etag", "")


class Fetch:
    """The loop."""

    def __init__(
        self, jobs: HttpJobs, day: Day, outbox: Outbox, clock: Clock, *, luck: Callable[[], float] = random.random
    ) -> None:
        self.state = State()
        self.trouble: str | None = None
        self._jobs = jobs
        self._day = day
        self._outbox = outbox
        self._clock = clock
        self._luck = luck
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """There is news, or somebody wants to see: ask now, unless the service said how long to stay away."""
        self.state = nudged(self.state)
        self._poked.set()

    async def run(self, changed: Callable[[], None]) -> None:
        """Until cancelled; calls `changed` when it has asked."""
        while True:
            await self.step()
            changed()
            await self._pause()

    async def step(self) -> None:
        """Ask once."""
        self._poked.clear()
        pending = self._outbox.pending_taps()
        try:
            told = await self._jobs.get(self._outbox.recall("jobs_etag") or "")
            if told is not None:
                text, etag = told
                self._take(text, pending, etag)
        except (NotNow, TooMuch, Unpaired) as error:
            self.state = failed(self.state, Way.http, error, self._clock.since_boot(), self._luck())
            self.trouble = str(error)
            return
        self.state, self.trouble = answered(self.state, self._clock.since_boot()), None

    def _take(self, text: str, pending: Sequence[Tap], etag: str) -> None:
        try:
            self._day.fetched(text, pending, etag)
        except ValueError as error:
            raise NotNow(str(error)) from error

    async def _pause(self) -> None:
        """Until it is time again, or there is news; never before the service wants to be asked."""
        now_s = self._clock.since_boot()
        due_s = max(self.state.not_before_s, self.state.told_until_s)
        if due_s <= now_s:
            due_s = now_s + EVERY_S
        await pause(self._clock, due_s - now_s, self._poked)
        told_s = self.state.told_until_s - self._clock.since_boot()
        if told_s > 0:
            await self._clock.sleep(told_s)
