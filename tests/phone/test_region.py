"""The map's file reaches the phone whole, in as many attempts as it takes."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from tech_app.core import region as region_module
from tech_app.core.map.mercator import Tile
from tech_app.core.region import ASK_OVER_BYTES, LOOK_AGAIN_S, METERED_BYTES, Region, Standing
from tests.support.answering import answering
from tests.support.phone_clock import SetPhoneClock
from tests.support.server import CLONE
from tests.support.tiles import vector_tile, write_archive

EXAMPLE = json.loads((CLONE / "tests/contract/examples/region_answer.json").read_text())


@dataclass
class MapService:
    """Gives its file in ranges, as the real one does. `break_after` bytes it hangs up, as often as `breaks` says."""

    content: bytes = b""
    facts: dict[str, object] = field(default_factory=dict)
    breaks: int = 0
    break_after: int = 0
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""

    def keep(self, content: bytes, version: str) -> None:
        self.content = content
        self.facts = {**EXAMPLE, "size_bytes": len(content), "version": version}

    @property
    def tag(self) -> str:
        return f'"{self.facts.get("version")}"'


@pytest.fixture
def service() -> Iterator[MapService]:
    service = MapService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/v1/region":
                self._say(200, json.dumps(service.facts).encode(), {})
                return
            asked = self.headers.get("range")
            service.ranges.append(asked)
            begins = 0
            if asked and self.headers.get("if-range") == service.tag:
                begins = int(re.findall(r"bytes=(\d+)-", asked)[0])
            headers = {"etag": service.tag}
            if begins:
                headers["content-range"] = f"bytes {begins}-{len(service.content) - 1}/{len(service.content)}"
            self._say(206 if begins else 200, service.content[begins:], headers)

        def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if service.breaks and self.path != "/v1/region":
                service.breaks -= 1
                body = body[: service.break_after]
            self.wfile.write(body)

    with answering(Handler) as service.url:
        yield service


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


def archive_of(tmp_path: Path, word: str, padding: int = 600_000) -> bytes:
    """A map with one tile that says this word, and enough beside it to break off in."""
    tile = gzip.compress(vector_tile({"places": [(1, {"kind": "locality", "name": word}, [[(1, 1)]])]}))
    content = write_archive(tmp_path / "made.pmtiles", {(14, 9_327, 4_742): tile}).read_bytes()
    return content + bytes(padding)


def word_of(region: Region) -> bytes:
    assert region.ground.archive is not None
    return region.ground.archive.tile(Tile(14, 9_327, 4_742)) or b""


async def test_the_map_is_fetched_once(service: MapService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """And is there after a restart, also without a network."""
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    region = Region(tmp_path / "map", service.url, None, clock)
    assert region.ground.archive is None
    assert await region.refresh()
    assert b"Kluuvi" in word_of(region)
    assert region.progress.standing is Standing.whole
    assert region.progress.done_bytes == region.progress.size_bytes == len(service.content)
    assert not await region.refresh()
    assert service.ranges == [None]
    away = Region(tmp_path / "map", "http://127.0.0.1:1", None, clock)
    assert not await away.refresh()
    assert away.progress.standing is Standing.trouble
    assert b"Kluuvi" in word_of(away)


async def test_a_broken_off_map_goes_on_where_it_was(service: MapService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """Also in another run of the app; meanwhile the one before is shown."""
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    await Region(tmp_path / "map", service.url, None, clock).refresh()
    service.keep(archive_of(tmp_path, "Kamppi"), "two")
    service.breaks, service.break_after = 2, 200_000
    for _ in range(2):
        region = Region(tmp_path / "map", service.url, None, clock)
        assert not await region.refresh()
        assert "broke off" in region.progress.trouble
        assert b"Kluuvi" in word_of(region)
    assert await region.refresh()
    assert b"Kamppi" in word_of(region)
    assert service.ranges[1:] == [None, "bytes=200000-", "bytes=400000-"]
    assert (tmp_path / "map" / "region.pmtiles").read_bytes() == service.content


async def test_parts_of_two_maps_are_never_mixed(service: MapService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """When the service's file changed while it was fetched it begins anew."""
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    service.breaks, service.break_after = 1, 300_000
    region = Region(tmp_path / "map", service.url, None, clock)
    await region.refresh()
    service.keep(archive_of(tmp_path, "Kamppi", padding=700_000), "two")
    assert await region.refresh()
    assert (tmp_path / "map" / "region.pmtiles").read_bytes() == service.content


