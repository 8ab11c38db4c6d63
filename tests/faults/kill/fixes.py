"""I1 to I6: what phones told of their fixes and taps against what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.kill.history import Acked, FixRow, Gen, Paired, Record, Stored, Tapped, TapRow
from tests.faults.kill.violation import Violation
from tracking_server.turn import NOT_IN_TABLE

MOST_NAMED = 5  # numbers of one stream in a violation: the others say nothing more
SAME_TIME_S = 0.001  # positions are kept to the microsecond, and counted in floats
# A fix of a phone with a wrong clock, sent again, gets its time anew: as much another one as it was longer on its way.
# The row keeps the first time, the position has the last.
SKEW_UNSURE_S = 5.0

Key = tuple[str, int]  # device and stream


@dataclass(slots=True)
class Stream:
    """The numbers of one stream: what the phone told, what it was answered, what is stored."""

    digests: dict[int, str] = field(default_factory=dict)
    acked: dict[int, float] = field(default_factory=dict)  # those not yet found in the store
    dropped: dict[int, str] = field(default_factory=dict)  # answered by a verdict that keeps nothing
    stored: set[int] = field(default_factory=set)
    told_s: dict[int, float] = field(default_factory=dict)  # those not yet settled
    fixes: int = 0
    settled: int = 0  # up to this number everything was told and is stored


class Fixes:
    """Takes a history; `check` says what is wrong with the store at the end of a round."""

    def __init__(self) -> None:
        self.streams: dict[Key, Stream] = defaultdict(Stream)
        self.technicians: dict[str, str] = {}
        self.newest: dict[str, list[FixRow]] = {}  # by technician: the newest trusted fix, and others of its time
        self._contradictions: list[Violation] = []
        self.acked = 0

    def take(self, record: Record) -> None:
        match record:
            case Gen() | Tapped():
                self._tell(record)
            case Acked(at_s, device, number, ranges, verdicts):
                stream = self.streams[device, number]
                stream.dropped |= {seq: verdict for seq, verdict in verdicts.items() if verdict in NOT_IN_TABLE}
                for first, last in ranges:
                    for seq in range(first, last + 1):
                        if seq > stream.settled and seq not in stream.stored and seq not in stream.dropped:
                            stream.acked.setdefault(seq, at_s)
                    self.acked += last - first + 1
            case Paired(_, device, technician, _):
                self.technicians[device] = technician

    def _tell(self, told: Gen | Tapped) -> None:
        stream = self.streams[told.device, told.stream]
        if told.seq > stream.settled:
            stream.told_s.setdefault(told.seq, told.at_s)
        before = stream.digests.setdefault(told.seq, told.digest)
        if before != told.digest:
            what = f"the phone told two things under one number, {_name((told.device, told.stream), [told.seq])}"
            self._contradictions.append(Violation("I3", what, told.at_s))

    def check(self, stored: Stored, emptied_s: float | None) -> Iterator[Violation]:
        """What was told before `emptied_s` is to be stored; None while nothing has to be."""
        yield from self._contradictions
        self._contradictions = []
        yield from self._rows(stored)
        yield from self._counts(stored)
        for key, stream in self.streams.items():
            yield from _acked_is_stored(key, stream, stored.at_s)
            if emptied_s is not None:
                yield from _told_is_stored(key, stream, emptied_s)
            while stream.settled + 1 in stream.stored and stream.settled + 1 in stream.digests:
                stream.settled += 1
                stream.told_s.pop(stream.settled, None)
        yield from self._positions(stored)

    def _rows(self, stored: Stored) -> Iterator[Violation]:
        """I2, I3, I4."""
        seen: set[tuple[str, int, int]] = set()
        wrong: dict[tuple[str, str, Key], list[int]] = defaultdict(list)
        rows: list[FixRow | TapRow] = [*stored.fixes, *stored.taps]
        for row in rows:
            key, id_ = (row.device, row.stream), row[:3]
            stream = self.streams[key]
            if id_ in seen:
                wrong["I2", "stored twice", key].append(row.seq)
                continue
            seen.add(id_)
            if row.seq not in stream.digests:
                wrong["I4", "stored, but no phone made it", key].append(row.seq)
            elif stream.digests[row.seq] != row.digest:
                wrong["I3", "stored with another content than the phone's", key].append(row.seq)
            if row.seq not in stream.stored:
                stream.stored.add(row.seq)
                stream.fixes += isinstance(row, FixRow)
                stream.acked.pop(row.seq, None)
            if isinstance(row, FixRow) and row.verdict is None:
                self._follow(row)
        if stored.whole:
            for key, stream in self.streams.items():
                lost = sorted(seq for seq in stream.stored if (*key, seq) not in seen)
                if lost:
                    wrong["I1", "was stored, and is gone", key] = lost
        for (invariant, what, key), numbers in wrong.items():
            yield Violation(invariant, f"{what}: {_name(key, numbers)}", stored.at_s)

    def _counts(self, stored: Stored) -> Iterator[Violation]:
        """I1 and I2 of what was read in earlier rounds."""
        counts = {(device, stream): fixes for device, stream, fixes in stored.counts}
        for key, stream in self.streams.items():
            count = counts.get(key, 0)
            if count < stream.fixes:
                yield Violation("I1", f"{stream.fixes - count} stored fixes of {_name(key)} are gone", stored.at_s)
            elif count > stream.fixes:
                yield Violation("I2", f"{count - stream.fixes} fixes too many of {_name(key)}", stored.at_s)

    def _follow(self, row: FixRow) -> None:
        technician = self.technicians.get(row.device)
        if technician is not None:
            near = [row, *self.newest.get(technician, ())]
            newest_s = max(fix.time_epoch_s for fix in near)
            self.newest[technician] = [fix for fix in near if fix.time_epoch_s >= newest_s - unsure_s(fix)]

    def _positions(self, stored: Stored) -> Iterator[Violation]:
        """I6. Redis keeps no position: that it brought the right one to the pages is I7."""
        for row in stored.technicians:
            newest = self.newest.get(row.technician, [])
            if not newest:
                if row.position_epoch_s is not None:
                    yield Violation("I6", f"technician {row.technician} has a position and no fix", stored.at_s)
                continue
            right = (
                (row.lon, row.lat) == (fix.lon, fix.lat)
                and abs((row.position_epoch_s or 0.0) - fix.time_epoch_s) <= unsure_s(fix)
                for fix in newest
            )
            if not any(right):
                last = max(newest, key=lambda fix: fix.time_epoch_s)
                name = _name((last.device, last.stream), [last.seq])
                what = (
                    f"technician {row.technician} is at {row.lon}, {row.lat} of {row.position_epoch_s}; "
                    f"their newest fix is at {last.lon}, {last.lat} of {last.time_epoch_s}, {name}"
                )
                yield Violation("I6", what, stored.at_s)


def unsure_s(fix: FixRow) -> float:
    """By how much the time of a position may differ from that of its fix, in seconds."""
    return SKEW_UNSURE_S if fix.skew_s else SAME_TIME_S


def _acked_is_stored(key: Key, stream: Stream, read_s: float) -> Iterator[Violation]:
    """I1, of what was answered before the store was read."""
    lost = {seq: at_s for seq, at_s in stream.acked.items() if at_s < read_s}
    if lost:
        what = f"acknowledged and not stored: {_name(key, list(lost))}; answered first"
        yield Violation("I1", what, min(lost.values()))


def _told_is_stored(key: Key, stream: Stream, emptied_s: float) -> Iterator[Violation]:
    """I5. What was told later is of the next round."""
    told = [seq for seq, at_s in stream.told_s.items() if at_s < emptied_s and seq not in stream.stored]
    missing = [seq for seq in told if seq not in stream.acked and seq not in stream.dropped]
    if missing:
        yield Violation("I5", f"made, not in the outbox any more and not stored: {_name(key, missing)}")
    if stream.dropped:
        verdicts = ", ".join(sorted(set(stream.dropped.values())))
        yield Violation("I5", f"given up as {verdicts}, and was good: {_name(key, list(stream.dropped))}")


def _name(key: Key, numbers: list[int] | None = None) -> str:
    named = f"device {key[0]} stream {key[1]}"
    if numbers is None:
        return named
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"{named} number {', '.join(map(str, sorted(numbers)[:MOST_NAMED]))}{more}"
