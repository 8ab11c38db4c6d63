"""What is remembered of one technician between two batches, and in which order their fixes may be judged.

Two lanes: the position follows the newest trusted fix at once; geofence and job state advance only in the order of the
phone's numbers. Fixes newer than a gap wait for the backlog, at most `GAP_WAIT_S`, then are judged without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from tracking_server.domain.fix import DAY_S, FUTURE_LIMIT_S, Fix, stream_day_s
from tracking_server.domain.geofence import Presence

GAP_WAIT_S = 60.0
MOST_RANGES = 64  # a phone with more holes than this is not sending a backlog: the oldest hole is given up
MOST_PHONES = 3  # remembered per technician: an old one, a new one, and one in between

Ranges = tuple[tuple[int, int], ...]


class Stay(NamedTuple):
    """The geofence's memory of one stop, for one assignment of it."""

    assignment: int
    presence: Presence


class Progress(NamedTuple):
    """How far one phone's stream was answered. `seen` are the answered numbers, merged."""

    stream: int
    seen: Ranges = ()
    waiting_since_s: float | None = None

    @property
    def front(self) -> int:
        """Up to this number everything was answered. Streams begin at 0 or 1."""
        return self.seen[0][1] if self.seen and self.seen[0][0] <= 1 else 0

    @property
    def whole(self) -> bool:
        """Nothing was answered beyond a gap."""
        return not self.seen or (len(self.seen) == 1 and self.seen[0][1] == self.front)


class Suspect(NamedTuple):
    """A fix that implied a jump and waits for its other side."""

    device_id: UUID
    fix: Fix


