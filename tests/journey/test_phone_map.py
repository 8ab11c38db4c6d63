"""The phone's map comes from the real service: a copy of the region, and the way to its own job."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from tech_app.core.atlas import Atlas
from tech_app.core.map.mercator import Tile
from tech_app.core.region import Standing
from tech_app.core.session import Session
from tests.support.answering import answering
from tests.support.firm import HOME, METRE, Firm, Phone
from tests.support.phone_clock import SetPhoneClock
from tests.support.rows import job_row
from tests.support.server import CLONE, Server, send, serving
from tests.support.tiles import vector_tile, write_archive
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.ingest.ways import OFTEN
from tracking_server.routing.valhalla import encode_shape

EXAMPLES = CLONE / "tests" / "contract" / "examples"
HERE = (HOME[1] + 600 * METRE, HOME[0])


@dataclass
class Roads:
    """A road engine with one straight road to everywhere; `answer` is what it says instead."""

    url: str = ""
    answer: tuple[int, dict[str, Any]] | None = None
    asked: list[list[dict[str, float]]] = field(default_factory=list)

    def way(self, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(question["locations"])
        shape = encode_shape([(stop["lon"], stop["lat"]) for stop in question["locations"]])
        return self.answer or (200, {"trip": {"legs": [{"shape": shape}], "summary": {"time": 83.4, "length": 0.6}}})


@pytest.fixture
def roads() -> Iterator[Roads]:
    roads = Roads()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, said = roads.way(question)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with answering(Handler) as roads.url:
        yield roads


@pytest.fixture
def basemap(tmp_path: Path) -> Path:
    return made(tmp_path / "region.pmtiles", "Ribeira")


def made(path: Path, name: str) -> Path:
    """A map with one tile, which has this name."""
    tile = gzip.compress(vector_tile({"places": [(1, {"kind": "locality", "name": name}, [[(1, 1)]])]}))
    return write_archive(path, {(14, 7_800, 6_140): tile})


@pytest.fixture
def server(servers: Installation, database: str, roads: Roads, basemap: Path) -> Iterator[Server]:
    with serving(servers, database, road_engine_url=roads.url, basemap=str(basemap)) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client


def atlas_of(server: Server, phone: Phone, folder: Path) -> Atlas:
    return Atlas(folder, Session(server.url, str(phone.device.id), "", phone.key), SetPhoneClock(), lambda: False)


def key(phone: Phone) -> dict[str, str]:
    return {"authorization": f"Bearer {phone.key}"}


async def test_the_region_is_copied(server: Server, firm: Firm, basemap: Path, tmp_path: Path) -> None:
    """Byte for byte, and anew when the service's file was built anew."""
    atlas = atlas_of(server, await firm.phone(), tmp_path / "phone")
    async with httpx.AsyncClient(base_url=server.url) as client:
        told = (await client.get("/v1/region")).json()
    assert set(told) == set(json.loads((EXAMPLES / "region_answer.json").read_text()))
    for name in ("Ribeira", "Foz"):
        built = made(basemap, name).read_bytes()
        assert await atlas.region.refresh()
        assert (tmp_path / "phone" / "map" / "region.pmtiles").read_bytes() == built
        assert atlas.region.ground.archive is not None
        assert name.encode() in (atlas.region.ground.archive.tile(Tile(14, 7_800, 6_140)) or b"")
    assert not await atlas.region.refresh()
    assert atlas.region.progress.standing is Standing.whole


async def test_the_way_to_my_job(server: Server, firm: Firm, roads: Roads, tmp_path: Path) -> None:
    """Over the roads, from the phone to the door, and once."""
    phone = await firm.phone()
    job_id = str(await firm.job(phone.device.technician_id))
    atlas = atlas_of(server, phone, tmp_path)
    for _ in range(3):
        route = await atlas.routes.look(job_id, *HERE)
    assert route is not None
    assert route.way[0] == pytest.approx(HERE, abs=1e-6)
    assert route.way[-1] == pytest.approx((HOME[1], HOME[0]), abs=1e-6)
    assert (route.duration_s, route.length_m) == (83, 600)
    assert len(roads.asked) == 1


async def test_only_the_way_to_my_own_open_job(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Not to a colleague's, to nobody's, to one that is done; and to nothing without a key."""
    mine, other = await firm.phone(), await firm.phone("Rui Costa")
    job_id = await firm.job(mine.device.technician_id)
    path = f"/v1/jobs/{job_id}/route"
    here = {"lat": str(HERE[0]), "lon": str(HERE[1])}
    answer = await client.get(path, params=here, headers=key(mine))
    assert answer.status_code == 200
    assert set(answer.json()) == set(json.loads((EXAMPLES / "route_answer.json").read_text()))
    assert answer.headers["cache-control"] == "private, no-store"
    assert (await client.get(path, params=here)).status_code == 401
    refused = await client.get(path, params=here, headers=key(other))
    nowhere = await client.get(f"/v1/jobs/{firm.organisation_id}/route", params=here, headers=key(other))
    assert refused.status_code == nowhere.status_code == 404
    assert refused.content == nowhere.content
    assert (await client.get(path, params={"lat": "91", "lon": "0"}, headers=key(mine))).status_code == 422
    begun = [mine.tap(now_s - 60, TapKind.shift_start), mine.tap(now_s - 50, TapKind.done, job_id)]
    await send(client, mine, mine.delivery(now_s, taps=begun))
    assert (await job_row(firm, job_id)).state == "completed"
    assert (await client.get(path, params=here, headers=key(mine))).status_code == 404


@pytest.mark.parametrize(
    ("answer", "status", "again"),
    [((400, {"error": "No path could be found"}), 404, None), ((500, {}), 503, "60"), ((200, {}), 503, "60")],
)
async def test_no_way(
    client: httpx.AsyncClient,
    firm: Firm,
    roads: Roads,
    answer: tuple[int, dict[str, Any]],
    status: int,
    again: str | None,
) -> None:
    """A place that no road leads to is told from an engine that is away: only then asking again helps."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    roads.answer = answer
    got = await client.get(f"/v1/jobs/{job_id}/route", params={"lat": "41", "lon": "-8"}, headers=key(phone))
    assert (got.status_code, got.headers.get("retry-after")) == (status, again)


async def test_a_phone_asks_only_so_often(client: httpx.AsyncClient, firm: Firm, roads: Roads) -> None:
    """Beyond that it is refused, and others are not."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    job_id, other_job = [await firm.job(one.device.technician_id) for one in (phone, other)]
    here = {"lat": str(HERE[0]), "lon": str(HERE[1])}
    asked = [client.get(f"/v1/jobs/{job_id}/route", params=here, headers=key(phone)) for _ in range(OFTEN.amount + 5)]
    statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert statuses.count(200) == OFTEN.amount
    assert statuses.count(429) == 5
    assert len(roads.asked) == OFTEN.amount
    assert (await client.get(f"/v1/jobs/{other_job}/route", params=here, headers=key(other))).status_code == 200
