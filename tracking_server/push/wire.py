"""The three updates of a page's stream (server-sent events): `status`, `position`, `end`."""

from __future__ import annotations

import re

import msgspec

from tracking_server.domain.updates import Position

RETRY_MS = 2_000
LINE_END = re.compile(
    r"\r\n|\r|\n"
)  # what a reader of the stream takes for one: nobody's text begins a line of its own
_encode = msgspec.json.Encoder().encode
PING = b"event: ping\ndata:\n\n"  # an event, not a comment: the page must hear that the line still stands


def status(html: str) -> bytes:
    """The page's words, as the HTML that stands in the page; without an id."""
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(html))
    return f"event: status\n{lines}\n".encode()


def position_facts(at: Position, now_s: float) -> dict[str, float | None]:
    """Where the technician is: no words. The age is counted by the server, as a phone's clock may be wrong."""
    return {
        "lon": round(at.lon, 6),
        "lat": round(at.lat, 6),
        "accuracy_m": at.accuracy_m,
        "course_deg": at.course_deg,
        "age_s": round(max(now_s - at.time_s, 0.0), 1),
    }


def position(at: Position, now_s: float) -> bytes:
    """A position as an update; without an id."""
    return b"event: position\ndata: %b\n\n" % _encode(position_facts(at, now_s))


def numbered(version: int, technician_version: int, update: bytes) -> bytes:
    """An update with its id: the versions of the job and of its technician."""
    return b"id: %d.%d\n%b" % (version, technician_version, update)


def end() -> bytes:
    """Nothing more will come: the page closes its stream."""
    return b"id: end\nevent: end\ndata: \n\n"


def opening() -> bytes:
    """How long a browser waits before it connects again."""
    return b"retry: %d\n\n" % RETRY_MS
