"""The map of one job, kept as the phone knows things: the region's copy, the last fix, the way over the roads."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from tech_app.core.atlas import Atlas
from tech_app.core.fix import Fix
from tech_app.core.jobs import OPEN, Job
from tech_app.core.route import ahead
from tech_app.ui.map.view import MapView


class JobMap(MapView):
    """Call `look` every second or so while it is seen, and `close` when it is not seen again."""

    def __init__(self, atlas: Atlas, **kwargs: Any) -> None:
        self._atlas = atlas
        self._asking: asyncio.Task[None] | None = None
        super().__init__(ground=atlas.region.ground, copy=atlas.region.progress, **kwargs)

    def look(self, job: Job, fix: Fix | None, now_s: float) -> None:
        """Show this job, and where the phone is. `now_s` is of the clock that the fix's time is of."""
        region = self._atlas.region
        self.ground, self.copy = region.ground, region.progress
        self.job, self.fix, self.now_s = (job.lat, job.lon), fix, now_s
        if job.state not in OPEN or fix is None:
            self.route = None
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask(job.id, fix))

    def on_fetch(self) -> None:
        self._atlas.region.allow()

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        super().close()

    async def _ask(self, job_id: str, fix: Fix) -> None:
        route = await self._atlas.routes.look(job_id, fix.lat, fix.lon)
        self.route = None if route is None else replace(route, way=ahead(route.way, fix.lat, fix.lon))
