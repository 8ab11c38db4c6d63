"""What a technician taps: rows of the outbox, sent before the fixes that follow them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum


class TapKind(StrEnum):
    """Everything that can be tapped. The words are those of the service."""

    shift_start = "shift_start"
    shift_end = "shift_end"
    break_start = "break_start"
    break_end = "break_end"
    en_route = "en_route"
    arrived = "arrived"
    start = "start"
    done = "done"
    no_access = "no_access"
    undo = "undo"
    not_home = "not_home"
    late = "late"
    note = "note"


@dataclass(frozen=True, slots=True)
class Tap:
    """A tap at its own time, UTC seconds on the phone's clock.

    `reason` says why a job cannot be done or a break is taken, `text` is a note, `minutes` how late one will be.
    """

    time_s: float
    kind: TapKind
    job: str | None = None
    reason: str | None = None
    text: str | None = None
    minutes: int | None = None

    def to_json(self) -> str:
        """An object without the number it gets in the outbox. Half a character, as keyboards leave it, becomes ?."""
        said = {"time": round(self.time_s, 2), "kind": self.kind.value}
        more = {name: getattr(self, name) for name in ("job", "reason", "text", "minutes")}
        said |= {name: value for name, value in more.items() if value is not None}
        text = json.dumps(said, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def read_tap(text: str) -> Tap:
    """The reverse of `to_json`; a number in it is ignored."""
    said = json.loads(text)
    more = {name: said.get(name) for name in ("job", "reason", "text", "minutes")}
    return Tap(said["time"], TapKind(said["kind"]), **more)
