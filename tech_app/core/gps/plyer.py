"""Fixes by plyer: one interface to several systems, with less to tell than Android's own.

It has no time of the fix, no provider and no mock flag, and says 0 for a speed that it does not know. Its release 2.1.0
brings no fix on Android 12 and later: the app is built with a later state of it, or uses `android`.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from typing import Any

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.gps.base import Mailbox, Missing, Request, measured

OTHERS = "choose another source: gpsd, replay or simulator"


class PlyerSource:
    """The system's GPS as plyer gives it."""

    def __init__(self, clock: Clock, gps: Any = None) -> None:
        """Raises `Missing` where plyer has no GPS. `gps` stands in for plyer's own."""
        self.trouble: str | None = None
        self._clock = clock
        self._gps = gps if gps is not None else _plyers_gps()
        self._mailbox = Mailbox()
        self._running: Request | None = None
        try:
            self._gps.configure(on_location=self._on_location, on_status=self._on_status)
        except NotImplementedError as error:
            raise Missing(f"plyer has no GPS on this device: {OTHERS}") from error

    def ask(self, request: Request | None) -> None:
        if request == self._running:
            return
        if self._running is not None:
            self._gps.stop()
        self._running = request
        if request is not None:
            self._gps.start(minTime=round(request.interval_s * 1000), minDistance=0)

    def fixes(self) -> AsyncIterator[Fix]:
        return self._mailbox.fixes()

    def _on_location(self, **told: float) -> None:
        """On a thread of plyer's."""
        self.trouble = None
        fix = read_told(told, self._clock.now())
        if fix is not None:
            self._mailbox.put(fix)

    def _on_status(self, kind: str, status: str) -> None:
        if kind == "provider-disabled":
            self.trouble = f"{status} is switched off: switch location on in the phone's settings"


def _plyers_gps() -> Any:
    try:
        return importlib.import_module("plyer").gps
    except ImportError as error:
        raise Missing(f"plyer is not installed: install it, or {OTHERS}") from error


def read_told(told: dict[str, float], now_s: float) -> Fix | None:
    """The fix of plyer's arguments; None when they say no place."""
    if "lat" not in told or "lon" not in told:
        return None
    fix = Fix(
        now_s,
        told["lat"],
        told["lon"],
        accuracy_m=measured(told.get("accuracy")),
        speed_mps=measured(told.get("speed")),
        course_deg=measured(told.get("bearing")),
        altitude_m=told.get("altitude"),
    )
    return fix if fix.is_place else None
