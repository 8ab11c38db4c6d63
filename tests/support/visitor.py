"""A customer's browser without script, against the application in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.server import enter_link
from tracking_server.app import create_app
from tracking_server.clock import Clock
from tracking_server.embedded import Installation
from tracking_server.settings import Settings

HTTP = "http://doorstep.example"
HTTPS = "https://doorstep.example"


class Visitor:
    """Reads pages and sends their forms as they stand."""

    def __init__(self, client: httpx.AsyncClient, token: str, base: str) -> None:
        self.client = client
        self.token = token
        self.base = base

    async def page(self, query: str = "") -> str:
        """The page as it is now."""
        address = f"{self.base}?c=1&{query}" if self.base.startswith("/t/") else f"{self.base}?{query}"
        answer = await self.client.get(address)
        assert answer.status_code == 200
        return answer.text

    async def send(self, form: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """Send a form with what the page itself puts into it."""
        own = re.search(r'name="id" value="([0-9a-f-]{36})"', await self.page())
        fields = {"id": own[1] if own else ""} | fields
        same = {"origin": str(self.client.base_url).rstrip("/")}
        return await self.client.post(f"{self.base}/{form}", data=fields, headers=same if headers is None else headers)


@asynccontextmanager
async def visiting(
    servers: Installation, database: str, clock: Clock, token: str, *, url: str = HTTP, cookies: bool = True
) -> AsyncIterator[Visitor]:
    """A browser that opened a link, with or without cookies."""
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url, public_url=url)
    transport = httpx.ASGITransport(create_app(settings, clock))
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        base = f"/j/{await enter_link(client, token)}" if cookies else f"/t/{token}"
        yield Visitor(client, token, base)
