"""The service in the test's own process, for tests that move its clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from tests.support.clocks import SetClock
from tests.support.server import free_port
from tracking_server.app import create_app
from tracking_server.embedded import Installation
from tracking_server.settings import Settings


@asynccontextmanager
async def serving_here(servers: Installation, database: str, clock: SetClock) -> AsyncIterator[str]:
    """Serve a database until the block ends; yields where."""
    port = free_port()
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url, port=port)
    app = create_app(settings, clock)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.02)
    try:
        yield settings.public_url
    finally:
        app.stop()
        server.should_exit = True
        await running
