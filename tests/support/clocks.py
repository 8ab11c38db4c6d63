"""A clock that tests move."""

from __future__ import annotations

import asyncio


class SetClock:
    """Stands still until it is moved; sleeping on it only lets others run."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def real_s(self, seconds: float) -> float:
        return seconds
