"""`GET /v1/openapi.json`: what phones and pages ask this service for, described.

The framework describes its own few routes. What is dispatched before it, or served plainly, is described here by hand;
a test compares the document with all there is, both ways. Bodies are those of the code that reads them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tracking_server.domain.fix import Verdict
from tracking_server.domain.job import State
from tracking_server.ingest.files import KINDS, MOST_PIECE_BYTES
from tracking_server.ingest.wire import MOST_BODY_BYTES, WireDelivery

PATH = "/v1/openapi.json"
WEBSOCKET = "WEBSOCKET"  # what a table of paths says in place of a method; the document says GET
REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"
TEXT: dict[str, Any] = {"type": "string"}
PICTURES = ("image/jpeg", "image/png")
PHONE: list[dict[str, list[str]]] = [{"phone": []}]
ABOUT = "A phone's key, `Authorization: Bearer KEY`, comes from `POST /v1/devices`. Times are seconds since 1970."


class Acknowledgement(msgspec.Struct):
    """What is durable, as ranges of numbers, and what became of what is not trusted. `unreadable` says what was wrong
    with a body that was kept as it came."""

    ack: list[tuple[int, int]]
    verdicts: dict[str, Verdict]
    server_time: float
    unreadable: str | msgspec.UnsetType = msgspec.UNSET


class Refusal(msgspec.Struct):
    """Why not, in a line."""

    error: str


class JobNote(msgspec.Struct):
    """What somebody said about a visit."""

    author: str
    text: str
    time_s: float


class Job(msgspec.Struct):
    """A visit as its technician's phone shows it."""

    id: str
    number: int | None
    state: State
    previous_state: State | None
    version: int
    day: str
    stop_number: int | None
    promised: tuple[float, float] | None
    lat: float
    lon: float
    address: str
    summary: str
    customer: str
    phone: str | None
    access: str
    proof: dict[str, str]
    notes: list[JobNote]


class Jobs(msgspec.Struct):
    """Today's and tomorrow's visits, and those that ended today."""

    server_time: float
    jobs: list[Job]


class Received(msgspec.Struct):
    """How many bytes of a file are here, and its hash when all are."""

    received: int
    sha256: str | None


class Region(msgspec.Struct):
    """The map that phones show: where it is, and a version that changes with it."""

    kind: str
    url: str | msgspec.UnsetType = msgspec.UNSET
    size_bytes: int | msgspec.UnsetType = msgspec.UNSET
    version: str | msgspec.UnsetType = msgspec.UNSET
    attribution: str | msgspec.UnsetType = msgspec.UNSET


class Detail(msgspec.Struct):
    """Why not, as the framework says it."""

    detail: str


STRUCTS = (WireDelivery, Acknowledgement, Refusal, Detail, Jobs, Received, Region)


def describe(framework: FastAPI) -> dict[str, Any]:
    """The document (OpenAPI 3.1)."""
    document = get_openapi(
        title="Doorstep", version="1", description=ABOUT, routes=framework.routes, separate_input_output_schemas=False
    )
    for path, operations in _by_hand().items():
        document["paths"].setdefault(path, {}).update(operations)
    for (path, method), responses in _framework_refusals().items():
        document["paths"][path][method]["responses"].update(responses)
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template=REFERENCE)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {"phone": {"type": "http", "scheme": "bearer"}}
    return document


