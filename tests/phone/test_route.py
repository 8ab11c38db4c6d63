"""The way to a job is asked for seldom, kept, and never in the technician's way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tech_app.core.geo import distance_m
from tech_app.core.route import (
    AFTER_S,
    MOST_KEPT,
    NOT_BEFORE_S,
    BadShape,
    Route,
    Routes,
    ahead,
    decode_shape,
    is_stale,
    off_m,
)
from tests.support.answering import answering
from tests.support.phone_clock import SetPhoneClock
from tests.support.server import CLONE
from tracking_server.routing.valhalla import encode_shape

HERE, THERE = (60.1700, 24.9400), (60.1680, 24.9500)
ALONG = (60.1690, 24.9450)
ASIDE = (60.1720, 24.9450)  # 330 m north of the way
EXAMPLE = json.loads((CLONE / "tests/contract/examples/route_answer.json").read_text())
SHAPE = EXAMPLE["shape"]


@dataclass
class RoadService:
    """Answers with one way, or with that status."""

    status: int = 200
    body: dict[str, object] = field(default_factory=lambda: dict(EXAMPLE))
    retry_after_s: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def service() -> Iterator[RoadService]:
    service = RoadService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append((self.path, self.headers["authorization"]))
            self.send_response(service.status)
            if service.retry_after_s is not None:
                self.send_header("retry-after", str(service.retry_after_s))
            self.end_headers()
            self.wfile.write(json.dumps(service.body).encode())

    with answering(Handler) as service.url:
        yield service


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


def routes_of(service: RoadService, clock: SetPhoneClock, tmp_path: Path) -> Routes:
    return Routes(tmp_path / "ways", service.url, "a key", None, clock)


async def test_the_way_is_asked_for_once(service: RoadService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """With the phone's key, and kept while the technician is on it."""
    routes = routes_of(service, clock, tmp_path)
    for _ in range(3):
        route = await routes.look("a job", *HERE)
    clock.pass_time(60)
    assert await routes.look("a job", *ALONG) == route
    assert route is not None
    assert (route.way, route.duration_s, route.length_m) == ((HERE, THERE), 240.0, 610.0)
    assert service.asked == [("/v1/jobs/a%20job/route?lat=60.170000&lon=24.940000", "Bearer a key")]


async def test_another_way_when_it_was_left_or_is_old(
    service: RoadService, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """More than 100 m beside it, or after five minutes; but not with every fix."""
    routes = routes_of(service, clock, tmp_path)
    await routes.look("a job", *HERE)
    await routes.look("a job", *ASIDE)
    assert len(service.asked) == 1
    clock.pass_time(NOT_BEFORE_S + 1)
    await routes.look("a job", *ASIDE)
    assert len(service.asked) == 2
    clock.pass_time(AFTER_S + 1)
    await routes.look("a job", *ALONG)
    assert len(service.asked) == 3


async def test_the_last_way_is_there_without_a_network(
    service: RoadService, clock: SetPhoneClock, tmp_path: Path
) -> None:
    """After a restart too, however old."""
    route = await routes_of(service, clock, tmp_path).look("a job", *HERE)
    clock.pass_time(86_400)
    away = Routes(tmp_path / "ways", "http://127.0.0.1:1", "a key", None, clock)
    assert away.known("a job") == route
    assert await away.look("a job", *ASIDE) == route
    assert await away.look("another job", *HERE) is None


@pytest.mark.parametrize(("status", "retry_after_s", "pause_s"), [(503, 60, 60), (404, None, AFTER_S), (429, 90, 90)])
async def test_a_service_that_has_no_way_is_left_in_peace(
    service: RoadService, clock: SetPhoneClock, tmp_path: Path, status: int, retry_after_s: int | None, pause_s: float
) -> None:
    """For as long as it says, or for some minutes."""
    service.status, service.retry_after_s = status, retry_after_s
    routes = routes_of(service, clock, tmp_path)
    assert await routes.look("a job", *HERE) is None
    clock.pass_time(pause_s - 1)
    await routes.look("a job", *HERE)
    assert len(service.asked) == 1
    clock.pass_time(2)
    await routes.look("a job", *HERE)
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "body",
    [{"shape": "!!", "duration_s": 1, "length_m": 1}, {"shape": SHAPE}, {"shape": "", "duration_s": 1, "length_m": 1}],
)
async def test_a_strange_answer_is_no_way(
    service: RoadService, clock: SetPhoneClock, tmp_path: Path, body: dict[str, object]
) -> None:
    """The last one stays."""
    routes = routes_of(service, clock, tmp_path)
    route = await routes.look("a job", *HERE)
    service.body = body
    clock.pass_time(AFTER_S + 1)
    assert await routes.look("a job", *HERE) == route
    assert len(service.asked) == 2


async def test_ways_are_not_collected(service: RoadService, clock: SetPhoneClock, tmp_path: Path) -> None:
    """Those of other days go."""
    routes = routes_of(service, clock, tmp_path)
    for n in range(MOST_KEPT + 5):
        await routes.look(f"job {n}", *HERE)
    assert len(list((tmp_path / "ways").iterdir())) == MOST_KEPT
    routes.forget_others({f"job {MOST_KEPT}"})
    assert [file.name for file in (tmp_path / "ways").iterdir()] == [f"job%20{MOST_KEPT}.json"]


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), max_size=30))
def test_a_shape_is_read_as_the_service_writes_it(places: list[tuple[float, float]]) -> None:
    """To a millionth of a degree; the service says longitudes first."""
    read = decode_shape(encode_shape(places))
    assert [lon for _, lon in read] == pytest.approx([lon for lon, _ in places], abs=1e-6)
    assert [lat for lat, _ in read] == pytest.approx([lat for _, lat in places], abs=1e-6)


@given(st.text(max_size=60))
def test_any_text_is_a_shape_or_a_bad_one(text: str) -> None:
    """And a shape is on the earth."""
    try:
        places = decode_shape(text)
    except BadShape:
        return
    assert all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in places)


def test_what_is_still_to_go() -> None:
    """From the place that is nearest to here."""
    beside = (ALONG[0] + 0.0002, ALONG[1] + 0.0002)
    assert ahead((HERE, THERE), *beside)[1:] == (THERE,)
    assert distance_m(*ahead((HERE, THERE), *beside)[0], *beside) == pytest.approx(
        off_m((HERE, THERE), *beside), rel=0.01
    )
    assert ahead((HERE, ALONG, THERE), *THERE) == (pytest.approx(THERE), THERE)
    assert ahead((HERE,), *THERE) == (HERE,)


def test_how_far_one_is_from_a_way() -> None:
    """From its nearest place, also between its corners."""
    assert off_m((HERE, THERE), *ALONG) < 1
    assert 250 < off_m((HERE, THERE), *ASIDE) < 330
    assert off_m((HERE,), *HERE) == 0
    assert is_stale(None, *HERE, 0.0)
    assert not is_stale(Route((HERE, THERE), 1, 1, 1_000.0), *ALONG, 1_100.0)
