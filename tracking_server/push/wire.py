"""The three updates of a page's stream (server-sent events): `status`, `position`, `end`."""

from __future__ import annotations

import json
import re

from tracking_server.domain.updates import Position

RETRY_MS = 2_000
LINE_END = re.compile(
    r"\r\n|\r|\n"
)  # what a reader of the stream takes for one: nobody's text begins a line of its own
PING = b"event: ping\ndata:\n\n"  # an event, not a comment: the page must hear that the line still stands


def status(html: str, update_id: str) -> bytes:
    """The page's words, as the HTML that stands in the page."""
    return _event("status", html, update_id)


def position_facts(at: Position, now_s: float) -> dict[str, float | None]:
    """Where the technician is: no words. The age is counted by the server, as a phone's clock may be wrong."""
    return {
        "lon": round(at.lon, 6),
        "lat": round(at.lat, 6),
        "accuracy_m": at.accuracy_m,
        "course_deg": at.course_deg,
        "age_s": round(max(now_s - at.time_s, 0.0), 1),
    }


def position(at: Position, now_s: float, update_id: str) -> bytes:
    """A position as an update."""
    return _event("position", json.dumps(position_facts(at, now_s), separators=(",", ":")), update_id)


def end() -> bytes:
    """Nothing more will come: the page closes its stream."""
    return _event("end", "", "end")


def opening() -> bytes:
    """How long a browser waits before it connects again."""
    return b"retry: %d\n\n" % RETRY_MS


def _event(name: str, data: str, update_id: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return f"id: {update_id}\nevent: {name}\n{lines}\n".encode()
