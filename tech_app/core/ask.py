"""One HTTP request to the service on a connection of its own: for what is asked seldom."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tech_app.core.line import ANSWER_WITHIN_S, NotNow


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; the names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    url: str,
    tls: ssl.SSLContext | None,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    most_bytes: int,
    body: bytes | None = None,
) -> Reply:
    """Ask for `path` below the service's `url`, with `tls` for https; blocks. Raises `NotNow` when nothing comes back,
    or more than `most_bytes`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPConnection(host, parts.port, timeout=ANSWER_WITHIN_S)
        if tls is None
        else http.client.HTTPSConnection(host, parts.port, timeout=ANSWER_WITHIN_S, context=tls)
    )
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, dict(headers))
        response = connection.getresponse()
        answer = response.read(most_bytes + 1)
        told = {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException) as error:
        raise NotNow(f"no connection: {error!r}") from error
    finally:
        connection.close()
    if len(answer) > most_bytes:
        raise NotNow(f"the service said more than {most_bytes} bytes to {method} {path}")
    return Reply(response.status, told, answer)
