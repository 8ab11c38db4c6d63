"""Forms as browsers send them, from our own pages only."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from tracking_server.domain.note import Unreadable, clean_text

MOST_BYTES = 65_536
MOST_FIELDS = 60


class BadForm(Exception):
    """A form that none of our pages sends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_from_our_pages(request: Request, public_url: str) -> bool:
    """Whether a browser sent this from a page of this very host; what no browser sends is refused too.

    Our pages' referrer policy must not be `no-referrer`: a browser then says `Origin: null` of its own forms.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return True
    host = request.headers.get("host", "")
    return origin == public_url or (host != "" and urlsplit(origin).netloc == host and origin != "null")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a plain form; of a field that comes twice the last. Raises `BadForm` 413, 415, 422."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm(415)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise BadForm(413)
    except ClientDisconnect:
        raise BadForm(400) from None
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise BadForm(422) from None
    if any("\0" in value for _, value in fields):
        raise BadForm(422)
    return dict(fields)


def text(form: Mapping[str, str], name: str, longest: int = 200) -> str:
    """A field's text in one line, without signs that do not show; empty when it was not sent.

    Raises `BadForm` 422 when it is too long.
    """
    try:
        value = " ".join(clean_text(form.get(name, "")).split())
    except Unreadable:
        raise BadForm(422) from None
    if len(value) > longest:
        raise BadForm(422)
    return value
