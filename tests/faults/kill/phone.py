"""Some phones of the app's own core as one process, to be killed: they keep, send and forget, and say so.

The first line on stdin says who they are (`Crew` as JSON), the others what to do (`Order`). Each line on stdout is a
record of the history, or an echo.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import msgspec

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.http_line import HttpLine
from tech_app.core.line import Answer, Line
from tech_app.core.outbox import Batch, Outbox
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Uplink, Way
from tech_app.core.websocket_line import WebSocketLine
from tests.faults.kill.history import Acked, Gen, PhoneStarted, Ranges, Record, Sent, Tapped, encode, gen_of
from tests.support.phone_process import Closed

SPEED_MPS = 20.0
DEGREE_M = 84_000.0  # of longitude, in Porto
LONGEST_PAUSE_S = 1.0  # between two handfuls of fixes: at 50 a second they are 1 to 50
SHORT_OF_PATIENCE = 0.1  # of the phone's backoff, which a real one spreads from 0 to 1
ECHO = b"echo %d\n"  # the only line that is no record
BEGAN_S = 3_600.0  # the shift, so long ago
ACCURACY_M, BATTERY_PCT, EAST_DEG = 8.0, 80.0, 90.0


class Member(msgspec.Struct, frozen=True):
    """One phone. It drives east on a parallel of its own; its clock is `skew_s` ahead."""

    device: str
    key: str
    way: str
    lat: float
    skew_s: float


class Crew(msgspec.Struct, frozen=True):
    """The phones of one process. All were at `lon` at `since_s`, UTC."""

    folder: str
    url: str
    lon: float
    since_s: float
    members: tuple[Member, ...]


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted: so many fixes a second of each phone from now on, or a tap on one of them; and an echo, when all
    that was wanted before is done."""

    fixes_per_s: float | None = None
    echo: int = 0
    device: str = ""
    kind: str = ""
    job: str | None = None


def tell(*records: Record) -> None:
    """In one write: what was told before a kill is told whole."""
    write(b"".join(map(encode, records)))


def write(line: bytes) -> None:
    data = memoryview(line)
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


class SkewedClock(PhoneClock):
    """The device's own, set wrong."""

    def __init__(self, skew_s: float) -> None:
        self._skew_s = skew_s

    def now(self) -> float:
        return super().now() + self._skew_s


class Told:
    """A way to the service that says what happens on it."""

    def __init__(self, line: Line, device: str, way: Way) -> None:
        self._line = line
        self._device = device
        self._way = way

    async def exchange(self, batch: Batch) -> Answer:
        numbers = ranges(row.seq for row in (*batch.taps, *batch.fixes))
        tell(Sent(time.monotonic(), self._device, batch.stream, numbers, self._way.value))
        answer = await self._line.exchange(batch)
        tell(Acked(time.monotonic(), self._device, batch.stream, answer.ack, answer.verdicts))
        return answer

    async def close(self) -> None:
        await self._line.close()


class Driver:
    """One phone at work."""

    def __init__(self, crew: Crew, member: Member) -> None:
        self.member = member
        self.fixes_per_s = 0.0
        self._crew = crew
        self._clock = SkewedClock(member.skew_s)
        self._loaded = asyncio.Event()
        self._made_s = 0.0
        self.outbox = Outbox(Path(crew.folder) / f"{member.device}.db", self._clock)
        lines: dict[Way, Line] = {
            Way.websocket: WebSocketLine(crew.url, member.key, None, lambda _: None),
            Way.http: HttpLine(crew.url, member.key, None),
        }
        if member.way != Way.websocket:
            lines[Way.websocket] = Closed()
        told: dict[Way, Line] = {way: Told(line, member.device, way) for way, line in lines.items()}
        self.uplink = Uplink(self.outbox, told, self._clock, luck=lambda: SHORT_OF_PATIENCE)
        self.uplink.followed = True

    def begin(self) -> None:
        """Tell what is held since before a kill; a new phone begins its shift."""
        tell(*self._held())
        if self.outbox.recall("begun") is None:
            self._keep_tap(Tap(self._clock.now() - BEGAN_S, TapKind.shift_start), {"begun": "yes"})

    def tap(self, kind: str, job: str | None) -> None:
        self._keep_tap(Tap(self._clock.now(), TapKind(kind), job), {})
        self.uplink.poke(urgent=True)

    def load(self, fixes_per_s: float) -> None:
        """Make so many from now on; none for what was before."""
        self.fixes_per_s = fixes_per_s
        self._made_s = time.time()
        (self._loaded.set if fixes_per_s else self._loaded.clear)()

    async def make(self) -> None:
        """For ever, by handfuls; each fix has its own time."""
        while True:
            await self._loaded.wait()
            await asyncio.sleep(random.uniform(1 / self.fixes_per_s, LONGEST_PAUSE_S))
            if not self.fixes_per_s:
                continue
            every_s = 1 / self.fixes_per_s
            while self._made_s + every_s < time.time():
                self._made_s += every_s
                self._keep_fix(self._made_s)
            self.uplink.poke()

    def _keep_fix(self, at_s: float) -> None:
        lon = self._crew.lon + (at_s - self._crew.since_s) * SPEED_MPS / DEGREE_M
        phone_s = at_s + self.member.skew_s
        self.outbox.append_fix(
            Fix(phone_s, self.member.lat, lon, ACCURACY_M, SPEED_MPS, EAST_DEG, battery_pct=BATTERY_PCT)
        )
        tell(self._newest())

    def _keep_tap(self, tap: Tap, memory: dict[str, str]) -> None:
        self.outbox.append_tap(tap, memory)
        tell(self._newest())

    def _newest(self) -> Gen | Tapped:
        return self._rows("ORDER BY item.n DESC, seq DESC LIMIT 1")[0]

    def _held(self) -> list[Gen | Tapped]:
        return self._rows("ORDER BY item.n, seq")

    def _rows(self, which: str) -> list[Gen | Tapped]:
        """As they stand in the queue, committed."""
        rows = self.outbox._db.execute(f"SELECT id, body FROM item JOIN stream USING (n) {which}")  # noqa: S608 - ours
        return [gen_of(time.monotonic(), self.member.device, stream, body) for stream, body in rows]


def ranges(numbers: Iterable[int]) -> Ranges:
    """Runs of numbers as (first, last)."""
    runs = (list(run) for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]))
    return tuple((run[0][1], run[-1][1]) for run in runs)


async def obey(drivers: dict[str, Driver], orders: asyncio.StreamReader) -> None:
    """Until nobody gives orders any more."""
    while line := await orders.readline():
        order = msgspec.json.decode(line, type=Order)
        if order.fixes_per_s is not None:
            for driver in drivers.values():
                driver.load(order.fixes_per_s)
        if order.kind:
            drivers[order.device].tap(order.kind, order.job)
        if order.echo:
            write(ECHO % order.echo)


async def main() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    crew = msgspec.json.decode(await orders.readline(), type=Crew)
    os.makedirs(crew.folder, exist_ok=True)
    drivers = {member.device: Driver(crew, member) for member in crew.members}
    tell(PhoneStarted(time.monotonic(), tuple(drivers)))
    for driver in drivers.values():
        driver.begin()
    loops = [loop for driver in drivers.values() for loop in (driver.make(), driver.uplink.run())]
    running = [asyncio.ensure_future(loop) for loop in (obey(drivers, orders), *loops)]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in running:  # that one ended by itself is a fault, but the orders' end
        if task.done():
            task.result()
    os._exit(0)  # a thread may still wait for an answer


if __name__ == "__main__":
    asyncio.run(main())
