"""What the screen's process keeps for its maps: the copy of the region, and the ways to jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tech_app.core.clock import Clock
from tech_app.core.network import is_metered
from tech_app.core.region import Region
from tech_app.core.route import Routes
from tech_app.core.session import Session, tls


class Atlas:
    """One paired phone's. `folder` is its own."""

    def __init__(
        self, folder: Path, session: Session, clock: Clock, is_metered: Callable[[], bool] = is_metered
    ) -> None:
        secure = tls() if session.url.startswith("https://") else None
        self.region = Region(folder / "map", session.url, secure, clock, is_metered)
        self.routes = Routes(folder / "ways", session.url, session.key, secure, clock)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep the region's copy fresh for as long as the screen's loop runs."""
        if self._task is None:
            self._task = asyncio.create_task(self.region.run())

    async def stop(self) -> None:
        """Before pairing anew, and at the end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
