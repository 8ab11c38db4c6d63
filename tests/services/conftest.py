from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus


@pytest.fixture
def clock(now_s: float) -> SetClock:
    return SetClock(now_s)


@pytest.fixture
async def journey(engine: AsyncEngine, bus: Bus, clock: SetClock) -> AsyncIterator[Journey]:
    journey = Journey(engine, bus, clock, flushers=2)
    running = asyncio.create_task(journey.run())
    yield journey
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
