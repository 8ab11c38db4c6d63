"""The way to a job over the roads: asked of the service now and then, and kept for where there is no network."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import math
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from tech_app.core.clock import Clock
from tech_app.core.geo import EARTH_RADIUS_M, distance_m

ANSWER_WITHIN_S = 15.0
MOST_ANSWER_BYTES = 1_000_000
MOST_PLACES = 100_000
DIGITS = 6  # decimals of a degree in a shape
OFF_M = 100.0  # farther from the way than this, another is asked for
AFTER_S = 300.0  # and after this, as roads fill and empty
NOT_BEFORE_S = 15.0  # between two questions, whatever the answer
MOST_KEPT = 30  # jobs whose ways are kept

LatLon = tuple[float, float]


class BadShape(Exception):
    """This is no encoded polyline."""


@dataclass(frozen=True, slots=True)
class Route:
    """From where the technician was to the job, and how long it takes by car. `asked_s` is when it was asked for."""

    way: tuple[LatLon, ...]
    duration_s: float
    length_m: float
    asked_s: float = 0.0


class Routes:
    """The ways to this technician's jobs. `folder` is its own."""

    def __init__(self, folder: Path, url: str, key: str, tls: ssl.SSLContext | None, clock: Clock) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parts = urlsplit(url)
        self._key = key
        self._tls = tls
        self._clock = clock
        self._not_before: dict[str, float] = {}
        self._read: dict[str, Route | None] = {}

    def known(self, job_id: str) -> Route | None:
        """The last way to this job that was heard of."""
        if job_id not in self._read:
            self._read[job_id] = _recall(self._file(job_id))
        return self._read[job_id]

    async def look(self, job_id: str, lat: float, lon: float) -> Route | None:
        """The way to draw now, from here to the job: the known one while it is good, else another where one can be
        had. Call it while the map is seen, as often as one likes."""
        route = self.known(job_id)
        now_s = self._clock.since_boot()
        if not is_stale(route, lat, lon, self._clock.now()) or now_s < self._not_before.get(job_id, 0.0):
            return route
        self._not_before[job_id] = now_s + NOT_BEFORE_S
        try:
            body, pause_s = await asyncio.to_thread(self._ask, job_id, lat, lon)
        except (OSError, http.client.HTTPException):
            return route
        self._not_before[job_id] = now_s + max(NOT_BEFORE_S, pause_s)
        return route if body is None else self._keep(job_id, body) or route

    def forget_others(self, job_ids: set[str]) -> None:
        """Throw the ways to all other jobs away."""
        self._read.clear()
        mine = {self._file(job_id).name for job_id in job_ids}
        for file in self._folder.glob("*.json"):
            if file.name not in mine:
                file.unlink(missing_ok=True)

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{quote(job_id, safe='')}.json"

    def _ask(self, job_id: str, lat: float, lon: float) -> tuple[bytes | None, float]:
        """The answer, or how long to leave it in peace."""
        host, port = self._parts.hostname or "", self._parts.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
            if self._tls is None
            else http.client.HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=self._tls)
        )
        path = f"{self._parts.path.rstrip('/')}/v1/jobs/{quote(job_id, safe='')}/route?lat={lat:.6f}&lon={lon:.6f}"
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self._key}"})
            response = connection.getresponse()
            body = response.read(MOST_ANSWER_BYTES)
            if response.status == 200:
                return body, 0.0
            pause = response.getheader("retry-after") or ""
            return None, float(pause) if pause.isdecimal() else AFTER_S
        finally:
            connection.close()

    def _keep(self, job_id: str, body: bytes) -> Route | None:
        asked_s = self._clock.now()
        try:
            said = json.loads(body)
            route = _read(said, asked_s)
        except (ValueError, TypeError, KeyError, AttributeError, BadShape):
            return None
        if len(route.way) < 2:
            return None
        self._read[job_id] = route
        file = self._file(job_id)
        try:
            new = file.with_suffix(".new")
            new.write_text(json.dumps({**said, "asked_s": asked_s}))
            new.replace(file)
            oldest = sorted(self._folder.glob("*.json"), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]
            for one in oldest:
                one.unlink(missing_ok=True)
        except OSError:
            return route  # a full phone: it is drawn all the same
        return route


