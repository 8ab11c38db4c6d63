"""Who may look: a request proves its link by the cookie under `/j/<link>`, or by the token under `/t/<token>`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request, cookie_parser
from starlette.responses import Response

from tracking_server import links, words
from tracking_server.clock import Clock
from tracking_server.store.views import LinkRow

COOKIE_LIFE_S = 90 * 86_400
MOST_COOKIES = 16_384  # characters of a cookie header that are looked at
PROBE = "c"  # ?c=1 says that the cookie was offered: who comes without it has them off


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a link that opens. `base` is what the addresses of their page begin with, `versions` those of the
    job and its technician when the link was looked at."""

    link: LinkRow
    token: str
    base: str
    language: str
    versions: tuple[int, int] = (0, 0)

    @property
    def in_url(self) -> bool:
        """Whether the token stands in the address, because this browser keeps no cookies."""
        return self.base.startswith("/t/")

    def address(self, **query: str) -> str:
        """Their page, in their language."""
        named = {PROBE: "1"} if self.in_url else {}
        return f"{self.base}?" + "&".join(f"{k}={v}" for k, v in (named | {"lang": self.language} | query).items())


class Access:
    """Opens links."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, secure: bool) -> None:
        self._links = links.OpenLinks(engine)
        self._clock = clock
        self._secure = secure
        self._prefix = "__Host-j-" if secure else "j-"

    async def visitor(self, request: Request) -> Visitor | None:
        """Who asks, None when nothing is opened to them."""
        opened = await self._links.open(self.token(request), self._clock.now())
        link_id = request.path_params.get("link_id")
        if opened is None or (link_id is not None and opened.link.id.hex != link_id):
            return None
        base = f"/j/{opened.link.id.hex}" if link_id is not None else f"/t/{request.path_params['token']}"
        return Visitor(opened.link, self.token(request), base, language(request), opened.versions)

    async def open(self, token: str) -> LinkRow | None:
        """The link of a token as it is now, None when it opens nothing."""
        opened = await self._links.open(token, self._clock.now())
        return None if opened is None else opened.link

    def token(self, request: Request) -> str:
        """From the address, else from this link's cookie, else nothing. Other cookies of this host may be of any
        shape, and lock nobody out."""
        if "token" in request.path_params:
            return str(request.path_params["token"])
        return self._cookies(request).get(self._prefix + request.path_params["link_id"], "")

    def has_cookie(self, request: Request, link: LinkRow) -> bool:
        """Whether this browser kept the cookie of this link."""
        return self._cookies(request).get(self._prefix + link.id.hex) == self.token(request)

    def give_cookie(self, response: Response, link: LinkRow, token: str) -> None:
        """Keep the token out of history, referrer and screenshots from here on."""
        response.set_cookie(
            self._prefix + link.id.hex,
            token,
            max_age=COOKIE_LIFE_S,
            secure=self._secure,
            httponly=True,
            samesite="lax",
            path="/",
        )

    def _cookies(self, request: Request) -> dict[str, str]:
        return cookie_parser("; ".join(request.headers.getlist("cookie"))[:MOST_COOKIES])


def from_own_page(request: Request, visitor: Visitor) -> bool:
    """Whether a form was sent from our own page, as far as the browser says.

    Under the token's address a browser names no origin, and none is needed: who sends it knows the token.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is None or origin == "null":
        return origin is None or visitor.in_url
    return origin.partition("://")[2] == request.headers.get("host")


def language(request: Request) -> str:
    """What the request asks for, else what its browser likes."""
    return words.choose_language(request.query_params.get("lang"), request.headers.get("accept-language", ""))
