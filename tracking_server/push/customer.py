"""The customer's page and its stream: `/t/<token>` leaves a cookie and leads to `/j/<link>`, which shows one job.

A browser that keeps no cookies is served under `/t/<token>` itself. Both addresses have the same parts below them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tracking_server import links, words
from tracking_server.basemap.view import Basemap
from tracking_server.clock import Clock
from tracking_server.domain.form import FORMS, Refused
from tracking_server.domain.note import Author
from tracking_server.domain.page_state import Action, PageState, Showing
from tracking_server.live.bus import Bus
from tracking_server.push import answers, forms, render, wire
from tracking_server.push.access import PROBE, Access, Visitor, from_own_page, language
from tracking_server.push.calendar import calendar
from tracking_server.push.reader import Reader
from tracking_server.push.render import Draft, Own, Renderer
from tracking_server.push.stream import Stream
from tracking_server.push.watched import WatchedJobs
from tracking_server.store.attachments import Attachments
from tracking_server.store.engine import Unavailable, snapshot, transaction
from tracking_server.store.looks import Looks
from tracking_server.store.notes import Said, read_said
from tracking_server.store.pictures import read_picture
from tracking_server.store.views import JobView
from tracking_server.view_files import ViewFiles

log = structlog.get_logger()
RETRY_AFTER_S = 2
LOOK_EVERY_S = 1.0
AT_ONCE = 50  # pages that are looked at in one step
PICTURE_KEPT_S = 86_400
Handler = Callable[[Request], Awaitable[Response]]
ForVisitor = Callable[[Request, Visitor, JobView, PageState], Awaitable[Response]]


class CustomerPages:
    """Serves links, pages, forms and streams. Knows customers only by the tokens of their links."""

    def __init__(
        self,
        engine: AsyncEngine,
        bus: Bus,
        watched: WatchedJobs,
        clock: Clock,
        view_files: ViewFiles,
        *,
        public_url: str,
        basemap: Basemap,
        files: Attachments | None,
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._watched = watched
        self._clock = clock
        self._secure = public_url.startswith("https://")
        self._public_url = public_url
        self._basemap = basemap
        self._files = files
        self._access = Access(engine, clock, secure=self._secure)
        self._renderer = Renderer(view_files, basemap)
        self._said: Looks[UUID, Said] = Looks(self._look_at_said)
        self._streams: set[Stream] = set()

    def routes(self) -> list[Route]:
        """Everything but the stream, which is dispatched before the framework."""
        parts: list[tuple[str, ForVisitor, str]] = [
            ("status", self._status, "GET"),
            ("visit.ics", self._calendar, "GET"),
            ("photo/{picture_id}", self._photo, "GET"),
            ("logo/{picture_id}", self._logo, "GET"),
            ("proof/{proof_id}", self._proof, "GET"),
            ("share", self._share, "POST"),
            *((action.value, self._form, "GET") for action in FORMS),
            *((action.value, self._take, "POST") for action in FORMS),
        ]
        return [
            Route("/t/{token}", self._or_away(self._enter), methods=["GET"]),
            Route("/j/{link_id}", self._for_visitor(self._page), methods=["GET"]),
            *(
                Route(base, self._or_away(self._ask_for_new_link), methods=["POST"])
                for base in ("/t/{token}", "/j/{link_id}")
            ),
            *(
                Route(f"{base}/{part}", self._for_visitor(serve), methods=[method], name=part)
                for base in ("/t/{token}", "/j/{link_id}")
                for part, serve, method in parts
            ),
        ]

    def stop(self) -> None:
        """End the open streams, without their last update: pages connect again, to another process or a later one."""
        for stream in self._streams:
            stream.stop()

    async def run(self) -> None:
        """Let the pages that heard nothing for long hear that their lines still stand, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for n, stream in enumerate(tuple(self._streams)):
                stream.ping_if_quiet()
                if n % AT_ONCE == 0:
                    await asyncio.sleep(0)  # phones do not wait for all of them

    def _for_visitor(self, serve: ForVisitor) -> Handler:
        """Opens the link and reads its job first; nothing is said to those to whom nothing opens."""

        async def answer(request: Request) -> Response:
            visitor = await self._access.visitor(request)
            view = None if visitor is None else await self._watched.look(visitor.link, visitor.versions)
            if visitor is None or view is None:
                return self._gone(request)
            page = render.page_of(view, visitor.link, self._clock.now())
            return self._gone(request) if page.showing is Showing.expired else await serve(request, visitor, view, page)

        return self._or_away(answer)

    def _or_away(self, answer: Handler) -> Handler:
        """In words for a reader while the store is away; where the store is, is told to nobody."""

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except Unavailable:
                return self._away(request)

        return handle

    async def _enter(self, request: Request) -> Response:
        """`/t/<token>`: keep the token in a cookie. Who comes back from there without it keeps none."""
        token = request.path_params["token"]
        link = await self._access.open(token)
        if link is None:
            return self._gone(request)
        probed = PROBE in request.query_params
        if probed and not self._access.has_cookie(request, link):
            return await self._for_visitor(self._page)(request)
        named = {"lang": request.query_params.get("lang", "")}
        named = named if named["lang"] in words.LANGUAGES else {}
        if self._access.has_cookie(request, link):
            place, query = f"/j/{link.id.hex}", named
        else:
            place, query = f"/t/{token}", {PROBE: "1"} | named
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        response = RedirectResponse(f"{place}?{asked}" if asked else place, 303, self._headers(in_url=True))
        self._access.give_cookie(response, link, token)
        return response

    async def _page(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        """The page as it is now."""
        said = request.query_params.get("said")
        thanks = Action(said) if said in FORMS else None
        own = await self._own(visitor)
        html = self._renderer.page(view, page, visitor, own, self._clock.now(), thanks)
        return answers.html(request, html, self._headers(in_url=visitor.in_url))

    async def _status(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        """What the stream tells, once: for pages whose network holds streams back."""
        now_s = self._clock.now()
        at = view.position if page.position else None
        content = {
            "status": render.update(view, page, visitor, now_s),
            "position": None if at is None else wire.position_facts(at, now_s),
            "more": page.showing is not Showing.cancelled,
        }
        return answers.facts(request, content, self._headers(in_url=visitor.in_url))

    async def _form(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        """One form on a page of its own, which does not reload while somebody writes."""
        action = _action(request)
        if not page.takes(action):
            return RedirectResponse(visitor.address(), 303, self._headers(in_url=visitor.in_url))
        return await self._form_page(request, visitor, view, page, Draft({}, ""))

    async def _take(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        """Keep what was sent, then back to the page; what cannot be kept comes back with the reason, still written."""
        headers = self._headers(in_url=visitor.in_url)
        if not from_own_page(request, visitor):
            return PlainTextResponse("this form was not sent from its own page", 403, headers)
        fields: dict[str, str] = {}
        try:
            fields = await forms.read_fields(request)
            action, now_s = _action(request), self._clock.now()
            change = await forms.take(self._engine, view, page, visitor.link, action, fields, now_s)
        except forms.NotAForm as error:
            return PlainTextResponse(str(error), error.status, headers)
        except Refused as error:
            kept = {name: value.encode(errors="replace").decode() for name, value in fields.items()}
            return await self._form_page(request, visitor, view, page, Draft(kept, error.problem.value), 422)
        await self._bus.publish([change])
        return RedirectResponse(visitor.address(said=action.value), 303, headers)

    async def _form_page(
        self, request: Request, visitor: Visitor, view: JobView, page: PageState, draft: Draft, status: int = 200
    ) -> Response:
        own, now_s = await self._own(visitor), self._clock.now()
        html = self._renderer.form(view, page, visitor, own, now_s, _action(request), draft)
        return answers.html(request, html, self._headers(in_url=visitor.in_url), status)

    async def _share(self, request: Request, visitor: Visitor, view: JobView, _: PageState) -> Response:
        """A second link, for somebody else: as JSON for the page's script, else on a page to copy it from."""
        headers = self._headers(in_url=visitor.in_url)
        if not from_own_page(request, visitor):
            return PlainTextResponse("this form was not sent from its own page", 403, headers)
        async with transaction(self._engine, visitor.link.organisation_id) as connection:
            token = await links.share_link(connection, visitor.link, self._clock.now())
        address = None if token is None else f"{self._origin(request)}/t/{token}?lang={visitor.language}"
        if request.headers.get("accept", "").startswith("application/json"):
            return answers.facts(request, {"address": address}, headers)
        status = 200 if address else 429
        return answers.html(request, self._renderer.share(view, visitor, address), headers, status)

    async def _ask_for_new_link(self, request: Request) -> Response:
        """Always the same answer: what became of it is told only where the firm's messages go."""
        await links.request_new_link(self._engine, self._access.token(request), self._clock.now())
        html = self._renderer.gone(language(request), asked=True)
        return answers.html(request, html, self._headers(in_url=True))

    async def _calendar(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        headers = self._headers(in_url=visitor.in_url)
        event = calendar(view, page, visitor.language, self._clock.now()) if Action.calendar in page.actions else None
        if event is None:
            return PlainTextResponse("there is nothing for a calendar", 404, headers)
        headers["content-disposition"] = 'attachment; filename="visit.ics"'
        return Response(event, media_type="text/calendar; charset=utf-8", headers=headers)

    async def _photo(self, request: Request, visitor: Visitor, view: JobView, page: PageState) -> Response:
        named = view.technician if page.names_technician else None
        return await self._picture(request, visitor, named.photo_id if named else None)

    async def _logo(self, request: Request, visitor: Visitor, view: JobView, _: PageState) -> Response:
        return await self._picture(request, visitor, view.firm.logo_id)

    async def _picture(self, request: Request, visitor: Visitor, shown: UUID | None) -> Response:
        """A picture that this page shows now, and no other."""
        headers = self._headers(in_url=visitor.in_url)
        picture = None
        if shown is not None and request.path_params["picture_id"] == shown.hex:
            async with snapshot(self._engine, visitor.link.organisation_id) as connection:
                picture = await read_picture(connection, visitor.link.organisation_id, shown)
        if picture is None:
            return PlainTextResponse("there is no such picture", 404, headers)
        headers["cache-control"] = f"private, max-age={PICTURE_KEPT_S}"
        headers["content-security-policy"] = "default-src 'none'; sandbox"
        return Response(picture.data, media_type=picture.media_type, headers=headers)

    async def _proof(self, request: Request, visitor: Visitor, view: JobView, _: PageState) -> Response:
        """A photo or a signature of this visit, small, for as long as the page itself shows it."""
        headers = self._headers(in_url=visitor.in_url)
        proof = next((one for one in view.proofs if one.id.hex == request.path_params["proof_id"]), None)
        data = None
        if proof is not None and self._files is not None:
            data = await asyncio.to_thread(self._files.open_shown, visitor.link.organisation_id, proof.id)
        if data is None:
            return PlainTextResponse("there is no such picture", 404, headers)
        headers["content-security-policy"] = "default-src 'none'; sandbox"
        return Response(data, media_type="image/jpeg", headers=headers)

    async def _own(self, visitor: Visitor) -> Own:
        """What this link's contact wrote and rated."""
        link = visitor.link
        said = await self._said.find(link.organisation_id, link.job_id)
        if said is None:
            return Own([], None)
        own = [note for note in said.notes if note.author is Author.customer and note.contact_id == link.contact_id]
        return Own(own, said.ratings.get(link.contact_id))

    async def _look_at_said(self, organisation_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, Said]:
        async with snapshot(self._engine, organisation_id) as connection:
            return await read_said(connection, organisation_id, job_ids)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`.../updates`: what changes, until the link opens nothing more or the reader is gone."""
        try:
            visitor = await self._access.visitor(Request(scope))
            if visitor is None:
                await self._gone(Request(scope))(scope, receive, send)
                return
            stream = Stream(self._watched, self._clock, self._access, visitor, Reader(scope, receive, send))
            self._streams.add(stream)
            try:
                await stream.run()
            finally:
                self._streams.discard(stream)
        except Unavailable:
            await self._away(Request(scope))(scope, receive, send)

    def _gone(self, request: Request) -> Response:
        """410, at the link's own address: only there a new one can be asked for, so forms and buttons lead there."""
        own = "/".join(request.url.path.split("/")[:3])
        if request.url.path not in (own, f"{own}/status", f"{own}/updates"):
            return RedirectResponse(f"{own}?lang={language(request)}", 303, self._headers(in_url=True))
        return answers.html(request, self._renderer.gone(language(request)), self._headers(in_url=True), 410)

    def _away(self, request: Request) -> Response:
        """While the store is away; what was sent is not kept, and the reader can send it again."""
        headers = self._headers(in_url=True) | {"retry-after": str(RETRY_AFTER_S)}
        return answers.html(request, self._renderer.away(language(request), request.method == "GET"), headers, 503)

    def _headers(self, *, in_url: bool) -> dict[str, str]:
        return answers.page_headers(secure=self._secure, in_url=in_url, images_from=self._basemap.image_sources)

    def _origin(self, request: Request) -> str:
        """Over plain http, in a local network, the address at which we were reached; else the public one."""
        return self._public_url if self._secure else f"http://{request.headers.get('host', '')}"


def _action(request: Request) -> Action:
    return Action(request.url.path.rpartition("/")[2])
