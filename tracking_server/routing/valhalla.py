"""A client of Valhalla (https://valhalla.github.io/valhalla/): the way over the roads, and how long it takes.

Never asked between a fix and its acknowledgement: an engine may be slow, or away.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

LonLat = tuple[float, float]

ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 1.0
MOST_PAIRS = 2_500  # of one matrix, where the engine's own limit lies unless it is configured otherwise
BESIDE_ROAD_M = 300  # a stop farther from every road is none; left alone, the engine looks for one 35 km around
SHAPE_DIGITS = 6  # decimals of a degree in a shape


class Costing(enum.StrEnum):
    """How somebody travels."""

    auto = "auto"
    bicycle = "bicycle"
    pedestrian = "pedestrian"


class Unroutable(Exception):
    """No road leads from one stop to the next, or one of them is outside the engine's region."""


class RoadEngineAway(Exception):
    """The road engine does not answer, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way over the roads, in the order of travel."""

    shape: tuple[LonLat, ...]
    duration_s: float
    length_m: float


@dataclass(frozen=True, slots=True)
class Matrix:
    """From every source (row) to every target (column); None where no road leads."""

    durations_s: tuple[tuple[float | None, ...], ...]
    lengths_m: tuple[tuple[float | None, ...], ...]


class RoadEngine:
    """One engine. Use it as `async with RoadEngine(url) as roads`."""

    def __init__(self, url: str) -> None:
        timeout = httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S)
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> RoadEngine:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def route(self, stops: Sequence[LonLat], costing: Costing = Costing.auto) -> Route:
        """The way through all stops. Raises `Unroutable` or `RoadEngineAway`."""
        question = {
            "locations": [_place(stop) for stop in stops],
            "costing": costing.value,
            "directions_type": "none",
            "units": "kilometers",
        }
        answer = await self._ask("/route", question)
        try:
            trip = answer["trip"]
            shape = [place for leg in trip["legs"] for place in decode_shape(leg["shape"])]
            summary = trip["summary"]
            return Route(_without_repeats(shape), float(summary["time"]), float(summary["length"]) * 1000)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RoadEngineAway(f"the road engine's answer has no route: {error!r}") from error

    async def matrix(
        self, sources: Sequence[LonLat], targets: Sequence[LonLat], costing: Costing = Costing.auto
    ) -> Matrix:
        """Times and lengths between all of them, in as many questions as the engine's limit asks for. Raises
        `Unroutable` when a place is outside the region, or `RoadEngineAway`."""
        rows = max(1, MOST_PAIRS // max(1, len(targets)))
        durations: list[tuple[float | None, ...]] = []
        lengths: list[tuple[float | None, ...]] = []
        for first in range(0, len(sources), rows):
            question = {
                "sources": [_place(source) for source in sources[first : first + rows]],
                "targets": [_place(target) for target in targets],
                "costing": costing.value,
                "units": "kilometers",
                "verbose": False,
            }
            answer = await self._ask("/sources_to_targets", question)
            try:
                table = answer["sources_to_targets"]
                durations += [_numbers(row, 1.0) for row in table["durations"]]
                lengths += [_numbers(row, 1000.0) for row in table["distances"]]
            except (KeyError, TypeError, ValueError) as error:
                raise RoadEngineAway(f"the road engine's answer has no matrix: {error!r}") from error
        return Matrix(tuple(durations), tuple(lengths))

    async def nearest(self, places: Sequence[LonLat], costing: Costing = Costing.auto) -> tuple[LonLat | None, ...]:
        """The nearest place on a road to each; None where there is none. Raises `RoadEngineAway`."""
        question = {"locations": [_place(place) for place in places], "costing": costing.value, "verbose": False}
        answer = await self._ask("/locate", question)
        try:
            return tuple(_on_road(found) for found in answer)
        except (KeyError, TypeError, ValueError) as error:
            raise RoadEngineAway(f"the road engine's answer has no places: {error!r}") from error

    async def answers(self) -> bool:
        """Whether the engine is there."""
        try:
            return (await self._client.get("/status")).is_success
        except httpx.HTTPError:
            return False

    async def _ask(self, path: str, question: dict[str, Any]) -> Any:
        try:
            response = await self._client.post(path, json=question)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RoadEngineAway(f"the road engine does not answer: {error!r}") from error
        if response.is_success:
            return answer
        told = answer.get("error", "") if isinstance(answer, dict) else ""
        if response.is_client_error and told:
            raise Unroutable(str(told))
        raise RoadEngineAway(f"the road engine answers {response.status_code} {told}".rstrip())


def decode_shape(encoded: str) -> list[LonLat]:
    """An encoded polyline (Google's algorithm, of `SHAPE_DIGITS` decimals) as longitudes and latitudes."""
    places: list[LonLat] = []
    values = [0, 0]  # latitude first
    which = shift = so_far = 0
    for character in encoded:
        part = ord(character) - 63
        so_far |= (part & 31) << shift
        shift += 5
        if part >= 32:
            continue
        values[which] += ~(so_far >> 1) if so_far & 1 else so_far >> 1
        shift = so_far = 0
        which = 1 - which
        if which == 0:
            places.append((values[1] / 10**SHAPE_DIGITS, values[0] / 10**SHAPE_DIGITS))
    return places


def encode_shape(places: Sequence[LonLat]) -> str:
    """The reverse of `decode_shape`."""
    encoded: list[str] = []
    before = (0, 0)
    for lon, lat in places:
        now = round(lat * 10**SHAPE_DIGITS), round(lon * 10**SHAPE_DIGITS)
        for value in (now[0] - before[0], now[1] - before[1]):
            rest = ~(value << 1) if value < 0 else value << 1
            while rest >= 32:
                encoded.append(chr((rest & 31 | 32) + 63))
                rest >>= 5
            encoded.append(chr(rest + 63))
        before = now
    return "".join(encoded)


def _place(stop: LonLat) -> dict[str, float]:
    return {"lon": stop[0], "lat": stop[1], "search_cutoff": BESIDE_ROAD_M}


def _on_road(found: dict[str, Any]) -> LonLat | None:
    edges = found["edges"] or []
    return (float(edges[0]["correlated_lon"]), float(edges[0]["correlated_lat"])) if edges else None


def _numbers(row: Sequence[float | None], unit: float) -> tuple[float | None, ...]:
    return tuple(None if value is None else float(value) * unit for value in row)


def _without_repeats(shape: Sequence[LonLat]) -> tuple[LonLat, ...]:
    """Each leg begins where the one before ended."""
    return tuple(place for i, place in enumerate(shape) if i == 0 or place != shape[i - 1])
