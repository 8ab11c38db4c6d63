"""The dispatcher's live board: one stream per page, of rows that changed, positions and pins.

A board is read once for all who look at the same day of the same organisation. Updates come from the bus; every three
seconds the store is asked whether anything was missed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tracking_server.accounts.gate import PAGE_HEADERS, RETRY_AFTER_S, Gate, language_of
from tracking_server.clock import Clock
from tracking_server.domain.board import doing, group_of
from tracking_server.domain.job import State
from tracking_server.domain.updates import JobChanged, Notice, Position
from tracking_server.push import wire
from tracking_server.push.reader import Reader
from tracking_server.store.accounts import Session
from tracking_server.store.board import Board, Day, read_board, read_fingerprint
from tracking_server.store.engine import Unavailable, snapshot

log = structlog.get_logger()
COMPARE_EVERY_S = 3.0
TELL_EVERY_S = 1.0  # what changes more often is told together
LOOK_EVERY_S = 2.0  # a session that was ended is noticed within it, and so is a lost update
WORDS_EVERY_S = 15.0  # ages and lateness grow without anything happening
PING_EVERY_S = 15.0
EVERY_S_PER_LINE = 0.002  # ten times what reading and wording a line takes: a big board costs a tenth of a core
PIECE_CHARACTERS = 32 * 1024  # of an update that is written at once: its reader may take nothing, or others wait
MOST_STREAMS = 500  # in one process; a page that gets none reads itself anew
Rows = list[tuple[str, str]]


class Looking(Hashable, Protocol):
    """What a page looks at."""

    @property
    def day(self) -> Day: ...

    @property
    def job_id(self) -> UUID | None: ...


class Pages(Protocol):
    """Makes rows out of boards; the page itself is made of the same."""

    def looking(self, request: Request, session: Session) -> Awaitable[Any]: ...

    def rows(self, session: Session, looking: Any, language: str, board: Board) -> Awaitable[Mapping[str, Rows]]: ...


@dataclass(frozen=True, slots=True)
class Painted:
    """Rows as all see them who look at the same in the same language and role, and when they were put into words."""

    at_s: float
    lists: Mapping[str, Rows]


@dataclass(eq=False)
class WatchedBoard:
    """One day of one organisation that somebody looks at. Viewers look when their event is set: latest wins."""

    organisation_id: UUID
    day: Day
    viewers: set[asyncio.Event] = field(default_factory=set)
    board: Board | None = None
    positions: dict[UUID, Position] = field(default_factory=dict)
    fingerprint: tuple[Any, ...] | None = None
    painted: dict[Hashable, Painted] = field(default_factory=dict)
    places: dict[str, dict[str, Any]] | None = None
    revision: int = 0
    stale: bool = True
    read_s: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    painting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def every_s(self) -> float:
        """How often it may be read and put into words."""
        board = self.board
        return (
            0.0 if board is None else EVERY_S_PER_LINE * (len(board.jobs) + len(board.others) + len(board.technicians))
        )

    def wake(self) -> None:
        for viewer in self.viewers:
            viewer.set()


class WatchedBoards:
    """All boards with viewers in this process."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._boards: dict[tuple[UUID, Day], WatchedBoard] = {}

    async def run(self) -> None:
        """Compare with the store until cancelled."""
        while True:
            await asyncio.sleep(COMPARE_EVERY_S)
            for watched in list(self._boards.values()):
                try:
                    await self._compare(watched)
                except Unavailable as error:
                    log.warning("boards_not_compared", error=error.reason)

    @contextmanager
    def watch(self, organisation_id: UUID, day: Day) -> Iterator[tuple[WatchedBoard, asyncio.Event]]:
        """Watch a board as one viewer; the event is set whenever there may be something new."""
        watched = self._boards.setdefault((organisation_id, day), WatchedBoard(organisation_id, day))
        viewer = asyncio.Event()
        viewer.set()
        watched.viewers.add(viewer)
        try:
            yield watched, viewer
        finally:
            watched.viewers.discard(viewer)
            if not watched.viewers:
                self._boards.pop((organisation_id, day), None)

    async def board(self, watched: WatchedBoard) -> Board:
        """The board as it is now, a big one as it was some seconds ago; one read of the store, however many ask."""
        async with watched.reading:
            rests = time.monotonic() - watched.read_s < watched.every_s
            if watched.board is None or (watched.stale and not rests):
                watched.read_s = time.monotonic()
                watched.stale = False  # what is heard from here on is perhaps not in what is read
                try:
                    async with snapshot(self._engine, watched.organisation_id) as connection:
                        now_s = self._clock.now()
                        watched.fingerprint = await read_fingerprint(connection, watched.organisation_id, watched.day)
                        watched.board = await read_board(connection, watched.organisation_id, watched.day, now_s)
                except BaseException:
                    watched.stale = True
                    raise
                watched.revision += 1
                watched.painted.clear()
                watched.places = None
        return watched.board

    def hear(self, update: Notice) -> None:
        """Take one update from the bus."""
        for watched in self._boards.values():
            if watched.organisation_id != update.organisation_id:
                continue
            if isinstance(update, JobChanged):
                watched.stale = True
            elif isinstance(update, Position):
                known = watched.positions.get(update.technician_id)
                if known is not None and known.version >= update.version:
                    continue
                watched.positions[update.technician_id] = update
                watched.places = None
            else:
                continue
            watched.wake()

    async def _compare(self, watched: WatchedBoard) -> None:
        async with snapshot(self._engine, watched.organisation_id) as connection:
            fingerprint = await read_fingerprint(connection, watched.organisation_id, watched.day)
        if fingerprint != watched.fingerprint:
            watched.fingerprint = fingerprint
            watched.stale = True
            watched.wake()


