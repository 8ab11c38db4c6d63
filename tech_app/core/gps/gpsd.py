"""Fixes from gpsd, the GPS daemon of Linux: for tablets and computers in vans."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.gps.base import Request, on_the_phones_clock

PORT = 2947
WATCH = b'?WATCH={"enable":true,"json":true};\n'
AGAIN_AFTER_S = 5.0
LONGEST_LINE_BYTES = 100_000  # a report of all satellites is 10 kB
# gpsd states errors that 95 % of the fixes keep; phones, and the service, ones that 68 % do.
SHARE_OF_95 = 0.62


class GpsdSource:
    """Listens to a daemon while fixes are asked for, and tries again when it is away."""

    def __init__(self, clock: Clock, host: str = "127.0.0.1", port: int = PORT) -> None:
        self.trouble: str | None = None
        self._clock = clock
        self._host = host
        self._port = port
        self._request: Request | None = None
        self._asked = asyncio.Event()

    def ask(self, request: Request | None) -> None:
        """gpsd switches the receiver off when nobody listens."""
        self._request = request
        if request is None:
            self._asked.clear()
        else:
            self._asked.set()

    async def fixes(self) -> AsyncIterator[Fix]:
        last_s = -math.inf
        while True:
            await self._asked.wait()
            try:
                async for fix in self._listen():
                    if self._request is None:
                        break
                    if fix.time_s - last_s >= self._request.interval_s:
                        last_s = fix.time_s
                        yield fix
                    elif fix.time_s < last_s:
                        last_s = fix.time_s  # the clock was set back
            except (OSError, EOFError, ValueError) as error:
                self.trouble = (
                    f"gpsd does not answer at {self._host}:{self._port}: start it, or choose another source ({error})"
                )
                await self._clock.sleep(AGAIN_AFTER_S)

    async def _listen(self) -> AsyncIterator[Fix]:
        """One connection's fixes. Raises OSError, EOFError or ValueError when it ends."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=LONGEST_LINE_BYTES)
        try:
            writer.write(WATCH)
            await writer.drain()
            while line := await reader.readline():
                report = json.loads(line)
                if report.get("class") == "DEVICES":
                    self.trouble = None if report.get("devices") else "gpsd knows no receiver: connect one"
                fix = read_report(report, self._clock.now())
                if fix is not None:
                    self.trouble = None
                    yield fix
            raise EOFError("it hung up")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def read_report(report: dict[str, Any], now_s: float) -> Fix | None:
    """The fix of a time-position-velocity report; None of any other, and while no satellites are found."""
    if report.get("class") != "TPV" or report.get("mode", 0) < 2 or "lat" not in report or "lon" not in report:
        return None
    told_s = None
    with suppress(ValueError, TypeError):
        told_s = datetime.fromisoformat(report["time"]).timestamp() if "time" in report else None
    fix = Fix(
        on_the_phones_clock(told_s, now_s),
        float(report["lat"]),
        float(report["lon"]),
        accuracy_m=_accuracy_m(report),
        speed_mps=report.get("speed"),
        course_deg=report.get("track"),
        altitude_m=report.get("altMSL", report.get("alt")),
    )
    return fix if fix.is_place else None


def _accuracy_m(report: dict[str, Any]) -> float | None:
    if "eph" in report:
        return float(report["eph"]) * SHARE_OF_95
    if "epx" in report and "epy" in report:
        return math.hypot(report["epx"], report["epy"]) * SHARE_OF_95
    return None
