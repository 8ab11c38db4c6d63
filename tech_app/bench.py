"""The phone's part of `./doorstep bench phone`: each measurement is a process of its own, and prints one JSON document.

enqueue FOLDER    how long it takes to keep a fix, beside a bare row of SQLite
drain FOLDER      a backlog sent while the app draws as fast as it can; the session comes on the standard input
bare FOLDER       the same backlog to a service that stores nothing, and without a window
idle FOLDER       how often a tracker wakes up that stands still on shift; the session as for drain
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

from tech_app.core.clock import PhoneClock
from tech_app.core.desk import Desk
from tech_app.core.fix import Fix
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home
from tech_app.core.outbox import Outbox
from tech_app.core.sampling import STILL_AFTER_S, Profile
from tech_app.core.session import Session
from tech_app.core.tap import Tap, TapKind
from tech_app.desktop import settle_kivy

BACKLOG = 10_000
ENQUEUED = 2_000
IDLE_FOR_S = 60.0
PLACE = (41.1496, -8.6109)
LOOK_EVERY_S = 0.05


def main() -> None:
    what, folder = sys.argv[1:]
    measure: dict[str, Callable[[Path], dict[str, float]]] = {
        "enqueue": enqueue,
        "drain": lambda data: asyncio.run(drain(data)),
        "bare": lambda data: asyncio.run(bare(data)),
        "idle": lambda data: asyncio.run(idle(data)),
    }
    print(json.dumps(measure[what](Path(folder))))  # noqa: T201 - what the other part reads


def enqueue(folder: Path) -> dict[str, float]:
    """Milliseconds per fix, and per row of a table with nothing else, in turns."""
    outbox = Outbox(folder / "outbox.db", PhoneClock())
    plain = sqlite3.connect(folder / "plain.db", isolation_level=None)
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = NORMAL")
    plain.execute("CREATE TABLE item (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT)")
    kept, bare_ms = [], []
    for fix in a_drive(ENQUEUED):
        begun_s = time.perf_counter()
        outbox.append_fix(fix)
        between_s = time.perf_counter()
        plain.execute("INSERT INTO item (body) VALUES (?)", (fix.to_json(),))
        kept.append((between_s - begun_s) * 1000)
        bare_ms.append((time.perf_counter() - between_s) * 1000)
    outbox.close()
    plain.close()
    return {
        "p50": statistics.median(kept),
        "p99": statistics.quantiles(kept, n=100)[98],
        "bare_p50": statistics.median(bare_ms),
        "bare_p99": statistics.quantiles(bare_ms, n=100)[98],
    }


async def drain(folder: Path) -> dict[str, float]:
    """Seconds until the backlog is acknowledged, and frames drawn per second meanwhile."""
    settle_kivy(folder)
    home = a_home(folder, Session(**json.loads(sys.stdin.readline())))
    fill(home)
    from kivy.clock import Clock as Frames
    from kivy.core.window import Window

    from tech_app.ui.app import DoorstepApp

    app = DoorstepApp(home)
    drawn: list[float] = []
    Frames.schedule_interval(lambda _: Window.canvas.ask_update(), 0)
    Window.bind(on_flip=lambda *_: drawn.append(time.perf_counter()))
    home.start()
    showing = asyncio.create_task(app.async_run("asyncio"))
    begun_s = time.perf_counter()
    desk = home.desk()
    await emptied(desk, showing)
    ended_s = time.perf_counter()
    app.stop()
    await showing
    desk.close()
    await home.stop()
    return {"s": ended_s - begun_s, "fps": sum(begun_s < at_s <= ended_s for at_s in drawn) / (ended_s - begun_s)}


async def bare(folder: Path) -> dict[str, float]:
    """Seconds for the same, to whoever acknowledges everything at once."""

    async def acknowledge(connection: ServerConnection) -> None:
        async for message in connection:
            said = json.loads(message if isinstance(message, str) else gzip.decompress(message))
            numbers = [item["seq"] for item in (*said["taps"], *said["fixes"])]
            answer = {"id": said["id"], "ack": [[n, n] for n in numbers], "verdicts": {}, "server_time": time.time()}
            await connection.send(json.dumps(answer))

    async with serve(acknowledge, "127.0.0.1", 0, compression=None) as stub:
        port = next(iter(stub.sockets)).getsockname()[1]
        home = a_home(folder, Session(f"http://127.0.0.1:{port}", "bare", "nobody", "key"))
        fill(home)
        desk = home.desk()
        home.start()
        begun_s = time.perf_counter()
        await emptied(desk)
        ended_s = time.perf_counter()
        await home.stop()
        desk.close()
    return {"s": ended_s - begun_s}


async def idle(folder: Path) -> dict[str, float]:
    """How often a minute the process is woken when nothing happens but a fix of the same place now and then."""
    clock = Skipping()
    home = Home(folder, clock, lambda clock: SimulatorSource(clock, PLACE))
    home.pair(Session(**json.loads(sys.stdin.readline())))
    desk = home.desk()
    desk.tap(TapKind.shift_start)
    home.start()
    await until(lambda: desk.status().seen and not desk.facts().taps)
    clock.skip(STILL_AFTER_S)
    await until(lambda: desk.status().profile is Profile.still and not desk.facts().fixes)
    await asyncio.sleep(2.0)  # what was told of it is written down
    before = wakeups()
    await asyncio.sleep(IDLE_FOR_S)
    woken = wakeups() - before - 1  # the last is ours
    await home.stop()
    desk.close()
    return {"per_min": woken * 60 / IDLE_FOR_S}


class Skipping(PhoneClock):
    """Goes on from a later time when it is told to."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def now(self) -> float:
        return super().now() + self._skipped_s

    def since_boot(self) -> float:
        return super().since_boot() + self._skipped_s

    def skip(self, seconds: float) -> None:
        self._skipped_s += seconds


