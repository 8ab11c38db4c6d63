"""The customer's page and its stream: `/t/<token>` leaves a cookie and leads to `/j/<link>`, which shows one job."""

from __future__ import annotations

import asyncio
from http.cookies import CookieError, SimpleCookie

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from tracking_server import links, words
from tracking_server.clock import Clock
from tracking_server.domain.page_state import Showing
from tracking_server.push import render, wire
from tracking_server.push.watched import Watched, WatchedJobs
from tracking_server.store.engine import Unavailable
from tracking_server.store.views import LinkRow

log = structlog.get_logger()
PING_EVERY_S = 15.0
EVICT_AFTER_S = 15.0  # a reader who takes nothing for so long is let go
COOKIE_LIFE_S = 90 * 86_400
OVER = frozenset({Showing.completed, Showing.cancelled, Showing.no_access, Showing.expired})
PAGE_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class CustomerPages:
    """Serves links, pages and streams. Knows customers only by the tokens of their links."""

    def __init__(self, engine: AsyncEngine, watched: WatchedJobs, clock: Clock, *, secure: bool) -> None:
        self._engine = engine
        self._watched = watched
        self._clock = clock
        self._prefix = "__Host-j-" if secure else "j-"
        self._secure = secure

    async def enter(self, request: Request) -> Response:
        """`/t/<token>`: keep the token in a cookie, so that it stays out of history, referrer and screenshots."""
        token = request.path_params["token"]
        link = await links.open_link(self._engine, token)
        if link is None:
            return self._gone(request)
        asked = request.query_params.get("lang")
        query = f"?lang={asked}" if asked in words.LANGUAGES else ""
        response = RedirectResponse(f"/j/{link.id.hex}{query}", status_code=303, headers=PAGE_HEADERS)
        response.set_cookie(
            self._prefix + link.id.hex,
            token,
            max_age=COOKIE_LIFE_S,
            secure=self._secure,
            httponly=True,
            samesite="lax",
            path="/",
        )
        return response

    async def page(self, request: Request) -> Response:
        """`/j/<link>`: the page as it is now."""
        link = await self._link(request.headers, request.path_params["link_id"])
        view = None if link is None else await self._watched.read(link.organisation_id, link.job_id)
        if link is None or view is None:
            return self._gone(request)
        now_s = self._clock.now()
        page = render.page_of(view, link, now_s)
        if page.showing is Showing.expired:
            return self._gone(request)
        html = render.whole_page(view, page, _language(request), now_s, link)
        return HTMLResponse(html, headers=PAGE_HEADERS)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/j/<link>/updates`: what changes, until the job is over or the reader is gone."""
        request = Request(scope)
        link = await self._link(request.headers, scope["path_params"]["link_id"])
        if link is None:
            await self._gone(request)(scope, receive, send)
            return
        token = self._token(request.headers, link.id.hex)
        stream = Stream(self._watched, self._clock, self._engine, link, token, _language(request), send)
        reader = asyncio.ensure_future(_until_gone(receive))
        writer = asyncio.ensure_future(stream.run())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _link(self, headers: Headers, link_id: str) -> LinkRow | None:
        link = await links.open_link(self._engine, self._token(headers, link_id))
        return link if link is not None and link.id.hex == link_id else None

    def _token(self, headers: Headers, link_id: str) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", "")[:8192])
        except CookieError:
            return ""
        morsel = cookies.get(self._prefix + link_id)
        return morsel.value if morsel is not None else ""

    def _gone(self, request: Request) -> Response:
        return HTMLResponse(render.expired_page(_language(request)), status_code=410, headers=PAGE_HEADERS)


class Stream:
    """One reader's stream. Access is decided anew for every update."""

    def __init__(
        self,
        watched: WatchedJobs,
        clock: Clock,
        engine: AsyncEngine,
        link: LinkRow,
        token: str,
        language: str,
        send: Send,
    ) -> None:
        self._watched = watched
        self._clock = clock
        self._engine = engine
        self._link = link
        self._token = token
        self._language = language
        self._send = send
        self._said = ""
        self._shown_s: float | None = None
        self._version = -1

    async def run(self) -> None:
        """Send the present state, then every change of it."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._write(wire.opening())
        with self._watched.watch(self._link.organisation_id, self._link.job_id) as (watched, news):
            while await self._tell_if_possible(watched):
                try:
                    async with asyncio.timeout(PING_EVERY_S):
                        await news.wait()
                except TimeoutError:
                    await self._write(wire.PING)
                news.clear()
        await self._write(wire.end(), last=True)

    async def _tell_if_possible(self, watched: Watched) -> bool:
        """While the store is away the page keeps what it shows, with its age; the next comparison brings the rest."""
        try:
            return await self._tell(watched)
        except Unavailable:
            return True

    async def _tell(self, watched: Watched) -> bool:
        """Send what is new; says whether more may come."""
        view = await self._watched.view(watched)
        if view is None:
            return False
        if view.job.version != self._version:
            self._version = view.job.version
            link = await links.open_link(self._engine, self._token)  # revoking a link counts its job's version up
            if link is None:
                return False
            self._link = link
        now_s = self._clock.now()
        page = render.page_of(view, self._link, now_s)
        update_id = f"{view.job.version}.{view.technician_version}"
        said = render.status(view, page, self._language, now_s)
        if said != self._said:
            self._said = said
            self._shown_s = None  # new words clear the map: the position follows them, if it may
            await self._write(wire.status(said, update_id))
        position = view.position
        if page.position and position is not None and position.time_s != self._shown_s:
            self._shown_s = position.time_s
            await self._write(wire.position(position, now_s, update_id))
        return page.showing not in OVER

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        async with asyncio.timeout(EVICT_AFTER_S):
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _language(request: Request) -> str:
    return words.choose_language(request.query_params.get("lang"), request.headers.get("accept-language", ""))
