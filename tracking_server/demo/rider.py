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


class Rider:
    """Numbers what it sends over all its rides; it is asked for one thing after the other.

    A ride takes the time that it takes on `clock`, and ends where it is when its task is cancelled. What was on its way
    then is sent again with what comes next: a number that stays away would make the service wait for it.
    """

    def __init__(self, key: str, uplink: Uplink, clock: Clock) -> None:
        self._key = key
        self._stream = stream_of(clock.now())
        self._seq = 0
        self._owed: list[Item] = []
        self._uplink = uplink
        self._clock = clock
        self.tally = Tally()

    async def tap(self, kind: TapKind, job_id: UUID | None = None) -> None:
        """Tap now; returns when the service has it."""
        wire = {"kind": kind.value} | ({"job": str(job_id)} if job_id else {})
        await self._send([(self._clock.now(), wire)])

    async def follow(self, ride: Ride) -> None:
        """Ride from now on, and stay at the door as long as the ride says; returns when the service has all of it."""
        start_s = self._clock.now()
        told = []
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
