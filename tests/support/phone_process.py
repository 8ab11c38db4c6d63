"""A phone's core as a process of its own, to be killed: it sees, keeps and sends until then.

Arguments: the outbox, the service, the key, the number of its first fix, how many fixes (0: endless). It prints the
number of each fix and tap after its commit; without fixes left it ends when its queue is empty.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.http_line import HttpLine
from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Uplink, Way
from tech_app.core.websocket_line import WebSocketLine

SEE_EVERY_S = 0.005
TAP_EVERY = 50


async def see(outbox: Outbox, phone: Uplink, first: int, most: int) -> None:
    """Fix n has n in its latitude, so that it is known again whatever number it travels under."""
    clock = PhoneClock()
    n = first
    while most == 0 or n < first + most:
        if n % TAP_EVERY == 0:
            outbox.append_tap(Tap(clock.now(), TapKind.break_start if n % (2 * TAP_EVERY) else TapKind.break_end))
        outbox.append_fix(Fix(clock.now(), round(41 + n * 1e-6, 6), -8.61, 8.0))
        print(n, flush=True)  # noqa: T201 - what whoever kills us reads
        phone.poke()
        n += 1
        await asyncio.sleep(SEE_EVERY_S)


async def main(path: str, url: str, key: str, first: str, most: str) -> None:
    outbox = Outbox(Path(path), PhoneClock())
    lines = {Way.websocket: WebSocketLine(url, key, None, lambda _: None), Way.http: HttpLine(url, key, None)}
    phone = Uplink(outbox, lines, PhoneClock())
    phone.followed = True
    sending = asyncio.create_task(phone.run())
    await see(outbox, phone, int(first), int(most))
    while outbox.facts().taps + outbox.facts().fixes:  # noqa: ASYNC110 - the other task empties it
        await asyncio.sleep(0.05)
    sending.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