def wakeups() -> int:
    """How often the kernel has given this process's threads the processor back after they had let go of it."""
    told = [path.read_text() for path in Path("/proc/self/task").glob("*/status")]
    lines = [line for text in told for line in text.splitlines() if line.startswith("voluntary_ctxt_switches")]
    return sum(int(line.split()[1]) for line in lines)


def a_home(folder: Path, session: Session) -> Home:
    home = Home(folder, PhoneClock(), lambda clock: SimulatorSource(clock, PLACE))
    home.pair(session)
    return home


def fill(home: Home) -> None:
    """The backlog of some hours without a network."""
    desk = home.desk()
    drive = a_drive(BACKLOG)
    with desk.outbox.at_once():
        desk.outbox.append_tap(Tap(drive[0].time_s - 1, TapKind.shift_start))
        for fix in drive:
            desk.outbox.append_fix(fix)
    desk.close()


def a_drive(count: int) -> list[Fix]:
    """Through a town, a fix a second, as a good receiver tells it: always the same."""
    chance = random.Random(1)  # noqa: S311 - noise, not secrets
    (lat, lon), course, begun_s = PLACE, 90.0, time.time() - count - 10
    fixes = []
    for n in range(count):
        course = (course + chance.gauss(0, 4) + (90 * chance.choice((-1, 1)) if chance.random() < 0.02 else 0)) % 360
        speed_mps = max(0.0, chance.gauss(9, 3))
        lat += speed_mps * math.cos(math.radians(course)) / 111_195
        lon += speed_mps * math.sin(math.radians(course)) / 111_195 / math.cos(math.radians(lat))
        accuracy_m, altitude_m = abs(chance.gauss(6, 2)) + 2, chance.gauss(90, 3)
        battery_pct = 100 - 60 * n / count
        fixes.append(Fix(begun_s + n, lat, lon, accuracy_m, speed_mps, course, altitude_m, battery_pct))
    return fixes


async def emptied(desk: Desk, showing: asyncio.Task[None] | None = None) -> None:
    """Wait until all is acknowledged, or the window was closed."""
    await until(lambda: desk.facts().taps + desk.facts().fixes == 0 or (showing is not None and showing.done()))


async def until(holds: Callable[[], object]) -> None:
    """Wait for what the phone does."""
    while not holds():  # noqa: ASYNC110 - through its file, as a screen sees it
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main()
