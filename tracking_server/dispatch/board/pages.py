"""The board over HTTP: `/board` and what its forms do. Complete without script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from tracking_server.accounts.forms import read_form, text
from tracking_server.accounts.gate import Gate, environment, frame, go, language_of, page_headers, said
from tracking_server.clock import Clock
from tracking_server.dispatch.board.actions import Actions, Wanted, Wrong, place_of
from tracking_server.dispatch.board.looking import Looking, looking_at, technician_of
from tracking_server.dispatch.board.render import HERE, Painter, Rows
from tracking_server.dispatch.jobs import NotFound, NotPossible
from tracking_server.domain.role import Deed
from tracking_server.invitation import as_picture, invitation
from tracking_server.outcome import Outdated
from tracking_server.store.accounts import Session
from tracking_server.store.attachments import Attachments
from tracking_server.store.board import Board, read_board, read_detail, read_firm, read_line, read_technician_lines
from tracking_server.store.engine import Contended, snapshot
from tracking_server.store.proofs import read_proofs

MAP_FILES = {
    "leaflet": "vendor/leaflet.js",
    "leaflet-css": "vendor/leaflet.css",
    "protomaps": "vendor/protomaps-leaflet.js",
}
MOST_PAINTED_AT_ONCE = 2  # whole boards: a big one holds a connection to the store, and some megabytes
STATIC = {".css": "text/css", ".js": "text/javascript"}
Do = Callable[[Request, Session, dict[str, str]], Awaitable[Response]]


class BoardPages:
    """Serves the board.

    `map_attributes` are the map's, with the addresses of `MAP_FILES`; `image_sources` other hosts of its tiles.
    """

    def __init__(
        self,
        gate: Gate,
        engine: AsyncEngine,
        actions: Actions,
        clock: Clock,
        public_url: str,
        map_attributes: Mapping[str, str],
        image_sources: Sequence[str] = (),
        files: Attachments | None = None,
    ) -> None:
        self._gate = gate
        self._engine = engine
        self._actions = actions
        self._clock = clock
        self._public_url = public_url
        self._map_attributes = map_attributes
        self._headers = page_headers(image_sources)
        self._files = files
        self._painting = asyncio.Semaphore(MOST_PAINTED_AT_ONCE)

    def routes(self) -> list[Route]:
        """Every path, with who may come in."""
        look = self._gate.for_staff

        def does(path: str, do: Do) -> Route:
            return Route(path, look(Deed.dispatch, self._act(do)), methods=["POST"])

        job, technician = "/board/jobs/{job_id:uuid}", "/board/technicians/{technician_id:uuid}"
        return [
            *(
                Route(f"/board/static/{file.name}", _file(file))
                for file in sorted(HERE.iterdir())
                if file.suffix in STATIC
            ),
            Route("/board", look(Deed.look, self._board), methods=["GET"]),
            Route("/board/technicians", look(Deed.look, self._technicians), methods=["GET"]),
            Route("/board/jobs/new", look(Deed.dispatch, self._new), methods=["GET"]),
            does("/board/jobs/new", self._create),
            Route(f"{job}/proof/{{proof_id:uuid}}", look(Deed.look, self._proof), methods=["GET"]),
            does(f"{job}/assign", self._assign),
            does(f"{job}/cancel", self._cancel),
            does(f"{job}/undo", self._undo),
            does(f"{job}/link", self._link),
            does(f"{job}/see", self._see),
            does("/board/technicians", self._create_technician),
            does(f"{technician}/pair", self._pair),
            does(f"{technician}/revoke", self._revoke),
            does("/board/notes/{item_id:uuid}/handled", self._handle_note),
            does("/board/messages/{item_id:uuid}/handled", self._handle_message),
            does("/board/messages/{item_id:uuid}/retry", self._retry_message),
        ]

    async def rows(self, session: Session, looking: Looking, language: str, board: Board) -> dict[str, Rows]:
        """What a page shows of a board that was read just now, row by row."""
        now_s = self._clock.now()
        detail = None
        if looking.job_id is not None:
            async with snapshot(self._engine, session.staff.organisation_id) as connection:
                detail = await read_detail(connection, session.staff.organisation_id, looking.job_id)
        return await Painter(session, looking, language, now_s).lists(board, detail)

    async def looking(self, request: Request, session: Session) -> Looking:
        """What a request looks at, in its firm's time zone."""
        organisation_id = session.staff.organisation_id
        async with snapshot(self._engine, organisation_id) as connection:
            _, time_zone = await read_firm(connection, organisation_id)
        return looking_at(request.query_params, time_zone, self._clock.now())

    async def _board(self, request: Request, session: Session) -> Response:
        async with self._painting:
            return await self._paint(request, session)

    async def _paint(self, request: Request, session: Session) -> Response:
        organisation_id, now_s = session.staff.organisation_id, self._clock.now()
        async with snapshot(self._engine, organisation_id) as connection:
            _, time_zone = await read_firm(connection, organisation_id)
            looking = looking_at(request.query_params, time_zone, now_s)
            board = await read_board(connection, organisation_id, looking.day, now_s)
            wanted = looking.job_id
            detail = None if wanted is None else await read_detail(connection, organisation_id, wanted)
        painter = Painter(session, looking, language_of(request, session), now_s)
        status = 404 if detail is None and looking.job_id is not None else 200
        page = await painter.page(board, detail, self._map_attributes)
        return HTMLResponse(page, status, self._headers)

    def _act(self, do: Do) -> Callable[[Request, Session], Awaitable[Response]]:
        """What an action cannot do is said with what is the case now."""

        async def act(request: Request, session: Session) -> Response:
            form = await read_form(request)
            try:
                return await do(request, session, form)
            except NotFound:
                return said(request, session, "missing", 404)
            except (NotPossible, Outdated, Contended):
                return await self._faster(request, session)

        return act

    async def _faster(self, request: Request, session: Session) -> Response:
        """Somebody was faster: the present state, and nothing done."""
        organisation_id, now_s = session.staff.organisation_id, self._clock.now()
        job_id: UUID | None = request.path_params.get("job_id")
        async with snapshot(self._engine, organisation_id) as connection:
            _, time_zone = await read_firm(connection, organisation_id)
            looking = looking_at(request.query_params, time_zone, now_s)
            line = None if job_id is None else await read_line(connection, organisation_id, job_id)
            board = await read_board(connection, organisation_id, looking.day, now_s)
        facts = {
            "line": line,
            "technician": technician_of(board, line) if line is not None else "",
            "looking": looking,
        }
        return self._answer(request, session, "faster.html", 409, **facts)

    async def _assign(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        seen = form.get("assignment", "")
        technician_id = _uuid(form.get("technician", ""))
        job_id: UUID = request.path_params["job_id"]
        seen_assignment = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else None
        await self._actions.assign(session.staff, job_id, technician_id, seen_assignment)
        return go(_back(form, job_id))

    async def _cancel(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        job_id: UUID = request.path_params["job_id"]
        await self._actions.cancel(session.staff, job_id, text(form, "reason"))
        return go(_back(form, job_id))

    async def _undo(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        job_id: UUID = request.path_params["job_id"]
        await self._actions.undo(session.staff, job_id, form.get("state"))
        return go(_back(form, job_id))

    async def _link(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        job_id: UUID = request.path_params["job_id"]
        token = await self._actions.link(session.staff, job_id, _uuid(form.get("contact", "")))
        facts = {"link": f"{self._public_url}/t/{token}", "back": _back(form, job_id)}
        return self._answer(request, session, "link.html", 200, **facts)

    async def _see(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        token = await self._actions.link(session.staff, request.path_params["job_id"], None, to_look=True)
        return go(f"/t/{token}")

    async def _proof(self, request: Request, session: Session) -> Response:
        """A photo or a signature of a visit, small."""
        organisation_id, proof_id = session.staff.organisation_id, request.path_params["proof_id"]
        async with snapshot(self._engine, organisation_id) as connection:
            proofs = await read_proofs(connection, organisation_id, request.path_params["job_id"])
        data = None
        if self._files is not None and any(proof.id == proof_id for proof in proofs):
            data = await asyncio.to_thread(self._files.open_shown, organisation_id, proof_id)
        if data is None:
            return said(request, session, "missing", 404)
        headers = self._headers | {"content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}
        return Response(data, media_type="image/jpeg", headers=headers)

    async def _new(self, request: Request, session: Session) -> Response:
        return await self._show_new(request, session, 200, {}, None)

    async def _create(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        wanted = Wanted(
            id=_own_id(form),
            title=text(form, "title"),
            address=text(form, "address", 300),
            customer=text(form, "customer", 100),
            email=text(form, "email", 254) or None,
            phone=text(form, "phone", 40) or None,
            language=form.get("language", ""),
            place=place_of(form.get("lat", ""), form.get("lon", "")),
            begins=text(form, "begins", 30),
            ends=text(form, "ends", 30),
            technician_id=_uuid(form["technician"]) if form.get("technician") else None,
        )
        try:
            job_id = await self._actions.create(session.staff, wanted)
        except Wrong as error:
            return await self._show_new(request, session, 422, form, error.reason)
        return go(f"/board?job={job_id}" + (f"&day={wanted.begins[:10]}" if wanted.begins else ""))

    async def _show_new(
        self, request: Request, session: Session, status: int, form: dict[str, str], reason: str | None
    ) -> Response:
        organisation_id, now_s = session.staff.organisation_id, self._clock.now()
        async with snapshot(self._engine, organisation_id) as connection:
            _, time_zone = await read_firm(connection, organisation_id)
            lines = await read_technician_lines(connection, organisation_id, now_s)
        facts = {
            "id": _own_id(form),
            "lines": lines,
            "time_zone": ZoneInfo(time_zone).key,
            "form": form,
            "reason": reason,
        }
        return self._answer(request, session, "new_job.html", status, map_attributes=self._map_attributes, **facts)

    async def _technicians(self, request: Request, session: Session) -> Response:
        return await self._show_technicians(request, session, 200)

    async def _create_technician(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        names = [text(form, name, 100) for name in ("name", "vehicle", "plate", "trade")]
        try:
            technician_id = await self._actions.create_technician(session.staff, *names)
        except Wrong as error:
            return await self._show_technicians(request, session, 422, reason=error.reason)
        return go(f"/board/technicians#technician-{technician_id.hex}")

    async def _pair(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        technician_id: UUID = request.path_params["technician_id"]
        code = await self._actions.pair(session.staff, technician_id)
        return await self._show_technicians(request, session, 200, code=code, paired=technician_id)

    async def _revoke(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        await self._actions.revoke(session.staff, request.path_params["technician_id"])
        return go("/board/technicians")

    async def _show_technicians(
        self,
        request: Request,
        session: Session,
        status: int,
        reason: str | None = None,
        code: str | None = None,
        paired: UUID | None = None,
    ) -> Response:
        organisation_id = session.staff.organisation_id
        async with snapshot(self._engine, organisation_id) as connection:
            lines = await read_technician_lines(connection, organisation_id, self._clock.now())
        address = None if code is None else invitation(self._public_url, code)
        picture = None if address is None else as_picture(address)
        facts = {
            "lines": lines,
            "reason": reason,
            "code": code,
            "paired": paired,
            "address": self._public_url,
            "picture": picture,
        }
        return self._answer(request, session, "technicians.html", status, **facts)

    async def _handle_note(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        await self._actions.handle_note(session.staff, request.path_params["item_id"])
        return go(_back(form))

    async def _handle_message(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        await self._actions.handle_message(session.staff, request.path_params["item_id"])
        return go(_back(form))

    async def _retry_message(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        await self._actions.retry_message(session.staff, request.path_params["item_id"])
        return go(_back(form))

    def _answer(self, request: Request, session: Session, template: str, status: int, /, **facts: Any) -> Response:
        language = language_of(request, session)
        page = environment(language, HERE).get_template(template)
        return HTMLResponse(page.render(**frame(language, session), **facts), status, self._headers)


def _back(form: dict[str, str], job_id: UUID | None = None) -> str:
    """Where the form came from: a page of the board, and nowhere else."""
    back = form.get("back", "")
    if back == "/board" or back.startswith("/board?"):
        return back
    return "/board" if job_id is None else f"/board?job={job_id}"


def _uuid(value: str) -> UUID:
    """An id out of a form; what is none is nobody's."""
    try:
        return UUID(value)
    except ValueError:
        raise NotFound(f"{value[:40]!r} is no id") from None


def _own_id(form: dict[str, str]) -> UUID:
    """The form's own, so that a form sent twice makes one thing."""
    try:
        return UUID(form.get("id", ""))
    except ValueError:
        return uuid4()


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return FileResponse(path, media_type=STATIC[path.suffix], headers=headers)

    return serve
