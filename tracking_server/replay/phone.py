"""A phone of the app's own core, without a screen and without a GPS: its queue in a file, its uplink, its ways.

It costs about 0.6 ms a fix when each is sent alone: two hundred phones that keep a fix a second take an eighth of a
core, and one core plays some 1,500.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from tech_app.core.fix import Fix
from tech_app.core.line import Line
from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap
from tech_app.core.uplink import Uplink, Way
from tracking_server.clock import Clock


class Refused(Exception):
    """The service answered with an error that sending again does not cure."""


class PhoneClock:
    """A clock of the service's as the phone wants it: one that is never set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun_s = clock.now()

    def now(self) -> float:
        return self._clock.now()

    def since_boot(self) -> float:
        return self._clock.now() - self._begun_s

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Phone:
    """Keeps what it is given, and sends it for as long as it runs: `async with`. Somebody always waits for it, so it
    never saves its battery."""

    def __init__(self, file: Path, lines: Mapping[Way, Line], clock: Clock) -> None:
        """`file` is its queue, made when it is not there."""
        self._clock = PhoneClock(clock)
        self._outbox = Outbox(file, self._clock)
        self._uplink = Uplink(self._outbox, lines, self._clock)
        self._uplink.followed = True
        self._stepped = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Phone:
        self._sending = asyncio.create_task(self._uplink.run(self._stepped.set))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError, Refused):
                await self._sending
        self._outbox.close()

    def keep(self, item: Fix | Tap) -> None:
        """Queue it."""
        if isinstance(item, Tap):
            self._outbox.append_tap(item)
        else:
            self._outbox.append_fix(item)
        self._uplink.poke(urgent=isinstance(item, Tap))

    async def keep_when_due(self, items: Iterable[Fix | Tap]) -> int:
        """Queue each at its time; returns how many fixes that were. Raises `Refused`."""
        fixes = 0
        for item in items:
            if item.time_s > self._clock.now():
                await self._clock.sleep(item.time_s - self._clock.now())
            self._check()
            self.keep(item)
            fixes += isinstance(item, Fix)
        return fixes

    async def told(self) -> None:
        """Returns when the service has all of it. Raises `Refused` when it will not."""
        while (facts := self._outbox.facts()).taps + facts.fixes:
            self._check()
            self._stepped.clear()
            stepped = asyncio.create_task(self._stepped.wait())
            await asyncio.wait([stepped, *([self._sending] if self._sending else [])], return_when="FIRST_COMPLETED")
            stepped.cancel()

    def _check(self) -> None:
        if self._sending is not None and self._sending.done():
            self._sending.result()
        if not self._uplink.state.paired:
            raise Refused(self._uplink.trouble or "the service does not know this phone any more")
