from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.clocks import SetClock
from tests.support.staff import Browser, fresh_address
from tracking_server.app import HotPaths, create_app
from tracking_server.embedded import Installation
from tracking_server.settings import Settings

HOST = "http://doorstep.test"


@pytest.fixture
def app(servers: Installation, database: str, clock: SetClock) -> HotPaths:
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url, public_url=HOST)
    return create_app(settings, clock)


@pytest.fixture
async def browser(app: HotPaths) -> AsyncIterator[Browser]:
    """From an address of this test's own: tries are counted by address in a Redis that all tests share."""
    browser = from_address(app, fresh_address())
    async with browser.client:
        yield browser


def from_address(app: HotPaths, address: str) -> Browser:
    transport = httpx.ASGITransport(app, client=(address, 1))
    return Browser(httpx.AsyncClient(transport=transport, base_url=HOST))
