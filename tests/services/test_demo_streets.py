"""Doors in the demo's region, asked of its real roads."""

from __future__ import annotations

import asyncio

import pytest

from tracking_server import region
from tracking_server.basemap.archive import read_archive
from tracking_server.demo.streets import TooFewStreets, choose_doors
from tracking_server.domain.geo import distance_m
from tracking_server.embedded import Installation
from tracking_server.routing.valhalla import Costing, RoadEngine

READY_WITHIN_S = 10.0


@pytest.mark.skipif(not region.ROADS.exists(), reason="no demo roads here: run ./doorstep setup --for demo")
async def test_every_door_can_be_driven_to_from_every_other(servers: Installation) -> None:
    """A route for each pair, that ends at the door; and more doors than there are is an error that says so."""
    bounds = read_archive(region.BASEMAP).bounds
    async with RoadEngine(servers.road_engine_url) as roads:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await roads.answers():  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.02)
        doors = await choose_doors(roads, bounds, 8, Costing.bicycle)
        assert len(set(doors)) == 8
        for start in doors:
            for door in doors:
                if door != start:
                    route = await roads.route([start, door], Costing.bicycle)
                    assert distance_m(*route.shape[-1], *door) < 10
        with pytest.raises(TooFewStreets, match="doors that reach each other, and 100 are needed"):
            await choose_doors(roads, bounds, 100, Costing.bicycle)