def _by_hand() -> dict[str, dict[str, Any]]:
    refusals = {401: _json("no phone of ours", Refusal), 503: _json("not now", Refusal, "retry-after")}
    too_large = {413: _json(f"more than {MOST_BODY_BYTES >> 20} MiB inflated, or 10,000 fixes", Refusal)}
    gone = {410: _page("no link, or one that is over"), 503: _page("not now", "retry-after")}
    updates = {200: {"description": "`status`, `position`, `end`", "content": {"text/event-stream": {"schema": TEXT}}}}
    return {
        "/v1/fixes": {
            "post": {
                "summary": "Send fixes and taps; the answer names what is committed",
                "security": PHONE,
                "parameters": [_parameter("content-encoding", "header", {"enum": ["gzip", "identity"]})],
                "requestBody": {"content": {JSON: {"schema": _of(WireDelivery)}}, "required": True},
                "responses": _said({200: _json("kept, or kept as it came", Acknowledgement), **too_large, **refusals}),
            }
        },
        "/v1/stream": {
            "get": {
                "summary": "A WebSocket: bodies of `POST /v1/fixes` with an `id` in front, which their answers carry",
                "security": PHONE,
                "responses": _said(
                    {
                        101: {"description": "from now on messages, text or gzip in binary"},
                        403: _json("a browser", Refusal),
                        404: {"description": "no WebSocket"},
                        409: _json("two phones with one key", Refusal),
                        **refusals,
                    }
                ),
            }
        },
        "/v1/jobs": {
            "get": {
                "summary": "The technician's visits",
                "security": PHONE,
                "parameters": [_parameter("if-none-match", "header", {"type": "string"})],
                "responses": _said(
                    {200: _json("as they are", Jobs, "etag"), 304: {"description": "as they were"}, **refusals}
                ),
            }
        },
        "/v1/files/{file_id}": {
            "put": {
                "summary": "A piece of a photo or signature; the answer says where the next one begins",
                "security": PHONE,
                "parameters": [
                    _parameter("file_id", "path", {"type": "string", "format": "uuid"}),
                    _parameter("content-range", "header", {"type": "string"}, required=True),
                    _parameter("x-job", "header", {"type": "string", "format": "uuid"}, required=True),
                    _parameter("x-kind", "header", {"enum": list(KINDS)}, required=True),
                    _parameter("x-sha256", "header", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, required=True),
                    _parameter("x-made-at", "header", {"type": "number", "exclusiveMinimum": 0}, required=True),
                ],
                "requestBody": {
                    "content": {
                        kind: {"schema": {"maxLength": MOST_PIECE_BYTES}} for kind in ("image/jpeg", "image/png")
                    }
                },
                "responses": _said(
                    {
                        200: _json("taken", Received),
                        400: _json("a head that does not fit its body", Refusal),
                        409: _json("another file has this id", Refusal),
                        413: _json("too large", Refusal),
                        415: _json("no picture", Refusal),
                        429: _json("too many", Refusal, "retry-after"),
                        **refusals,
                    }
                ),
            }
        },
        "/v1/region": {
            "get": {
                "summary": "Which map phones show",
                "responses": _said({200: _json("this one", Region), 503: _json("the file is away", Refusal)}),
            }
        },
        **{
            f"{place}/updates": {
                "get": {
                    "summary": "What a customer's page shows, and every change of it",
                    "parameters": [_parameter(place.partition("{")[2][:-1], "path", TEXT)],
                    "responses": _said({**updates, **gone}),
                }
            }
            for place in ("/j/{link_id}", "/t/{token}")
        },
        "/board/updates": {
            "get": {
                "summary": "What a dispatcher's board shows, and every change of it",
                "responses": _said(
                    {**updates, **{code: _text("not yours to see") for code in (401, 403)}, 503: _text("not now")}
                ),
            }
        },
        PATH: {
            "get": {"summary": "This document", "responses": _said({200: {"description": "it", "content": {JSON: {}}}})}
        },
    }


def _framework_refusals() -> dict[tuple[str, str], dict[str, Any]]:
    """What the framework does not know of its own routes."""
    refused = {422: _json("unreadable", Refusal), 503: _json("not now", Refusal, "retry-after")}
    pairing = {404: _json("no such code", Detail), 413: _json("too long", Detail), 429: _json("too often", Detail)}
    way = {401: _json("no phone of ours", Refusal), 404: _json("no way", Refusal), 429: _json("too often", Refusal)}
    return {
        ("/v1/devices", "post"): _said({**pairing, **refused}),
        ("/v1/jobs/{job_id}/route", "get"): _said({**way, **refused}),
        ("/readyz", "get"): _said({503: _response("not ready", JSON, {}, ())}),
    }


def _said(responses: dict[int, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(status): response for status, response in sorted(responses.items())}


def _of(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=struct.__name__)}


def _json(what: str, struct: type[msgspec.Struct], *headers: str) -> dict[str, Any]:
    return _response(what, JSON, _of(struct), headers)


def _page(what: str, *headers: str) -> dict[str, Any]:
    return _response(what, "text/html", TEXT, headers)


def _text(what: str, *headers: str) -> dict[str, Any]:
    return _response(what, "text/plain", TEXT, headers)


def _response(what: str, media_type: str, schema: dict[str, Any], headers: tuple[str, ...]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": what, "content": {media_type: {"schema": schema}}}
    return response | {"headers": {name: {"schema": TEXT} for name in headers}} if headers else response


def _parameter(name: str, where: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema, "required": required or where == "path"}
