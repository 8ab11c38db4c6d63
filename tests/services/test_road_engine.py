"""The road engine: the demo region's own, which the embedded installation runs, and engines that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.server import free_port
from tracking_server import region
from tracking_server.domain.geo import distance_m
from tracking_server.embedded import Installation
from tracking_server.embedded_roads import CannotBuildRoads, build_roads
from tracking_server.routing import valhalla
from tracking_server.routing.valhalla import Costing, LonLat, RoadEngine, RoadEngineAway, Unroutable

STATION: LonLat = (24.9400, 60.1700)
CATHEDRAL: LonLat = (24.9500, 60.1680)
GARDEN: LonLat = (24.9450, 60.1720)
AT_SEA: LonLat = (24.0, 58.0)
READY_WITHIN_S = 10.0


@pytest.fixture
async def roads(servers: Installation) -> AsyncIterator[RoadEngine]:
    """The one of this clone."""
    if not region.ROADS.exists():
        pytest.skip("no demo roads here: run ./doorstep setup --for demo")
    async with RoadEngine(servers.road_engine_url) as roads:
        await answering(roads)
        yield roads


async def answering(roads: RoadEngine) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while not await roads.answers():  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.02)


async def test_a_route_follows_the_roads(roads: RoadEngine) -> None:
    """It begins and ends at a road beside the stops, and is longer than the straight line."""
    route = await roads.route([STATION, CATHEDRAL], Costing.bicycle)
    straight_m = distance_m(*STATION, *CATHEDRAL)
    assert straight_m < route.length_m < 3 * straight_m
    assert distance_m(*route.shape[0], *STATION) < 50
    assert distance_m(*route.shape[-1], *CATHEDRAL) < 50
    steps = [distance_m(*a, *b) for a, b in zip(route.shape, route.shape[1:], strict=False)]
    assert sum(steps) == pytest.approx(route.length_m, rel=0.02)
    assert 2 < route.length_m / route.duration_s < 8, "metres a second, by bicycle"


async def test_a_route_goes_through_all_its_stops(roads: RoadEngine) -> None:
    """In their order; where one leg ends the next begins, once."""
    route = await roads.route([STATION, GARDEN, CATHEDRAL], Costing.bicycle)
    assert min(distance_m(*place, *GARDEN) for place in route.shape) < 50
    assert all(a != b for a, b in zip(route.shape, route.shape[1:], strict=False))


async def test_a_matrix_is_what_routes_say(roads: RoadEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it takes several questions."""
    stops = [STATION, GARDEN, CATHEDRAL]
    whole = await roads.matrix(stops, stops[:2], Costing.bicycle)
    assert [len(row) for row in whole.durations_s] == [2, 2, 2]
    assert whole.durations_s[0][0] == 0
    route = await roads.route([CATHEDRAL, STATION], Costing.bicycle)
    assert whole.lengths_m[2][0] == pytest.approx(route.length_m, rel=0.02)
    monkeypatch.setattr(valhalla, "MOST_PAIRS", 3)
    parts = await roads.matrix(stops, stops[:2], Costing.bicycle)
    assert parts.lengths_m == whole.lengths_m  # times differ by seconds: the engine chooses how it searches


async def test_where_no_road_leads_is_told(roads: RoadEngine) -> None:
    """As another error than an engine that is away: asking again does not help."""
    for question in (roads.route([STATION, AT_SEA]), roads.matrix([STATION], [AT_SEA])):
        with pytest.raises(Unroutable):
            await question


async def test_a_killed_engine_comes_back(servers: Installation, roads: RoadEngine) -> None:
    """At the same address, while PostgreSQL and Redis go on undisturbed."""
    (killed,) = servers.road_engine_pids()
    before = servers.postgres_pids()[:1], servers.redis_pids()
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(READY_WITHIN_S):
        while servers.road_engine_pids() in ([], [killed]):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.02)
    await answering(roads)
    assert (servers.postgres_pids()[:1], servers.redis_pids()) == before


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"trip": 1}',
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"no HTTP at all",
        b"",
    ],
)
async def test_an_engine_that_talks_nonsense_is_away(answer: bytes) -> None:
    """One error for all of it, whatever the cause."""
    async with answering_with(answer) as url, RoadEngine(url) as roads:
        with pytest.raises(RoadEngineAway):
            await roads.route([STATION, CATHEDRAL])
        with pytest.raises(RoadEngineAway):
            await roads.matrix([STATION], [CATHEDRAL])


async def test_an_engine_that_is_silent_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; nobody waits for it for ever. One that is not there is away at once."""
    monkeypatch.setattr(valhalla, "ANSWER_WITHIN_S", 0.2)
    async with answering_with(None) as url, RoadEngine(url) as roads:
        with pytest.raises(RoadEngineAway):
            await roads.route([STATION, CATHEDRAL])
    async with RoadEngine(f"http://127.0.0.1:{free_port()}") as roads:
        assert not await roads.answers()
        with pytest.raises(RoadEngineAway):
            await roads.route([STATION, CATHEDRAL])


@asynccontextmanager
async def answering_with(answer: bytes | None) -> AsyncIterator[str]:
    """Somebody who gives the same answer to everything; None never answers."""
    over = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        server.close()


def test_an_extract_without_roads_makes_none(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    if not region.ENGINE.exists():
        pytest.skip("no road engine here: run ./doorstep setup --for demo")
    with pytest.raises(CannotBuildRoads):
        build_roads(tmp_path / "no.osm.pbf", tmp_path / "roads")
    assert not list(tmp_path.iterdir())
