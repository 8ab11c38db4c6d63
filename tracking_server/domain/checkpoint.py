"""What is remembered of one technician between two batches, and in which order their fixes may be judged.

Two lanes: the position follows the newest trusted fix at once; geofence and job state advance only in the order of the
phone's numbers. Fixes newer than a gap wait for the backlog, at most `GAP_WAIT_S`, then are judged without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace
from typing import Any
from uuid import UUID

from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Presence

GAP_WAIT_S = 60.0
MOST_RANGES = 64  # a phone with more holes than this is not sending a backlog: the oldest hole is given up

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Stay:
    """The geofence's memory of one stop, for one assignment of it."""

    assignment: int
    presence: Presence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The technician's memory. `seen` are the answered numbers of the stream, merged."""

    device_id: UUID | None = None
    stream: int = 0
    seen: Ranges = ()
    waiting_since_s: float | None = None
    judged: Fix | None = None
    position: Fix | None = None
    suspect: Fix | None = None
    eta_s: float | None = None
    stays: dict[UUID, Stay] = field(default_factory=dict)

    @property
    def front(self) -> int:
        """Up to this number everything was answered. Streams begin at 0 or 1."""
        return self.seen[0][1] if self.seen and self.seen[0][0] <= 1 else 0

    @property
    def gap_due_s(self) -> float | None:
        """When the wait for a backlog ends."""
        return None if self.waiting_since_s is None else self.waiting_since_s + GAP_WAIT_S

    def to_json(self) -> dict[str, Any]:
        """Plain values for the technician's row."""
        return {
            "device": self.device_id.hex if self.device_id else None,
            "stream": self.stream,
            "seen": self.seen,
            "waiting_since_s": self.waiting_since_s,
            "judged": _fix_to_json(self.judged),
            "position": _fix_to_json(self.position),
            "suspect": _fix_to_json(self.suspect),
            "eta_s": self.eta_s,
            "stays": {job_id.hex: [stay.assignment, stay.presence.to_json()] for job_id, stay in self.stays.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Checkpoint:
        """The reverse of `to_json`; an empty object is a technician who never sent anything."""
        if not value:
            return cls()
        return cls(
            device_id=UUID(value["device"]) if value["device"] else None,
            stream=value["stream"],
            seen=tuple((first, last) for first, last in value["seen"]),
            waiting_since_s=value["waiting_since_s"],
            judged=_fix_from_json(value["judged"]),
            position=_fix_from_json(value["position"]),
            suspect=_fix_from_json(value["suspect"]),
            eta_s=value["eta_s"],
            stays={
                UUID(job_id): Stay(assignment, Presence.from_json(presence))
                for job_id, (assignment, presence) in value["stays"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Advance:
    """Fixes numbered `first` to `last` may be judged now; `stored` says that some came with earlier batches."""

    checkpoint: Checkpoint
    first: int
    last: int
    stored: bool

    @property
    def empty(self) -> bool:
        return self.last < self.first


def receive(checkpoint: Checkpoint, device_id: UUID, stream: int, numbers: Iterable[int], now_s: float) -> Advance:
    """Note what a phone sent, and say how far the order lane may go.

    An older stream than the checkpoint's is a backlog that nobody waits for: kept, without events.
    """
    batch = merge((), numbers)
    if (checkpoint.device_id, checkpoint.stream) != (device_id, stream):
        if checkpoint.device_id == device_id and stream < checkpoint.stream:
            return Advance(checkpoint, 1, 0, stored=False)
        checkpoint = replace(checkpoint, device_id=device_id, stream=stream, seen=(), waiting_since_s=None)
    before = checkpoint.front
    checkpoint = replace(checkpoint, seen=_bounded(union(checkpoint.seen, batch)))
    return _open(checkpoint, before, batch, now_s)


def give_up_gap(checkpoint: Checkpoint, now_s: float) -> Advance:
    """The clock's path: when the wait is over, everything that came may be judged."""
    return _open(checkpoint, checkpoint.front, (), now_s)


def _open(checkpoint: Checkpoint, before: int, batch: Ranges, now_s: float) -> Advance:
    due_s = checkpoint.gap_due_s
    if due_s is not None and now_s >= due_s:
        checkpoint = replace(checkpoint, seen=((0, checkpoint.seen[-1][1]),))
    front = checkpoint.front
    whole = len(checkpoint.seen) <= 1 and (not checkpoint.seen or checkpoint.seen[0][1] == front)
    waiting_since_s = None if whole else checkpoint.waiting_since_s or now_s
    first = before + 1 if before or not batch else min(batch[0][0], 1)
    stored = first <= front and not any(a <= first and front <= b for a, b in batch)
    return Advance(replace(checkpoint, waiting_since_s=waiting_since_s), first, front, stored)


def merge(ranges: Ranges, numbers: Iterable[int]) -> Ranges:
    """Inclusive ranges, sorted and joined, with `numbers` added."""
    return union(ranges, tuple((n, n) for n in numbers))


def union(a: Ranges, b: Ranges) -> Ranges:
    """Two lists of inclusive ranges as one, sorted and joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted((*a, *b)):
        if joined and first <= joined[-1][1] + 1:
            if last > joined[-1][1]:
                joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return tuple(joined)


def _bounded(ranges: Ranges) -> Ranges:
    if len(ranges) <= MOST_RANGES:
        return ranges
    return ((ranges[0][0], ranges[-MOST_RANGES][1]), *ranges[1 - MOST_RANGES :])


def _fix_to_json(fix: Fix | None) -> list[Any] | None:
    return None if fix is None else list(astuple(fix))


def _fix_from_json(value: list[Any] | None) -> Fix | None:
    return None if value is None else Fix(*value)
