"""The phone's two clocks: one that tells the time and may be set, one that only counts."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the app gets its time from."""

    def now(self) -> float:
        """UTC seconds since 1970, as the phone believes. It steps when the network or the user sets it."""
        ...

    def since_boot(self) -> float:
        """Seconds since the phone was switched on, those asleep included: it never steps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        ...


class PhoneClock:
    """The device's own."""

    def now(self) -> float:
        return time.time()

    def since_boot(self) -> float:
        # The ordinary monotonic clock of Linux stands still while the phone sleeps; Darwin's counts on.
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def pause(clock: Clock, seconds: float, poked: asyncio.Event) -> None:
    """Wait, unless something new comes."""
    waits = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(poked.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
