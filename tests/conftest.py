"""Fixtures for the rings that need services: the embedded PostgreSQL and Redis, a cloned database per test."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tracking_server import embedded
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

TEMPLATE = f"doorstep_template_{os.getpid()}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long forms: more rounds, all drives")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def drives() -> Path:
    """The folder of recorded drives, which is not part of the project."""
    folder = os.environ.get("DOORSTEP_DRIVES")
    if not folder:
        pytest.skip("DOORSTEP_DRIVES names no folder with recorded drives")
    return Path(folder)


@pytest.fixture(scope="session")
def servers() -> Iterator[Installation]:
    with embedded.running() as installation:
        yield installation


@pytest.fixture(scope="session")
def template(servers: Installation) -> Iterator[str]:
    """A migrated, empty database to clone."""
    embedded.create_database(servers, TEMPLATE)
    migrate(servers.owner_url(TEMPLATE))
    yield TEMPLATE
    embedded.drop_database(servers, TEMPLATE)


@pytest.fixture
def database(servers: Installation, template: str) -> Iterator[str]:
    """A database of this test's own."""
    name = f"doorstep_test_{uuid4().hex[:12]}"
    embedded.create_database(servers, name, template)
    yield name
    embedded.drop_database(servers, name)


@pytest.fixture
async def engine(servers: Installation, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(servers.app_url(database))
    yield engine
    await engine.dispose()


@pytest.fixture
async def bus(servers: Installation) -> AsyncIterator[Bus]:
    bus = Bus(servers.redis_url)
    yield bus
    await bus.close()


@pytest.fixture
def now_s() -> float:
    """The present, in whole seconds: partitions exist for the days around it."""
    return float(int(time.time()))


@pytest.fixture
async def firm(engine: AsyncEngine, now_s: float) -> Firm:
    return await Firm.create(engine, now_s)


@pytest.fixture
def clock(now_s: float) -> SetClock:
    """The service's, to be moved by the test."""
    return SetClock(now_s)


@pytest.fixture
async def journey(engine: AsyncEngine, bus: Bus, clock: SetClock) -> AsyncIterator[Journey]:
    journey = Journey(engine, bus, clock, flushers=2)
    running = asyncio.create_task(journey.run())
    yield journey
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