class Checkpoint(NamedTuple):
    """The technician's memory. A technician has one phone, or a new one beside the old one for a while.

    A tuple, as what it is made of: each fix makes several of them, and frozen dataclasses take five times as long.
    """

    progress: Mapping[UUID, Progress] = MappingProxyType({})  # by device, the latest to speak last
    judged: Fix | None = None
    position: Fix | None = None
    suspect: Suspect | None = None
    eta_s: float | None = None
    stays: Mapping[UUID, Stay] = MappingProxyType({})

    @property
    def gap_due_s(self) -> float | None:
        """When the wait for a backlog ends."""
        waits = [item.waiting_since_s for item in self.progress.values() if item.waiting_since_s is not None]
        return min(waits) + GAP_WAIT_S if waits else None

    def to_json(self) -> dict[str, Any]:
        """Plain values for the technician's row."""
        return {
            "progress": {
                device_id.hex: [item.stream, item.seen, item.waiting_since_s]
                for device_id, item in self.progress.items()
            },
            "judged": _fix_to_json(self.judged),
            "position": _fix_to_json(self.position),
            "suspect": None if self.suspect is None else [self.suspect.device_id.hex, _fix_to_json(self.suspect.fix)],
            "eta_s": self.eta_s,
            "stays": {job_id.hex: [stay.assignment, stay.presence.to_json()] for job_id, stay in self.stays.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Checkpoint:
        """The reverse of `to_json`; an empty object is a technician who never sent anything."""
        if not value:
            return cls()
        return cls(
            progress={
                UUID(device_id): Progress(stream, tuple((first, last) for first, last in seen), waiting_since_s)
                for device_id, (stream, seen, waiting_since_s) in value["progress"].items()
            },
            judged=_fix_from_json(value["judged"]),
            position=_fix_from_json(value["position"]),
            suspect=_suspect_from_json(value["suspect"]),
            eta_s=value["eta_s"],
            stays={
                UUID(job_id): Stay(assignment, Presence.from_json(presence))
                for job_id, (assignment, presence) in value["stays"].items()
            },
        )


class Stretch(NamedTuple):
    """Fixes of one stream, numbered `first` to `last`, that may be judged now; `stored` says that some of them came
    with earlier batches."""

    device_id: UUID
    stream: int
    first: int
    last: int
    stored: bool


def receive(
    checkpoint: Checkpoint, device_id: UUID, stream: int, numbers: Iterable[int], now_s: float
) -> tuple[Checkpoint, Stretch | None]:
    """Note what a phone sent, and say how far the order lane may go.

    An older stream than the phone's newest is a backlog that nobody waits for: kept, without events. Newest is the
    larger one, unless that was begun on a day which has not come: then the phone's clock was put right meanwhile.
    """
    batch = merge((), numbers)
    progress = checkpoint.progress.get(device_id)
    if progress is None or stream > progress.stream or _is_to_come(progress.stream, now_s) > _is_to_come(stream, now_s):
        progress = Progress(stream)
    elif stream < progress.stream:
        return checkpoint, None
    before = progress.front
    if progress.whole and len(batch) == 1 and batch[0][0] == before + 1 > 1:  # nearly always: it goes on
        last = batch[0][1]
        progress = Progress(stream, ((progress.seen[0][0], last),))
        stretch: Stretch | None = Stretch(device_id, stream, before + 1, last, False)
    else:
        progress = progress._replace(seen=_bounded(union(progress.seen, batch)))
        progress, stretch = _open(device_id, progress, before, batch, now_s)
    others = [(id_, item) for id_, item in checkpoint.progress.items() if id_ != device_id]
    latest = dict([*others, (device_id, progress)][-MOST_PHONES:])
    return checkpoint._replace(progress=latest), stretch


def forget_what_is_to_come(checkpoint: Checkpoint, now_s: float) -> Checkpoint:
    """Without what bears a time that has not come: our own clock was ahead when it was seen. Nothing that is seen now
    would count as newer until it is that late again."""
    last_s = now_s + FUTURE_LIMIT_S
    position, judged, suspect = checkpoint.position, checkpoint.judged, checkpoint.suspect
    fixes = (position, judged, suspect and suspect.fix)
    if not any(fix is not None and fix.time_s > last_s for fix in fixes):
        return checkpoint
    return checkpoint._replace(
        progress={id_: item._replace(waiting_since_s=None) for id_, item in checkpoint.progress.items()},
        position=None if position is None or position.time_s > last_s else position,
        judged=None if judged is None or judged.time_s > last_s else judged,
        suspect=None if suspect is None or suspect.fix.time_s > last_s else suspect,
        eta_s=None,
        stays={id_: stay for id_, stay in checkpoint.stays.items() if not stay.presence.is_later_than(last_s)},
    )


def _is_to_come(stream: int, now_s: float) -> bool:
    return stream_day_s(stream) > now_s + DAY_S


def give_up_gaps(checkpoint: Checkpoint, now_s: float) -> tuple[Checkpoint, list[Stretch]]:
    """The clock's path: when the wait is over, everything that came may be judged."""
    progress: dict[UUID, Progress] = {}
    stretches = []
    for device_id, item in checkpoint.progress.items():
        progress[device_id], stretch = _open(device_id, item, item.front, (), now_s)
        if stretch is not None:
            stretches.append(stretch)
    return checkpoint._replace(progress=progress), stretches


def _open(
    device_id: UUID, progress: Progress, before: int, batch: Ranges, now_s: float
) -> tuple[Progress, Stretch | None]:
    if progress.waiting_since_s is not None and now_s >= progress.waiting_since_s + GAP_WAIT_S:
        progress = progress._replace(seen=((0, progress.seen[-1][1]),))
    waiting_since_s = None if progress.whole else progress.waiting_since_s or now_s
    progress = progress._replace(waiting_since_s=waiting_since_s)
    first = before + 1 if before or not batch else min(batch[0][0], 1)
    last = progress.front
    if last < first:
        return progress, None
    stored = not any(a <= first and last <= b for a, b in batch)
    return progress, Stretch(device_id, progress.stream, first, last, stored)


def merge(ranges: Ranges, numbers: Iterable[int]) -> Ranges:
    """Inclusive ranges, sorted and joined, with `numbers` added."""
    ordered = sorted(numbers)
    if ordered and ordered[-1] - ordered[0] == len(ordered) - 1 and len(set(ordered)) == len(ordered):
        run = ((ordered[0], ordered[-1]),)  # nearly every delivery is one
        return union(ranges, run) if ranges else run
    runs: list[tuple[int, int]] = []
    begin = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] > ordered[i - 1] + 1:
            runs.append((ordered[begin], ordered[i - 1]))
            begin = i
    return union(ranges, tuple(runs)) if ranges else tuple(runs)


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
    return None if fix is None else list(fix)


def _suspect_from_json(value: list[Any] | None) -> Suspect | None:
    if value is None:
        return None
    fix = _fix_from_json(value[1])
    return None if fix is None else Suspect(UUID(value[0]), fix)


def _fix_from_json(value: list[Any] | None) -> Fix | None:
    return None if value is None else Fix(*value)
