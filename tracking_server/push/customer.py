"""The customer's page and its stream: `/t/<token>` leaves a cookie and leads to `/j/<link>`, which shows one job."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
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
SAME_FIX_S = 0.001  # the bus and the store round a fix's time differently
EVICT_AFTER_S = 15.0  # a reader who takes nothing for so long is let go
COOKIE_LIFE_S = 90 * 86_400
MOST_COOKIES = 16_384  # characters of a cookie header that are looked at
RETRY_AFTER_S = 2
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
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End the open streams, without their last update: pages connect again, to another process or a later one."""
        self._stopping.set()

    async def enter(self, request: Request) -> Response:
        """`/t/<token>`: keep the token in a cookie, so that it stays out of history, referrer and screenshots."""
        token = request.path_params["token"]
        link = await links.open_link(self._engine, token, self._clock.now())
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
        """`/j/<link>/updates`: what changes, until the link opens nothing more or the reader is gone."""
        request = Request(scope)
        try:
            link = await self._link(request.headers, scope["path_params"]["link_id"])
            if link is None:
                await self._gone(request)(scope, receive, send)
                return
            with self._watched.watch(link.organisation_id, link.job_id) as (watched, news):
                await self._watched.view(watched)
                token = self._token(request.headers, link.id.hex)
                stream = Stream(
                    self._watched, self._clock, self._engine, watched, news, link, token, _language(request), send
                )
                await self._run(stream, receive)
        except Unavailable as error:
            later = {"retry-after": str(RETRY_AFTER_S)}
            await PlainTextResponse(str(error), status_code=503, headers=later)(scope, receive, send)

    async def _run(self, stream: Stream, receive: Receive) -> None:
        """Write until the stream is over, its reader is gone, or this process stops."""
        reader = asyncio.ensure_future(_until_gone(receive))
        writer = asyncio.ensure_future(stream.run())
        stopping = asyncio.ensure_future(self._stopping.wait())
        tasks = (reader, writer, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            _, failure, _ = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(failure, Exception):
            log.warning("stream_failed", error=type(failure).__name__)
        elif self._stopping.is_set():
            await stream.break_off()

    async def _link(self, headers: Headers, link_id: str) -> LinkRow | None:
        link = await links.open_link(self._engine, self._token(headers, link_id), self._clock.now())
        return link if link is not None and link.id.hex == link_id else None

    def _token(self, headers: Headers, link_id: str) -> str:
        """From this link's cookie. Other cookies of this host may be of any shape, and lock nobody out."""
        cookies = cookie_parser("; ".join(headers.getlist("cookie"))[:MOST_COOKIES])
        return cookies.get(self._prefix + link_id, "")

    def _gone(self, request: Request) -> Response:
        return HTMLResponse(render.expired_page(_language(request)), status_code=410, headers=PAGE_HEADERS)


class Stream:
    """One reader's stream. Access is decided anew for every update."""

    def __init__(
        self,
        jobs: WatchedJobs,
        clock: Clock,
        engine: AsyncEngine,
        watched: Watched,
        news: asyncio.Event,
        link: LinkRow,
        token: str,
        language: str,
        send: Send,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._engine = engine
        self._watched = watched
        self._news = news
        self._link = link
        self._token = token
        self._language = language
        self._send = send
        self._said = ""
        self._shown_s: float | None = None
        self._version = -1
        self._open = False

    async def run(self) -> None:
        """Send the present state, then every change of it."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._open = True
        await self._write(wire.opening())
        while await self._tell_if_possible():
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                await self._write(wire.PING)
            self._news.clear()
        await self._write(wire.end(), last=True)

    async def break_off(self) -> None:
        """End the response, but not what it tells of."""
        if self._open:
            await self._write(b"", last=True)

    async def _tell_if_possible(self) -> bool:
        """While the store is away the page keeps what it shows, with its age; the next comparison brings the rest."""
        try:
            return await self._tell()
        except Unavailable:
            return True

    async def _tell(self) -> bool:
        """Send what is new; says whether more may come. What was finished can be undone: only the link's end, and a
        cancelled visit, are for good."""
        view = await self._jobs.view(self._watched)
        if view is None or not await self._still_opens(view.job.version):
            return False
        now_s = self._clock.now()
        page = render.page_of(view, self._link, now_s)
        if page.showing is Showing.expired:
            return False
        update_id = f"{view.job.version}.{view.technician_version}"
        said = render.status(view, page, self._language, now_s)
        if said != self._said:
            self._said = said
            await self._write(wire.status(said, update_id))
        if not page.position or view.position is None:
            self._shown_s = None  # the page took it down: when it may be seen again, it is sent again
        elif self._shown_s is None or abs(view.position.time_s - self._shown_s) > SAME_FIX_S:
            self._shown_s = view.position.time_s
            await self._write(wire.position(view.position, now_s, update_id))
        return page.showing is not Showing.cancelled

    async def _still_opens(self, version: int) -> bool:
        """Look at the link again when its job changed: revoking a link counts its job's version up."""
        if version != self._version:
            link = await links.open_link(self._engine, self._token, self._clock.now())
            if link is None:
                return False
            self._link, self._version = link, version
        return True

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        async with asyncio.timeout(EVICT_AFTER_S):
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        self._open = not last


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _language(request: Request) -> str:
    return words.choose_language(request.query_params.get("lang"), request.headers.get("accept-language", ""))