@pytest.mark.parametrize("damage", ["another page", "an empty one", "a short one"])
async def test_what_is_no_map_takes_no_map_away(
    service: MapService, clock: SetPhoneClock, tmp_path: Path, damage: str
) -> None:
    """A damaged one is told, thrown away and asked for again."""
    content = {
        "another page": b"<html>this hotel asks for your name</html>",
        "an empty one": b"PMTiles\x03" + bytes(500),
        "a short one": archive_of(tmp_path, "Kamppi", padding=0)[:-1],
    }[damage]
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    region = Region(tmp_path / "map", service.url, None, clock)
    await region.refresh()
    service.keep(content, "two")
    assert not await region.refresh()
    assert "cannot be read" in region.progress.trouble
    assert b"Kluuvi" in word_of(region)
    assert not (tmp_path / "map" / "region.part").exists()


@pytest.mark.parametrize(("size", "metered"), [(ASK_OVER_BYTES + 1, False), (METERED_BYTES + 1, True)])
async def test_a_large_map_is_asked_about(
    service: MapService, clock: SetPhoneClock, tmp_path: Path, size: int, metered: bool
) -> None:
    """And fetched when the technician agrees. Where the network counts, less is much."""
    content = archive_of(tmp_path, "Kluuvi")
    service.keep(content, "one")
    service.facts["size_bytes"] = size
    region = Region(tmp_path / "map", service.url, None, clock, lambda: metered)
    assert not await region.refresh()
    assert (region.progress.standing, region.progress.size_bytes) == (Standing.asks, size)
    assert service.ranges == []
    region.allow()
    assert await region.refresh()


async def test_a_full_phone_keeps_its_room(
    service: MapService, clock: SetPhoneClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox needs it more."""
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    region = Region(tmp_path / "map", service.url, None, clock)
    assert not await region.refresh()
    assert "make room" in region.progress.trouble
    assert service.ranges == []


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        ({"kind": "none"}, Standing.no_map),
        ({"kind": "vector", "url": "https://elsewhere.example/map"}, Standing.trouble),
        ({"kind": "raster", "url": "http://tiles.example/{z}/{x}/{y}.png"}, Standing.trouble),
        ({"kind": "raster", "url": "https://tiles.example/map.png"}, Standing.trouble),
        ({"other": 1}, Standing.trouble),
    ],
)
async def test_other_answers(
    service: MapService, clock: SetPhoneClock, tmp_path: Path, facts: dict[str, object], standing: Standing
) -> None:
    """A service without a map has none; a strange one is told, and nothing is fetched from elsewhere."""
    service.facts = facts
    region = Region(tmp_path / "map", service.url, None, clock)
    assert not await region.refresh()
    assert region.progress.standing is standing
    assert region.ground.archive is None


async def test_a_host_of_tiles_takes_the_place_of_the_file(
    service: MapService, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """With whom it wants to be named, as text; it is remembered."""
    service.facts = {
        "kind": "raster",
        "url": "https://tiles.example/{z}/{x}/{y}.png",
        "attribution": '&copy; <a href="https://tiles.example/">Example Tiles</a>',
    }
    region = Region(tmp_path / "map", service.url, None, clock)
    assert await region.refresh()
    assert not await region.refresh()
    for one in (region, Region(tmp_path / "map", "http://127.0.0.1:1", None, clock)):
        assert one.ground.raster is not None
        assert one.ground.attribution == "© Example Tiles"


async def test_it_looks_again_by_itself(service: MapService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """Soon after trouble; what the technician allows is done at once."""
    service.keep(archive_of(tmp_path, "Kluuvi"), "one")
    service.breaks, service.break_after = 1, 1_000
    region = Region(tmp_path / "map", service.url, None, clock)
    began_s = clock.now()
    running = asyncio.create_task(region.run())
    async with asyncio.timeout(10):
        while region.ground.archive is None:  # noqa: ASYNC110 (another thread)
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert clock.now() - began_s >= LOOK_AGAIN_S
    assert region_module.LOOK_EVERY_S > LOOK_AGAIN_S
