"""A technician who drives to a customer whose page is open: the one visit that an outage is seen from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx

from tests.support.firm import HOME, METRE, Firm, Phone
from tests.support.server import PageStream, Server, enter_link, page_stream, send
from tracking_server.domain.events import TapKind

FROM_M = 3000.0
STEP_M = 20.0
STEP_S = 2.0


@dataclass
class WatchedDrive:
    """The phone, and the page on which it is seen."""

    firm: Firm
    phone: Phone
    job_id: UUID
    client: httpx.AsyncClient
    link_id: str
    page: PageStream
    steps: int = 0

    async def go_on(self, within_s: float) -> None:
        """Drive a little; returns when the page shows it, as which it has `within_s`."""
        await self.move()
        await self.page.until_position_at(HOME[1] + self._north_m * METRE, within_s)

    async def move(self) -> None:
        """Drive a little, and have it acknowledged."""
        self.steps += 1
        made = self.phone.fix(self.firm.now_s - 60 + self.steps * STEP_S, self._north_m, accuracy_m=8.0)
        assert (await send(self.client, self.phone, self.phone.delivery(self.firm.now_s, [made]))).status_code == 200

    @property
    def _north_m(self) -> float:
        return FROM_M - self.steps * STEP_M


@asynccontextmanager
async def watched_drive(server: Server, firm: Firm) -> AsyncIterator[WatchedDrive]:
    """On the way, and shown."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    taps = [phone.tap(firm.now_s - 250, TapKind.shift_start), phone.tap(firm.now_s - 240, TapKind.en_route, job_id)]
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        await send(client, phone, phone.delivery(firm.now_s, taps=taps))
        link_id = await enter_link(client, await firm.link(job_id))
        async with page_stream(client, link_id) as page:
            await page.until("on the way to you")
            yield WatchedDrive(firm, phone, job_id, client, link_id, page)