class BoardStreams:
    """Serves `/board/updates`."""

    def __init__(self, gate: Gate, boards: WatchedBoards, pages: Pages, clock: Clock) -> None:
        self._gate = gate
        self._boards = boards
        self._pages = pages
        self._clock = clock
        self._stopping = asyncio.Event()
        self._open = 0

    def stop(self) -> None:
        """End the open streams: pages connect again, to another process or a later one."""
        self._stopping.set()

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What changes on the board, until the session or the reader is gone."""
        request = Request(scope)
        try:
            session = await self._gate.session(request.headers)
            if self._gate.is_foreign(request) or session is None:
                refused = PlainTextResponse("sign in at /board/sign-in", 403 if session else 401, PAGE_HEADERS)
                await refused(scope, receive, send)
                return
            if self._open >= MOST_STREAMS:
                raise Unavailable("too many boards are open here")
            looking = await self._pages.looking(request, session)
        except Unavailable as error:
            later = {**PAGE_HEADERS, "retry-after": str(RETRY_AFTER_S)}
            await PlainTextResponse(str(error), 503, later)(scope, receive, send)
            return
        language, token = language_of(request, session), self._gate.token(request.headers)
        self._open += 1
        try:
            with self._boards.watch(session.staff.organisation_id, looking.day) as (watched, news):
                reader = Reader(scope, receive, send)
                stream = _Stream(self._gate, self._boards, self._pages, self._clock, watched, news, reader)
                await reader.hear(stream.run(session, token, looking, language), self._stopping)
        finally:
            self._open -= 1


class _Stream:
    """One reader's stream. Whether they may still read is asked before everything that is sent."""

    def __init__(
        self,
        gate: Gate,
        boards: WatchedBoards,
        pages: Pages,
        clock: Clock,
        watched: WatchedBoard,
        news: asyncio.Event,
        reader: Reader,
    ) -> None:
        self._gate = gate
        self._boards = boards
        self._pages = pages
        self._clock = clock
        self._watched = watched
        self._news = news
        self._reader = reader
        self._rows: dict[str, dict[str, str]] = {}
        self._positions: dict[str, dict[str, Any]] = {}
        self._pins: list[dict[str, Any]] = []
        self._revision = -1
        self._worded_s = 0.0
        self._written_s = 0.0

    async def run(self, session: Session, token: str, looking: Looking, language: str) -> None:
        """Send the present board, then every change of it."""
        await self._reader.open()
        self._written_s = time.monotonic()
        while True:
            try:
                if not await self._gate.people.still(session, token):
                    await self._write(wire.end(), last=True)
                    return
                await self._tell(session, looking, language)
            except Unavailable:
                pass  # the page keeps what it shows; the next look brings the rest
            if looking.day.is_today and self._clock.now() >= looking.day.ends_s:
                await self._write(b"", last=True)  # the page connects again, and it is another day
                return
            if time.monotonic() - self._written_s >= PING_EVERY_S:
                await self._write(wire.PING)
            self._news.clear()
            await asyncio.sleep(TELL_EVERY_S)
            try:
                async with asyncio.timeout(LOOK_EVERY_S - TELL_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _tell(self, session: Session, looking: Looking, language: str) -> None:
        board = await self._boards.board(self._watched)
        now = time.monotonic()
        if self._revision != self._watched.revision or now - self._worded_s >= WORDS_EVERY_S:
            changed = self._changed(await self._lists(session, looking, language, board))
            if changed:
                await self._event("rows", changed)
            pins = self._pins_of(board, looking)
            if pins != self._pins:
                self._pins = pins
                await self._event("pins", pins)
            self._revision, self._worded_s = self._watched.revision, now
        moved = self._moved(board)
        if moved:
            await self._event("positions", moved)

    async def _lists(self, session: Session, looking: Looking, language: str, board: Board) -> Mapping[str, Rows]:
        key, painted = (session.staff.role, language, looking), self._watched.painted
        async with self._watched.painting:  # who wants the same waits for it
            known, now = painted.get(key), time.monotonic()
            if known is not None and now - known.at_s < max(LOOK_EVERY_S, self._watched.every_s):
                return known.lists
            lists = await self._pages.rows(session, looking, language, board)
            if board is self._watched.board:
                painted[key] = Painted(now, lists)
        return lists

    def _changed(self, lists: Mapping[str, Rows]) -> dict[str, Any]:
        """The lists that changed: the names of all rows in their order, and the rows that are new."""
        changed = {}
        for name, rows in lists.items():
            known = self._rows.get(name, {})
            fresh = {row: html for row, html in rows if known.get(row) != html}
            order = [row for row, _ in rows]
            if fresh or order != list(known):
                changed[name] = {"order": order, "rows": fresh}
                self._rows[name] = dict(rows)
        return changed

    def _moved(self, board: Board) -> list[dict[str, Any]]:
        """Technicians at work whose marker changed; one without a place any more has only a name."""
        if self._watched.places is None:
            self._watched.places = _places(self._watched, board, self._clock.now())
        now_s, found = self._clock.now(), self._watched.places
        moved = [one for key, one in found.items() if self._positions.get(key) != one]
        gone = [{"id": key} for key in self._positions if key not in found]
        self._positions = found
        return [
            {**one, "age_s": round(max(now_s - one.pop("at_s"), 0.0), 1)} for one in (dict(one) for one in moved)
        ] + gone

    def _pins_of(self, board: Board, looking: Looking) -> list[dict[str, Any]]:
        """The doors of jobs that are not over."""
        now_s = self._clock.now()
        over = (State.completed, State.cancelled, State.no_access)
        return [
            {
                "id": str(line.job.id),
                "lon": round(line.job.geofence.lon, 6),
                "lat": round(line.job.geofence.lat, 6),
                "group": group_of(line.job, now_s).value,
                "name": line.customer,
                "chosen": line.job.id == looking.job_id,
            }
            for line in board.jobs
            if line.job.state not in over or line.job.id == looking.job_id
        ]

    async def _event(self, name: str, facts: Any) -> None:
        """Piece by piece: of what its reader does not take, no more than one is held."""
        held, size = [f"event: {name}\ndata: "], 0
        for part in json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).iterencode(facts):
            held.append(part)
            size += len(part)
            if size >= PIECE_CHARACTERS:
                await self._write("".join(held).encode())
                held, size = [], 0
                await asyncio.sleep(0)
        held.append("\n\n")
        await self._write("".join(held).encode())

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        await self._reader.write(data, last=last)
        self._written_s = time.monotonic()


def _places(watched: WatchedBoard, board: Board, now_s: float) -> dict[str, dict[str, Any]]:
    """Where technicians at work are, by their ids: from the board, or from what was heard since."""
    stops = board.stops()
    found: dict[str, dict[str, Any]] = {}
    for line in board.technicians:
        where = line.where
        heard = watched.positions.get(where.id)
        newer = heard is not None and (where.position_s is None or heard.time_s > where.position_s)
        at_s = heard.time_s if newer and heard else where.position_s
        lon, lat = (heard.lon, heard.lat) if newer and heard else (where.lon, where.lat)
        if where.shift is None or at_s is None or lon is None or lat is None or at_s < where.shift.started_s:
            continue
        what, _ = doing(where.shift, stops.get(where.id, []), now_s)
        place = {"lon": round(lon, 6), "lat": round(lat, 6), "doing": what.value, "at_s": at_s}
        found[str(where.id)] = {"id": str(where.id), "name": where.name, **place}
    return found
