"""Fixtures of rings that speak to the real service over HTTP: a process of its own, a client, a firm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm
from tests.support.server import Server, serving
from tracking_server.embedded import Installation


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client


@pytest.fixture
async def firm(engine: AsyncEngine, now_s: float) -> Firm:
    """A firm whose jobs were assigned ten minutes ago: drives that end now come after that."""
    return await Firm.create(engine, now_s - 600)
