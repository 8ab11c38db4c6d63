"""From the GPS to the outbox: follows the phone while its technician is on shift, and at no other time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tech_app.core.fix import Fix
from tech_app.core.geo import distance_m
from tech_app.core.gps.base import Missing, Request, Source
from tech_app.core.outbox import NoRoom, Outbox
from tech_app.core.sampling import Decision, Memory, begin, sample
from tech_app.core.uplink import Uplink


@dataclass(frozen=True, slots=True)
class Duty:
    """What the phone is followed for. `goal` is the latitude and longitude of the job one is on the way to."""

    tracked: bool = False
    goal: tuple[float, float] | None = None


class Tracking:
    """The pump. `last` is what was decided of the newest fix, for whoever looks."""

    def __init__(self, source: Source, outbox: Outbox, uplink: Uplink, battery_pct: Callable[[], float | None]) -> None:
        self.trouble: str | None = None
        self.last: tuple[Fix, Decision] | None = None
        self._source = source
        self._outbox = outbox
        self._uplink = uplink
        self._battery_pct = battery_pct
        self._duty = Duty()
        self._is_refused = False
        self._memory = Memory()

    def change(self, duty: Duty) -> None:
        """A shift, a break or a drive began or ended: what the GPS is asked for changes at once. One that refused is
        asked again, as it may be allowed by now."""
        if duty == self._duty and not self._is_refused:
            return
        if duty.tracked and not self._duty.tracked:
            self._memory = Memory()
        self._duty = duty
        self._uplink.followed = duty.goal is not None
        self._ask(begin(self._battery_pct()) if duty.tracked else None)

    async def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Until cancelled, or until a recording ends; calls `changed` after each fix."""
        async for fix in self._source.fixes():
            if self._duty.tracked:  # one may have been on its way when the shift ended
                self._take(fix)
                changed()

    def _ask(self, request: Request | None) -> None:
        try:
            self._source.ask(request)
        except Missing as error:
            self.trouble, self._is_refused = str(error), True
            return
        if self._is_refused:
            self.trouble, self._is_refused = None, False

    def _take(self, fix: Fix) -> None:
        battery_pct = self._battery_pct()
        fix = replace(fix, battery_pct=battery_pct)
        away_m = None
        if self._duty.goal is not None and fix.is_place:
            away_m = distance_m(fix.lat, fix.lon, *self._duty.goal)
        decision = sample(self._memory, fix, battery_pct, away_m)
        self._memory, self.last = decision.memory, (fix, decision)
        self._ask(decision.request)
        if not decision.keep:
            return
        try:
            self._outbox.append_fix(fix)
            self.trouble = None
        except NoRoom as error:
            self.trouble = str(error)
        self._uplink.poke()
