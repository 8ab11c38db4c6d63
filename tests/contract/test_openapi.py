"""`/v1/openapi.json` says what there is, and what there is keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.firm import Firm
from tests.support.server import Server, serving
from tracking_server.app import HotPaths, create_app
from tracking_server.embedded import Installation
from tracking_server.openapi import PATH, REFERENCE, WEBSOCKET, describe
from tracking_server.settings import Settings

EXAMPLES = Path(__file__).parent / "examples"
BUDGET = settings(
    max_examples=12,  # of each operation
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def app() -> HotPaths:
    """Not started: nobody is asked anything."""
    return create_app(Settings(database_url="postgresql+psycopg://nowhere/none", redis_url="redis://nowhere"))


@pytest.fixture(scope="module")
def document(app: HotPaths) -> dict[str, Any]:
    return dict(json.loads(json.dumps(describe(app.rest))))


def test_all_paths_of_phones_and_streams_are_described(app: HotPaths, document: dict[str, Any]) -> None:
    """What is dispatched and what is described are the same, both ways; pages and forms are for browsers."""
    served = {(one.path, "GET" if one.method == WEBSOCKET else one.method) for one in app.hot}
    for route in iter_route_contexts(app.rest.routes):
        path = route.path or ""
        if path.startswith("/v1/") or path in ("/healthz", "/readyz"):
            served |= {(path, method) for method in route.methods or () if method != "HEAD"}
    described = {(path, method.upper()) for path, of in document["paths"].items() for method in of}
    assert described == served


def test_the_document_is_of_openapi_3_1(document: dict[str, Any]) -> None:
    """By the standard's own schema; and no schema is missing that is named."""
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    for name in document["components"]["schemas"]:
        validator_of(document, name)


@pytest.mark.parametrize(
    ("file", "part", "name"),
    [
        ("fixes_request", None, "WireDelivery"),
        ("stream_message", None, "WireDelivery"),
        ("fixes_answer", None, "Acknowledgement"),
        ("stream_answer", None, "Acknowledgement"),
        ("stream_refusal", None, "Refusal"),
        ("jobs_answer", None, "Jobs"),
        ("region_answer", None, "Region"),
        ("file_upload", "answer", "Received"),
        ("file_upload", "last_answer", "Received"),
    ],
)
def test_the_examples_are_as_described(document: dict[str, Any], file: str, part: str | None, name: str) -> None:
    """What phone and service both keep to."""
    example = json.loads((EXAMPLES / f"{file}.json").read_text())
    validator_of(document, name).validate(example[part] if part else example)


def validator_of(document: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$ref": REFERENCE.format(name=name), "components": document["components"]})


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database) as server:
        yield server


async def test_the_service_answers_as_described(server: Server, firm: Firm) -> None:
    """Whatever is sent, by a phone with a key: a status, a kind of content and a form that the document names, and
    never a fault of the service."""
    key = {"authorization": f"Bearer {(await firm.phone()).key}"}
    async with httpx.AsyncClient(base_url=server.url) as client:
        document = (await client.get(PATH)).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.url)
    asked = set()
    for operation in (one.ok() for one in schema.get_all_operations()):
        if operation.path == "/v1/stream":
            continue  # no HTTP

        @BUDGET
        @given(operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=key, checks=CHECKS)

        ask()
        asked.add(operation.path)
    assert asked == set(document["paths"]) - {"/v1/stream"}
