"""Waiting for what other processes do, of whom nobody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_EVERY_S = 0.05


async def until(is_so: Callable[[], bool], within_s: float | None = None) -> None:
    """Returns when it is so. Raises `TimeoutError` when it is not within so many seconds."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - there is no event in another process
            await asyncio.sleep(LOOK_EVERY_S)


async def until_answered(asked: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """The same of what has to be asked for."""
    async with asyncio.timeout(within_s):
        while not await asked():  # noqa: ASYNC110 - there is no event in another process
            await asyncio.sleep(LOOK_EVERY_S)
