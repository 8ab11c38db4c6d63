"""The only composition root: every part is made here and handed to those who need it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracking_server import words
from tracking_server.accounts.gate import Gate
from tracking_server.accounts.pages import AccountPages
from tracking_server.accounts.people import People
from tracking_server.accounts.tries import Tries
from tracking_server.basemap.archive import RegionFile, read_archive
from tracking_server.basemap.view import REGION_FACTS_PATH, REGION_PATH, basemap_of
from tracking_server.clock import Clock, clock_from
from tracking_server.dispatch.board.actions import Actions
from tracking_server.dispatch.board.pages import MAP_FILES, BoardPages
from tracking_server.ingest.devices import Devices
from tracking_server.ingest.files import FilesEndpoint
from tracking_server.ingest.jobs import JobsEndpoint
from tracking_server.ingest.phones import Phones
from tracking_server.ingest.room import Room, come_again_s
from tracking_server.ingest.routes import FixesEndpoint, pairing_router
from tracking_server.ingest.stream import PhoneStream
from tracking_server.ingest.ways import Ways
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.notify.callbacks import Callbacks
from tracking_server.openapi import PATH, WEBSOCKET, describe
from tracking_server.push.customer import CustomerPages
from tracking_server.push.dispatcher import BoardStreams, WatchedBoards
from tracking_server.push.watched import WatchedJobs
from tracking_server.routing.valhalla import RoadEngine
from tracking_server.settings import Settings
from tracking_server.store.attachments import Attachments
from tracking_server.store.checks import can_answer
from tracking_server.store.engine import Unavailable, create_engine
from tracking_server.view_files import ViewFiles

log = structlog.get_logger()
# Fixes, phones' other requests, customers' pages and the staff have connections of their own: a board of thousands, or
# a hundred uploads, keep no fix and no page waiting. 16 in all, with two flushers; PostgreSQL allows 100 by default.
CONNECTIONS_OF_EACH = 4
BESIDE_FLUSHERS = 2  # for keys and revocations
FILES = "/v1/files/"  # which are read in pieces, and each to its bound
MOST_REST_BYTES = 128 * 1024  # of any other body: twice what the longest form may have


@dataclass(frozen=True, slots=True)
class HotPath:
    """One of the paths that carry nearly all requests: `/j/{link_id}/updates`, and who answers there."""

    method: str
    path: str
    answer: ASGIApp


class HotPaths:
    """Dispatches the paths that carry nearly all requests before FastAPI sees them."""

    def __init__(
        self, hot: Sequence[HotPath], rest: FastAPI, phones: Phones, pages: CustomerPages, boards: BoardStreams
    ) -> None:
        self.hot = hot
        self.rest = rest
        self._exact = {(one.method, one.path): one.answer for one in hot if "{" not in one.path}
        self._patterns = [(one.method, compile_path(one.path)[0], one.answer) for one in hot if "{" in one.path]
        self._phones = phones
        self._pages = pages
        self._boards = boards

    def stop(self) -> None:
        """End what would never end by itself, before the server waits for its connections."""
        self._phones.stop()
        self._pages.stop()
        self._boards.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path, method = scope["path"], scope.get("method", WEBSOCKET)
            answer = self._exact.get((method, path))
            if answer is not None:
                await answer(scope, receive, send)
                return
            for wanted, pattern, answer in self._patterns:
                found = pattern.match(path)
                if found and method == wanted:
                    scope["path_params"] = found.groupdict()
                    await answer(scope, receive, send)
                    return
            if not path.startswith(FILES):
                receive = _no_more_than(MOST_REST_BYTES, receive)
        await self.rest(scope, receive, send)


def _no_more_than(most_bytes: int, receive: Receive) -> Receive:
    """The framework reads a body to its end before it looks at it."""
    left = most_bytes

    async def hear() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, "the body is too large")
        return message

    return hear


def _ended(task: asyncio.Task[None]) -> None:
    """Without one of its tasks the service is half dead but answers: it stops, and its supervisor starts it anew."""
    if task.cancelled():
        return
    error = task.exception()
    log.critical("task_ended", task=task.get_name(), error=type(error).__name__, exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)


def create_app(settings: Settings, clock: Clock | None = None) -> HotPaths:
    """The service. Its parts live as long as the ASGI lifespan."""
    clock = clock or clock_from(settings.clock)
    map_file = Path(settings.basemap) if settings.basemap else None
    archive = read_archive(map_file) if map_file else None
    fixes_engine = create_engine(settings.database_url, pool_size=settings.flushers + BESIDE_FLUSHERS)
    phones_engine = create_engine(settings.database_url, pool_size=CONNECTIONS_OF_EACH)
    pages_engine = create_engine(settings.database_url, pool_size=CONNECTIONS_OF_EACH)
    staff_engine = create_engine(settings.database_url, pool_size=CONNECTIONS_OF_EACH)
    bus = Bus(settings.redis_url)
    files = Attachments(Path(settings.attachments)) if settings.attachments else None
    journey = Journey(fixes_engine, bus, clock, settings.flushers)
    devices = Devices(fixes_engine, clock)
    roads = RoadEngine(settings.road_engine_url) if settings.road_engine_url else None
    boards = WatchedBoards(staff_engine, clock)
    phones = Phones(fixes_engine, bus.publish, devices.forget)
    watched = WatchedJobs(pages_engine, bus, clock, also=(boards.hear, phones.hear))
    basemap = basemap_of(archive, settings.tile_url, settings.tile_attribution)
    view_files = ViewFiles(words.VIEW)
    pages = CustomerPages(
        pages_engine,
        bus,
        watched,
        clock,
        view_files,
        public_url=settings.public_url,
        basemap=basemap,
        files=files,
    )

    tries = Tries(settings.redis_url)
    gate = Gate(People(staff_engine, tries, clock), settings.public_url)
    board = BoardPages(
        gate,
        staff_engine,
        Actions(staff_engine, bus, clock),
        clock,
        settings.public_url,
        {**basemap.data_attributes, **{f"data-{name}": view_files.url(file) for name, file in MAP_FILES.items()}},
        basemap.image_sources,
        files,
    )

    running: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running[:] = [
            asyncio.create_task(journey.run(), name="journey"),
            asyncio.create_task(watched.run(), name="watched"),
            asyncio.create_task(pages.run(), name="pages"),
            asyncio.create_task(boards.run(), name="boards"),
            asyncio.create_task(phones.run(), name="phones"),
        ]
        for task in running:
            task.add_done_callback(_ended)
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if roads is not None:
                await roads.close()
            await bus.close()
            for engine in (fixes_engine, phones_engine, pages_engine, staff_engine):
                await engine.dispose()

    app = FastAPI(title="Doorstep", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(pairing_router(devices, tries))
    app.include_router(Ways(phones_engine, devices, roads).router())
    app.router.routes.append(JobsEndpoint(phones_engine, bus, devices, clock).route())
    app.router.routes.append(FilesEndpoint(phones_engine, bus, devices, clock, files).route())
    app.router.routes.extend(
        [*pages.routes(), view_files.route(), *Callbacks(staff_engine, clock, settings, view_files).routes()]
    )
    region = RegionFile(map_file, archive, basemap)
    app.router.routes.extend([Route(REGION_PATH, region.serve), Route(REGION_FACTS_PATH, region.tell)])
    app.router.routes.extend([*AccountPages(gate, settings.public_url).routes(), *board.routes()])

    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=503, headers={"retry-after": str(come_again_s())})

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: Exception) -> Response:
        """Says what is wrong and where, but does not repeat what was sent: it may be a code, or no text at all."""
        assert isinstance(error, RequestValidationError)  # noqa: S101 (for which it is called)
        said = "; ".join(f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors())
        return JSONResponse({"error": said}, status_code=422)

    @app.get("/healthz")
    async def healthy() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> Response:
        """The process can do its work: its tasks live and the store answers. Redis is only the fast lane."""
        tasks = not any(task.done() for task in running)
        store, redis = await can_answer(staff_engine), await bus.ping()
        good = store and tasks
        return JSONResponse({"store": store, "redis": redis, "tasks": tasks}, status_code=200 if good else 503)

    streams = BoardStreams(gate, boards, board, clock)
    room = Room()
    fixes = FixesEndpoint(journey, devices, room, clock)
    hot = [
        HotPath("POST", "/v1/fixes", fixes),
        HotPath(WEBSOCKET, "/v1/stream", PhoneStream(journey, devices, phones, room, clock)),
        HotPath("GET", "/j/{link_id}/updates", pages.stream),
        HotPath("GET", "/t/{token}/updates", pages.stream),
        HotPath("GET", "/board/updates", streams.stream),
    ]
    described = msgspec.json.encode(describe(app))

    async def document(_: Request) -> Response:
        return Response(described, media_type="application/json")

    app.router.routes.append(Route(PATH, document))
    return HotPaths(hot, app, phones, pages, streams)
