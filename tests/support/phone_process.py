"""The whole phone as a process of its own, to be killed: it sees, keeps and sends until then.

Arguments: its folder, the service, the key, the way (websocket or http), the number of its first fix, how many fixes
(0: endless). It prints what it has done, a line each: "kept N" after the commit, "sends", "was answered", "forgot";
without fixes left it ends when its queue is empty.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.gps.base import NoSource
from tech_app.core.home import Home
from tech_app.core.line import Answer, Line, NoWay
from tech_app.core.outbox import Batch, Outbox
from tech_app.core.phone import Phone
from tech_app.core.session import Session
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Way

SEE_EVERY_S = 0.005
TAP_EVERY = 50


def tell(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - what whoever kills us reads


class Told:
    """A way to the service that says what happens on it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def exchange(self, batch: Batch) -> Answer:
        tell("sends")
        answer = await self._line.exchange(batch)
        tell("was answered")
        return answer

    async def close(self) -> None:
        await self._line.close()


class Closed:
    """A way that no network lets through."""

    async def exchange(self, batch: Batch) -> Answer:
        raise NoWay("no WebSocket here")

    async def close(self) -> None:
        pass


class ToldOutbox(Outbox):
    """A queue that says when it has forgotten."""

    def forget(self, *arguments: Any) -> int:
        forgotten = super().forget(*arguments)
        tell("forgot")
        return forgotten


async def see(phone: Phone, numbers: Iterable[int]) -> None:
    """Fix n has n in its latitude, so that it is known again whatever number it travels under."""
    clock = PhoneClock()
    for n in numbers:
        if n % TAP_EVERY == 0:
            phone.outbox.append_tap(Tap(clock.now(), TapKind.break_start if n % (2 * TAP_EVERY) else TapKind.break_end))
        phone.outbox.append_fix(Fix(clock.now(), round(41 + n * 1e-6, 6), -8.61, 8.0))
        tell(f"kept {n}")
        phone.uplink.poke()
        await asyncio.sleep(SEE_EVERY_S)


async def main(folder: str, url: str, key: str, way: str, first: str, most: str) -> None:
    home = Home(Path(folder), PhoneClock(), lambda _: NoSource("none is wanted"))
    home.pair(Session(url, "phone", "technician", key))
    phone = home.phone()
    phone.outbox.__class__ = ToldOutbox
    lines = {name: Told(line) for name, line in phone.uplink._lines.items()}
    phone.uplink._lines = lines if way == "websocket" else {**lines, Way.websocket: Closed()}
    phone.uplink.followed = True
    running = asyncio.create_task(phone.run())
    begin, count = int(first), int(most)
    await see(phone, range(begin, begin + count if count else sys.maxsize))
    while phone.outbox.facts().taps + phone.outbox.facts().fixes:  # noqa: ASYNC110 - the other task empties it
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
