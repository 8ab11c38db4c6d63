"""How fast the phone's map is drawn and its tiles are made: python -m tests.support.map_speed [FILE.pmtiles]

Without a graphics chip, where Mesa's llvmpipe draws on the processor: a phone's chip is faster, its Python slower.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from tests.support.window import PHONE, Driver, Window, opened  # before any Kivy

# isort: split
from kivy.clock import Clock
from kivy.graphics.opengl import glFinish

from tech_app.core.fix import Fix
from tech_app.core.map.archive import OpenArchive
from tech_app.core.map.ground import OPENSTREETMAP, Ground
from tech_app.core.map.mercator import View, to_world
from tech_app.core.map.picture import draw
from tech_app.ui.map.cut import cut
from tech_app.ui.map.view import MapView
from tracking_server import region

FRAMES = 300
STEP_PX = 4.0


async def main(file: Path) -> None:
    archive = OpenArchive(file)
    west, south, east, north = archive.header.bounds
    lat, lon = (south + north) / 2, (west + east) / 2
    tell_tiles(archive, View(*to_world(lat, lon), 0, PHONE.width, PHONE.height))
    fix = Fix(1_000.0, lat, lon, accuracy_m=40.0, speed_mps=8.0, course_deg=40.0)
    view = MapView(ground=Ground(archive, None, OPENSTREETMAP), job=(lat + 0.002, lon), fix=fix, now_s=1_010.0)
    async with opened(view) as driver:
        for zoom in (13.0, 14.5, 16.0):
            view.look_at(lat, lon, zoom)
            await driver.until(lambda: view.shelf is not None and not view.shelf.busy, "the tiles")
            await driver.frames(20)
            await tell_frames(driver, view, zoom)
    view.close()


def tell_tiles(archive: OpenArchive, view: View) -> None:
    """How long the tiles of the middle take, one at a time."""
    for zoom in range(archive.header.least_zoom, archive.header.most_zoom + 1, 2):
        tile = View(view.x, view.y, zoom, 1, 1).tiles(zoom, zoom)[0]
        begun = time.perf_counter()
        data = archive.tile(tile)
        if data is not None:
            picture = draw(tile, data, (view.x, view.y), cut)
            took_ms = (time.perf_counter() - begun) * 1e3
            say(f"zoom {zoom:2}: {len(data):7} bytes become {picture.size_bytes:8} in {took_ms:6.1f} ms")


async def tell_frames(driver: Driver, view: MapView, zoom: float) -> None:
    """Back and forth over the map, each frame by itself, with its names written anew as a finger would have it."""
    times = []
    for frame in range(FRAMES):
        right = STEP_PX if frame // 50 % 2 else -STEP_PX
        begun = time.perf_counter()
        view._look(view.view.moved(right, right / 2))
        Clock.tick_draw()
        Window.dispatch("on_draw")
        glFinish()
        times.append(time.perf_counter() - begun)
        if frame % 50 == 49:
            await driver.frames(1)
    middle, slowest = statistics.median(times), statistics.quantiles(times, n=100)[-1]
    names = len(view.lettering.written)
    say(f"zoom {zoom}, {names} names: {1 / middle:4.0f} frames/s; slowest of a hundred {slowest * 1e3:.1f} ms")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (a program for a terminal)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else region.BASEMAP))
