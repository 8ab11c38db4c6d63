"""A technician's phone in the demo: the app's own core, which is given taps and fixes instead of a finger and a GPS."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from tech_app.core.fix import Fix
from tech_app.core.http_line import HttpLine
from tech_app.core.line import Line
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Way
from tech_app.core.websocket_line import WebSocketLine
from tracking_server.clock import Clock
from tracking_server.demo.drive import Ride
from tracking_server.replay.phone import Phone

SETS_OFF_BEFORE_S = 0.5


class Rider:
    """Taps and rides for as long as it runs: `async with`; it is asked for one thing after the other.

    A ride takes the time that it takes on `clock`, and ends where it is when its task is cancelled; what was seen until
    then is sent all the same. What lies in the past is told at once, as by a phone that had no network until now.
    """

    def __init__(self, file: Path, url: str, key: str, clock: Clock) -> None:
        """`file` is the phone's queue."""
        lines: dict[Way, Line] = {
            Way.websocket: WebSocketLine(url, key, None, lambda _: None),
            Way.http: HttpLine(url, key, None),
        }
        self._phone = Phone(file, lines, clock)
        self._clock = clock

    async def __aenter__(self) -> Rider:
        await self._phone.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._phone.__aexit__()

    async def tap(self, kind: TapKind, job_id: UUID | None = None, at_s: float | None = None) -> None:
        """Tap now, or have tapped then; returns when the service has it. Raises `Refused`."""
        self._phone.keep(Tap(self._clock.now() if at_s is None else at_s, kind, str(job_id) if job_id else None))
        await self._phone.told()

    async def follow(self, ride: Ride, start_s: float | None = None, job_id: UUID | None = None) -> None:
        """Ride from now on, or from then on, and stay at the door as long as the ride says; returns when the service
        has all of it. With a `job_id` the tap that sets off to it goes before. Raises `Refused`."""
        start_s = self._clock.now() if start_s is None else start_s
        if job_id is not None:
            self._phone.keep(Tap(start_s - SETS_OFF_BEFORE_S, TapKind.en_route, str(job_id)))
        await self._phone.keep_when_due(
            Fix(start_s + fix.after_s, fix.lat, fix.lon, fix.accuracy_m, fix.speed_mps, fix.course_deg)
            for fix in ride.fixes
        )
        await self._phone.told()
