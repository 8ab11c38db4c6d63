"""`GET /v1/jobs/ID/route`: the way over the roads from where a technician is to one of their jobs, by car."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server.domain.job import OPEN, Job
from tracking_server.ingest.devices import Devices
from tracking_server.routing.valhalla import RoadEngine, RoadEngineAway, Unroutable, encode_shape
from tracking_server.store.devices import Device
from tracking_server.store.engine import transaction
from tracking_server.store.jobs import read_job

log = structlog.get_logger()
# Of one phone, in each process: it asks when it is 100 m off the way, which at 120 km/h is 20 times.
OFTEN = RateLimitItemPerMinute(30)
RETRY_AFTER_S = 60
HEADERS = {"cache-control": "private, no-store"}

Latitude = Annotated[float, Query(ge=-90, le=90)]
Longitude = Annotated[float, Query(ge=-180, le=180)]


class Ways:
    """Finds them; `roads` is None where there is no road engine."""

    def __init__(self, engine: AsyncEngine, devices: Devices, roads: RoadEngine | None) -> None:
        self._engine = engine
        self._devices = devices
        self._roads = roads
        self._asked = MovingWindowRateLimiter(MemoryStorage())

    def router(self) -> APIRouter:
        """Its one route."""
        router = APIRouter()

        @router.get("/v1/jobs/{job_id}/route")
        async def way(
            job_id: UUID, lat: Latitude, lon: Longitude, authorization: Annotated[str, Header()] = ""
        ) -> JSONResponse:
            """The way's shape (an encoded polyline of six decimals), how long it takes, and how long it is."""
            device = await self._devices.authenticate(authorization)
            if device is None:
                return _refusal(401, "unknown device key: pair this phone again")
            if not await self._asked.hit(OFTEN, str(device.id)):
                return _refusal(429, "too often: keep the way that you have", RETRY_AFTER_S)
            job = await self._find(device, job_id)
            if job is None:
                return _refusal(404, "no open job of yours")
            return await self._way((lon, lat), job)

        return router

    async def _find(self, device: Device, job_id: UUID) -> Job | None:
        async with transaction(self._engine, device.organisation_id) as connection:
            job = await read_job(connection, device.organisation_id, job_id)
        mine = job is not None and job.technician_id == device.technician_id and job.state in OPEN
        return job if mine else None

    async def _way(self, here: tuple[float, float], job: Job) -> JSONResponse:
        if self._roads is None:
            return _refusal(503, "there is no road engine here", RETRY_AFTER_S)
        door = job.geofence.entrance or (job.geofence.lon, job.geofence.lat)
        try:
            route = await self._roads.route([here, door])
        except Unroutable as error:
            return _refusal(404, f"no road leads there: {error}")
        except RoadEngineAway as error:
            log.warning("road_engine_away", error=str(error))
            return _refusal(503, "the road engine does not answer", RETRY_AFTER_S)
        told = {
            "shape": encode_shape(route.shape),
            "duration_s": round(route.duration_s),
            "length_m": round(route.length_m),
        }
        return JSONResponse(told, headers=HEADERS)


def _refusal(status: int, error: str, retry_after_s: int | None = None) -> JSONResponse:
    headers = HEADERS if retry_after_s is None else HEADERS | {"retry-after": str(retry_after_s)}
    return JSONResponse({"error": error}, status, headers)
