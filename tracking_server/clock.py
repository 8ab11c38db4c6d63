"""The one source of now(). The wall clock is only its default; tests and replays bring their own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where a process gets its time from."""

    def now(self) -> float:
        """UTC seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock's time."""
        ...

    def real_s(self, seconds: float) -> float:
        """How long `seconds` of this clock take on the machine's, for what others wait on."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def real_s(self, seconds: float) -> float:
        return seconds


class ScaledClock:
    """Runs `speed` times faster than the machine's from `started_s` on: for replays. All processes given the same
    three numbers agree."""

    def __init__(self, started_s: float, speed: float) -> None:
        self._started_s = started_s
        self._speed = speed

    def now(self) -> float:
        return self._started_s + (time.time() - self._started_s) * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds / self._speed, 0.02))  # never a busy loop, however fast the clock

    def real_s(self, seconds: float) -> float:
        return seconds / self._speed


def clock_from(setting: str) -> Clock:
    """`wall`, or `scaled:<started_s>:<speed>`. Raises ValueError on anything else."""
    match setting.split(":"):
        case ["wall"]:
            return WallClock()
        case ["scaled", started_s, speed] if float(speed) > 0:
            return ScaledClock(float(started_s), float(speed))
    raise ValueError(f"clock {setting!r} is neither 'wall' nor 'scaled:<started_s>:<speed>'")
