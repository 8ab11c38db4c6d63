"""What browsers load of `customer_view/`: scripts, styles and the map library, read once and compressed once.

Their addresses carry a hash of them all, so that a browser keeps them for ever and never mixes two versions.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tracking_server.domain.colour import palette

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOLDERS = ("", "styles", "vendor")  # vendor/ is made by the set-up; without it there is no map
FOR_EVER = "public, max-age=31536000, immutable"
STYLES = ("styles/tokens.css", "styles/page.css")  # they stand in the page itself: asking for them costs a round trip
STYLE = re.compile("<style>(.*?)</style>", re.DOTALL)
COLOURS_KEPT = 1_000
HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class ViewFile:
    """One file, as it is and compressed."""

    media_type: str
    data: bytes
    packed: bytes


class ViewFiles:
    """All of them, in memory: what is not here cannot be asked for."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _packed(TYPES[path.suffix], path.read_bytes())
            for name in FOLDERS
            for path in sorted((folder / name).glob("*"))
            if path.suffix in TYPES
        }
        whole = hashlib.sha256()
        for name, file in self._files.items():
            whole.update(name.encode() + file.data)
        self._version = whole.hexdigest()[:12]
        self._styles = "".join(self._files[name].data.decode() for name in STYLES)

    def url(self, name: str) -> str:
        """Where a browser finds a file, `styles/page.css` for one."""
        return f"/view/{self._version}/{name}"

    def style(self, colour: str) -> Markup:
        """The style sheet of a page in a firm's colour, `#rrggbb`: for the page's first `<style>`."""
        return Markup(self._styles + _colour_css(colour))  # noqa: S704 (files of ours, and a checked colour)

    def route(self) -> Route:
        """Serves them all. A page of another version gets today's files, and does not keep them."""
        return Route("/view/{version}/{name:path}", self._serve)

    async def _serve(self, request: Request) -> Response:
        version, file = request.path_params["version"], self._files.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("there is no such file", status_code=404)
        headers = HEADERS | {"cache-control": FOR_EVER if version == self._version else "no-cache"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, media_type=file.media_type, headers=headers | {"content-encoding": "gzip"})
        return Response(file.data, media_type=file.media_type, headers=headers)


def allowing_style(headers: Mapping[str, str], html: str) -> dict[str, str]:
    """Headers whose policy allows the page's first `<style>`, by its hash, and no other."""
    found = STYLE.search(html)
    if found is None:
        return dict(headers)
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    policy = headers["content-security-policy"]
    allowed = policy.replace("style-src 'self'", f"style-src 'self' 'sha256-{digest}'")
    return {**headers, "content-security-policy": allowed}


def _packed(media_type: str, data: bytes) -> ViewFile:
    return ViewFile(media_type, data, gzip.compress(data, mtime=0))


@lru_cache(COLOURS_KEPT)
def _colour_css(colour: str) -> str:
    """The roles of a firm's colour."""
    paint = palette(colour)
    return (
        f":root{{--firm:{paint.fill};--on-firm:{paint.on_fill};--firm-ink:{paint.ink_light}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--firm-ink:{paint.ink_dark}}}}}"
    )