def is_stale(route: Route | None, lat: float, lon: float, now_s: float) -> bool:
    """Whether another way should be asked for: none is known, it is old, or the technician left it."""
    return route is None or abs(now_s - route.asked_s) > AFTER_S or off_m(route.way, lat, lon) > OFF_M


def ahead(way: tuple[LatLon, ...], lat: float, lon: float) -> tuple[LatLon, ...]:
    """What of a way is still to go, from its place that is nearest to here."""
    if len(way) < 2:
        return way
    flat = _flat(way, lat, lon)
    nearest = min(range(len(flat) - 1), key=lambda i: _to_segment(flat[i], flat[i + 1])[0])
    share = _to_segment(flat[nearest], flat[nearest + 1])[1]
    (up, there), (to_up, to_there) = way[nearest], way[nearest + 1]
    return (up + share * (to_up - up), there + share * (to_there - there)), *way[nearest + 1 :]


def off_m(way: tuple[LatLon, ...], lat: float, lon: float) -> float:
    """How far a place is from a way, in metres."""
    if len(way) < 2:
        return distance_m(lat, lon, *way[0]) if way else math.inf
    return min(_to_segment(a, b)[0] for a, b in itertools.pairwise(_flat(way, lat, lon)))


def _flat(way: tuple[LatLon, ...], lat: float, lon: float) -> list[tuple[float, float]]:
    """Metres to the east and to the north of here."""
    per_degree = math.radians(1) * EARTH_RADIUS_M
    shrink = math.cos(math.radians(lat))
    return [((there - lon) * per_degree * shrink, (up - lat) * per_degree) for up, there in way]


def _to_segment(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """How far the origin is from a segment, and how far along it the nearest place is (0 to 1)."""
    along_x, along_y = b[0] - a[0], b[1] - a[1]
    square = along_x**2 + along_y**2
    share = max(0.0, min(1.0, -(a[0] * along_x + a[1] * along_y) / square)) if square else 0.0
    return math.hypot(a[0] + share * along_x, a[1] + share * along_y), share


def decode_shape(encoded: str) -> tuple[LatLon, ...]:
    """An encoded polyline (Google's algorithm, of `DIGITS` decimals) as latitudes and longitudes. Raises `BadShape`."""
    places: list[LatLon] = []
    values = [0, 0]
    which = shift = so_far = 0
    for sign in encoded:
        part = ord(sign) - 63
        if not 0 <= part < 64 or shift > 60 or len(places) > MOST_PLACES:
            raise BadShape(BadShape.__doc__)
        so_far |= (part & 31) << shift
        shift += 5
        if part >= 32:
            continue
        values[which] += ~(so_far >> 1) if so_far & 1 else so_far >> 1
        shift = so_far = 0
        which = 1 - which
        if which == 0:
            lat, lon = values[0] / 10**DIGITS, values[1] / 10**DIGITS
            if not (abs(lat) <= 90 and abs(lon) <= 180):
                raise BadShape(BadShape.__doc__)
            places.append((lat, lon))
    if which or shift:
        raise BadShape(BadShape.__doc__)
    return tuple(places)


def _recall(file: Path) -> Route | None:
    try:
        said = json.loads(file.read_text())
        return _read(said, float(said["asked_s"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BadShape):
        return None


def _read(said: dict[str, object], asked_s: float) -> Route:
    duration_s, length_m = said["duration_s"], said["length_m"]
    if not isinstance(duration_s, int | float) or not isinstance(length_m, int | float):
        raise TypeError("a way without a length")
    return Route(decode_shape(str(said["shape"])), float(duration_s), float(length_m), asked_s)
