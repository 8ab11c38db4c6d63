"""A technician's phone in the demo: it taps and rides, and sends both as a phone does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tracking_server.clock import Clock
from tracking_server.demo.drive import Ride
from tracking_server.domain.events import TapKind
from tracking_server.replay.phone import Phone, Tally
from tracking_server.replay.uplink import Uplink
from tracking_server.replay.visit import Item, stream_of

SETS_OFF_BEFORE_S = 0.5


class Rider:
    """Numbers what it sends over all its rides; it is asked for one thing after the other.

    A ride takes the time that it takes on `clock`, and ends where it is when its task is cancelled. What was on its way
    then is sent again with what comes next: a number that stays away would make the service wait for it.
    What lies in the past is told at once, as by a phone that had no network until now.
    """

    def __init__(self, key: str, uplink: Uplink, clock: Clock) -> None:
        self._key = key
        self._stream = stream_of(clock.now())
        self._seq = 0
        self._owed: list[Item] = []
        self._uplink = uplink
        self._clock = clock
        self.tally = Tally()

    async def tap(self, kind: TapKind, job_id: UUID | None = None, at_s: float | None = None) -> None:
        """Tap now, or have tapped then; returns when the service has it."""
        wire = {"kind": kind.value} | ({"job": str(job_id)} if job_id else {})
        await self._send([(self._clock.now() if at_s is None else at_s, wire)])

    async def follow(self, ride: Ride, start_s: float | None = None, job_id: UUID | None = None) -> None:
        """Ride from now on, or from then on, and stay at the door as long as the ride says; returns when the service
        has all of it. With a `job_id` the tap that sets off to it goes before."""
        start_s = self._clock.now() if start_s is None else start_s
        told: list[tuple[float, dict[str, Any]]] = []
        if job_id is not None:
            told.append((start_s - SETS_OFF_BEFORE_S, {"kind": TapKind.en_route.value, "job": str(job_id)}))
        for fix in ride.fixes:
            known = {
                "lat": fix.lat,
                "lon": fix.lon,
                "accuracy_m": fix.accuracy_m,
                "speed_mps": fix.speed_mps,
                "course_deg": fix.course_deg,
            }
            said = {name: value for name, value in known.items() if value is not None}
            told.append((start_s + fix.after_s, said))
        await self._send(told)

    async def _send(self, told: Sequence[tuple[float, dict[str, Any]]]) -> None:
        today = stream_of(self._clock.now())
        if today > self._stream and not self._owed:
            self._stream, self._seq = today, 0
        new = [
            Item(time_s, seq, "lat" in wire, {"seq": seq, "time": time_s, **wire})
            for seq, (time_s, wire) in enumerate(told, self._seq + 1)
        ]
        items = [*self._owed, *new]
        phone = Phone(self._key, self._stream, items, self._uplink, self._clock, self.tally, lambda _: None, self._seq)
        try:
            await phone.drive()
        finally:
            self._seq = phone.sent_up_to
            self._owed = phone.owed
