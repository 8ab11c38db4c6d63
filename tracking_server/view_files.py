"""What browsers load of `customer_view/`: scripts, styles and the map library, read once and compressed once.

Their addresses carry a hash of them all, so that a browser keeps them for ever and never mixes two versions.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tracking_server.domain.colour import palette

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOLDERS = ("", "styles", "vendor")  # vendor/ is made by the set-up; without it there is no map
FOR_EVER = "public, max-age=31536000, immutable"
COLOUR_FILE = re.compile(r"colour-([0-9a-f]{6})\.css")
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

    def url(self, name: str) -> str:
        """Where a browser finds a file, `styles/page.css` for one."""
        return f"/view/{self._version}/{name}"

    def colour_url(self, colour: str) -> str:
        """Where a browser finds the style sheet of a firm's colour, `#rrggbb`."""
        return self.url(f"colour-{colour.removeprefix('#')}.css")

    def route(self) -> Route:
        """Serves them all. A page of another version gets today's files, and does not keep them."""
        return Route("/view/{version}/{name:path}", self._serve)

    async def _serve(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        coloured = COLOUR_FILE.fullmatch(name)
        file = _packed("text/css", _colour_css(f"#{coloured[1]}").encode()) if coloured else self._files.get(name)
        if file is None:
            return PlainTextResponse("there is no such file", status_code=404)
        headers = HEADERS | {"cache-control": FOR_EVER if version == self._version else "no-cache"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, media_type=file.media_type, headers=headers | {"content-encoding": "gzip"})
        return Response(file.data, media_type=file.media_type, headers=headers)


def _packed(media_type: str, data: bytes) -> ViewFile:
    return ViewFile(media_type, data, gzip.compress(data, mtime=0))


def _colour_css(colour: str) -> str:
    """The roles of a firm's colour; the page has no style in its HTML."""
    paint = palette(colour)
    return (
        f":root{{--firm:{paint.fill};--on-firm:{paint.on_fill};--firm-ink:{paint.ink_light}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--firm-ink:{paint.ink_dark}}}}}"
    )
