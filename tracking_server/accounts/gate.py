"""Lets staff in: whose session a request brings, where a form came from, and what that role may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from tracking_server import words
from tracking_server.accounts import forms
from tracking_server.accounts.people import SESSION_LIFE_S, People
from tracking_server.domain.role import Deed, may
from tracking_server.store.accounts import Session
from tracking_server.store.engine import Unavailable

log = structlog.get_logger()
HERE = Path(__file__).parent
MOST_COOKIES = 16_384  # characters of a cookie header that are looked at
RETRY_AFTER_S = 2
SAFE = ("GET", "HEAD")
LANGUAGE_NAMES = {"en": "English", "th": "ไทย", "ar": "العربية"}


def page_headers(image_sources: Sequence[str] = ()) -> dict[str, str]:
    """What every page is sent with; `image_sources` are other hosts that a map's tiles come from."""
    images = " ".join(("'self'", "data:", *image_sources))
    return {
        "cache-control": "no-store",
        "referrer-policy": "same-origin",  # not no-referrer: browsers would say `Origin: null` of our own forms
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex, nofollow",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "content-security-policy": (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    }


PAGE_HEADERS = page_headers()
Handler = Callable[[Request, Session], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    """Knows staff by the cookie of their session."""

    def __init__(self, people: People, public_url: str) -> None:
        self.people = people
        self._public_url = public_url
        self._secure = public_url.startswith("https://")
        self._cookie = "__Host-board" if self._secure else "board"

    def token(self, headers: Headers) -> str:
        """The session's token in the request's cookie, empty when there is none."""
        return cookie_parser("; ".join(headers.getlist("cookie"))[:MOST_COOKIES]).get(self._cookie, "")

    async def session(self, headers: Headers) -> Session | None:
        """Who is signed in. Raises `Unavailable`."""
        return await self.people.session(self.token(headers))

    def is_from_our_pages(self, request: Request) -> bool:
        """Whether one of our own pages sent this."""
        return forms.is_from_our_pages(request, self._public_url)

    def is_foreign(self, request: Request) -> bool:
        """Whether a browser says that a page of somebody else's asks for this."""
        told = "origin" in request.headers or request.headers.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        )
        return told and not self.is_from_our_pages(request)

    def signed_in(self, token: str, to: str = "/board") -> Response:
        """Go on with a new session."""
        response = RedirectResponse(to, status_code=303, headers=PAGE_HEADERS)
        response.set_cookie(
            self._cookie,
            token,
            max_age=int(SESSION_LIFE_S),
            secure=self._secure,
            httponly=True,
            samesite="lax",
            path="/",
        )
        return response

    def signed_out(self) -> Response:
        """Back to the door."""
        response = RedirectResponse("/board/sign-in", status_code=303, headers=PAGE_HEADERS)
        response.delete_cookie(self._cookie, secure=self._secure, httponly=True, samesite="lax", path="/")
        return response

    def for_staff(self, deed: Deed, handle: Handler) -> Endpoint:
        """A page for those who are signed in and may do this."""

        async def endpoint(request: Request) -> Response:
            session = await self.session(request.headers)
            if session is None:
                return go("/board/sign-in") if request.method in SAFE else said(request, None, "signed_out", 401)
            if not may(session.staff.role, deed):
                return said(request, session, "role", 403)
            return await handle(request, session)

        return self.for_all(endpoint)

    def for_all(self, handle: Endpoint) -> Endpoint:
        """A page for everybody: what it cannot do it says in a sentence."""

        async def endpoint(request: Request) -> Response:
            if request.method not in SAFE and not self.is_from_our_pages(request):
                return PlainTextResponse("this form was not sent by a page of ours", 403, PAGE_HEADERS)
            try:
                return await handle(request)
            except forms.BadForm as error:
                return PlainTextResponse("this is no form of ours", error.status, PAGE_HEADERS)
            except Unavailable as error:
                log.warning("board_unavailable", error=str(error))
                answer = said(request, None, "away", 503)
                answer.headers["retry-after"] = str(RETRY_AFTER_S)
                return answer

        return endpoint


def go(to: str) -> Response:
    """See another page."""
    return RedirectResponse(to, status_code=303, headers=PAGE_HEADERS)


def language_of(request: Request, session: Session | None) -> str:
    """The one that the person chose for their account; before they signed in `?lang=`, then the browser's.

    The page and its stream ask alike: a page that is opened in one language stays in it.
    """
    if session is not None:
        return session.staff.language
    return words.choose_language(request.query_params.get("lang"), request.headers.get("accept-language", ""))


def render(template: str, language: str, session: Session | None, **facts: Any) -> str:
    """One of the staff's pages as HTML; `facts` are what its template names."""
    page = environment(language, HERE).get_template(template)
    return page.render(**frame(language, session), **facts)


def answer(
    request: Request, session: Session | None, template: str, status: int = 200, /, **facts: Any
) -> HTMLResponse:
    """One of the account pages."""
    html = render(template, language_of(request, session), session, **facts)
    return HTMLResponse(html, status, PAGE_HEADERS)


def said(request: Request, session: Session | None, reason: str, status: int) -> HTMLResponse:
    """A page that says one thing only."""
    return answer(request, session, "said.html", status, reason=reason)


def frame(language: str, session: Session | None) -> dict[str, Any]:
    """What `frame.html` names."""
    return {
        "language": language,
        "languages": LANGUAGE_NAMES,
        "direction": words.direction(language),
        "staff": None if session is None else session.staff,
        "may_dispatch": session is not None and may(session.staff.role, Deed.dispatch),
        "may_manage": session is not None and may(session.staff.role, Deed.manage),
    }


@cache
def environment(language: str, *folders: Path) -> Environment:
    """Templates of these folders, and the frame, with the staff's texts."""
    environment = Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = words.catalogue(language, "board")
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    return environment
