"""Fixes of a drive that nobody drives: straight to where it is told, for a desktop, a demo, a test."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.geo import course_deg, distance_m
from tech_app.core.gps.base import Request

Place = tuple[float, float]  # latitude, longitude
METRES_PER_DEGREE = 111_195.0


class SimulatorSource:
    """Stands at `start` until it is sent somewhere. The noise is that of a good receiver, the same in every run."""

    def __init__(self, clock: Clock, start: Place, speed_mps: float = 10.0, accuracy_m: float = 5.0) -> None:
        self.trouble: str | None = None
        self._clock = clock
        self._place = start
        self._speed_mps = speed_mps
        self._accuracy_m = accuracy_m
        self._ahead: deque[Place] = deque()
        self._request: Request | None = None
        self._asked = asyncio.Event()
        self._chance = random.Random(1)  # noqa: S311 - noise, not secrets

    @property
    def place(self) -> Place:
        """Where it truly is."""
        return self._place

    @property
    def ahead(self) -> Place | None:
        """Where it drives to; None while it stands."""
        return self._ahead[-1] if self._ahead else None

    def drive(self, places: Iterable[Place]) -> None:
        """Go on to these places, one after the other."""
        self._ahead.extend(places)

    def stop(self) -> None:
        """Stand where it is, whatever was ahead."""
        self._ahead.clear()

    def ask(self, request: Request | None) -> None:
        self._request = request
        if request is None:
            self._asked.clear()
        else:
            self._asked.set()

    async def fixes(self) -> AsyncIterator[Fix]:
        before_s = self._clock.since_boot()
        while True:
            await self._asked.wait()
            request = self._request
            if request is None:
                continue
            speed_mps, course = self._move(self._clock.since_boot() - before_s)
            before_s = self._clock.since_boot()
            lat, lon = (at + self._chance.gauss(0, self._accuracy_m / 2 / METRES_PER_DEGREE) for at in self._place)
            yield Fix(self._clock.now(), lat, lon, self._accuracy_m, speed_mps, course)
            await self._clock.sleep(request.interval_s)

    def _move(self, seconds: float) -> tuple[float, float | None]:
        """Drive on; returns speed and course."""
        left_m, course = seconds * self._speed_mps, None
        moving = bool(self._ahead)
        while self._ahead and left_m > 0:
            goal = self._ahead[0]
            away_m = distance_m(*self._place, *goal)
            if away_m <= left_m:
                self._place, left_m = self._ahead.popleft(), left_m - away_m
                continue
            course, share = course_deg(*self._place, *goal), left_m / away_m
            self._place = (
                self._place[0] + share * (goal[0] - self._place[0]),
                self._place[1] + share * (goal[1] - self._place[1]),
            )
            left_m = 0
        return (self._speed_mps if moving else 0.0), course
