"""A technician with the whole phone but its screen, against the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from tech_app.core.clock import Clock, PhoneClock
from tech_app.core.desk import Desk
from tech_app.core.gps.base import Source
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home, SourceFor
from tech_app.core.session import pair, read_invitation
from tests.support.firm import HOME, METRE, Firm
from tests.support.server import Server

WITHIN_S = 15.0


class Technician:
    """Somebody with the app, who stands 300 m south of the door unless another source says where."""

    def __init__(
        self, server: Server, firm: Firm, technician_id: UUID, data: Path, source_for: SourceFor | None = None
    ) -> None:
        self.id = technician_id
        self.home = Home(data, PhoneClock(), source_for or stand_by)
        self._server = server
        self._firm = firm

    async def pair(self) -> str:
        """With a code of the office; returns the device."""
        code = await self._firm.pairing_code(self.id)
        session = await pair(read_invitation(self._server.url, code), "phone", self.home.earlier())
        self.home.pair(session)
        return session.device

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Desk]:
        """The app runs; its screen is the desk."""
        desk = self.home.desk()
        self.home.start()
        try:
            yield desk
        finally:
            await self.home.stop()
            desk.close()


def stand_by(clock: Clock) -> Source:
    return SimulatorSource(clock, (HOME[1] - 300 * METRE, HOME[0]))


async def until(desk: Desk, holds: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Wait as a screen does."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)
            desk.changed()
