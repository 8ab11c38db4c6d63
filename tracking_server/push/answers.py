"""How the customer's pages are answered: with which headers, and compressed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tracking_server.view_files import allowing_style

WORTH_PACKING = 400  # bytes; below it the headers of a packet weigh more
YEAR_S = 31_536_000


def page_headers(*, secure: bool, in_url: bool = False, images_from: Sequence[str] = ()) -> dict[str, str]:
    """Headers of everything that shows a visit.

    `in_url` says that the address holds the token: not even our own server is told it as a referrer. Elsewhere it is
    told our own pages, because a browser names no origin with a form otherwise. `images_from` are hosts of map tiles.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(("'self'", *images_from)),
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "cache-control": "no-store",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "referrer-policy": "no-referrer" if in_url else "same-origin",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex, nofollow",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if secure:
        headers["strict-transport-security"] = f"max-age={2 * YEAR_S}"
    return headers


def html(request: Request, text: str, headers: Mapping[str, str], status_code: int = 200) -> Response:
    """A page, compressed for those who can read it."""
    return _packed(request, text, "text/html", allowing_style(headers, text), status_code)


def facts(request: Request, content: dict[str, Any], headers: Mapping[str, str]) -> Response:
    """JSON, compressed for those who can read it."""
    return _packed(request, json.dumps(content, separators=(",", ":")), "application/json", headers, 200)


def _packed(request: Request, text: str, media_type: str, headers: Mapping[str, str], status_code: int) -> Response:
    data = text.encode()
    headers = {**headers, "vary": "accept-encoding"}
    if len(data) >= WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        data = gzip.compress(data, compresslevel=6, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(data, status_code=status_code, media_type=media_type, headers=headers)
