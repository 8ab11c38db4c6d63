"""Fixes, taps and what could not be kept: written once, whatever is sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.checkpoint import Stretch
from tracking_server.domain.events import Tap, TapVerdict
from tracking_server.domain.fix import Fix, Verdict
from tracking_server.store import packing
from tracking_server.store.devices import Device
from tracking_server.store.engine import driver_connection, to_time
from tracking_server.store.schema import fix as fix_table
from tracking_server.store.schema import quarantine as quarantine_table
from tracking_server.store.schema import tap as tap_table

MOST_BODY_BYTES = 65_536
ROWS_PER_STATEMENT = 1_000

# Sorted by key: concurrent batches that lock the same keys in different orders deadlock. RETURNING 1 counts the new
# rows and is all that an INSERT-only role may return.
INSERT = """
INSERT INTO fix (organisation_id, device_id, stream, seq, fix_time, received_at, skew_s, geom, accuracy_m, speed_mps,
                 course_deg, altitude_m, battery_pct, mock, verdict)
SELECT organisation_id, device_id, stream, seq, fix_time, received_at, skew_s, geom::geometry, accuracy_m, speed_mps,
       course_deg, altitude_m, battery_pct, mock, verdict
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)
  AS new (organisation_id, device_id, stream, seq, fix_time, received_at, skew_s, geom, accuracy_m, speed_mps,
          course_deg, altitude_m, battery_pct, mock, verdict)
ORDER BY device_id, stream, seq
ON CONFLICT DO NOTHING
RETURNING 1
"""

MARK_TAPS = """
UPDATE tap SET verdict = new.verdict
FROM unnest(%b, %b, %b, %b, %b) AS new (organisation_id, device_id, stream, seq, verdict)
WHERE tap.organisation_id = new.organisation_id AND tap.device_id = new.device_id
  AND tap.stream = new.stream AND tap.seq = new.seq
"""


class FixRows(NamedTuple):
    """Fixes of one delivery on their way into the table, each with its verdict: none for a trusted one."""

    organisation_id: UUID
    device_id: UUID
    received_s: float
    skew_s: float
    fixes: Sequence[Fix]
    verdicts: Sequence[Verdict | None]

    def one_by_one(self) -> Iterator[FixRows]:
        """The same, each fix alone."""
        for fix, verdict in zip(self.fixes, self.verdicts, strict=True):
            yield self._replace(fixes=(fix,), verdicts=(verdict,))


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something a phone sent that cannot be kept as a fix: it goes to quarantine as it came."""

    device_id: UUID
    reason: Verdict
    body: bytes
    received_s: float
    stream: int | None = None
    seq: int | None = None

    @property
    def digest(self) -> bytes:
        """What makes it the same thing when it is sent again: its identity where it has one, else its bytes."""
        identity = b"%d/%d" % (self.stream, self.seq) if self.stream is not None and self.seq is not None else self.body
        return hashlib.sha256(identity).digest()


async def insert_fixes(connection: AsyncConnection, rows: Sequence[FixRows]) -> int:
    """Insert the fixes of all organisations in one statement; returns how many were new.

    Runs as the INSERT-only role, whose policy refuses a row whose organisation is not its device's.
    """
    if not any(some.fixes for some in rows):
        return 0
    driver = await driver_connection(connection)
    async with driver.cursor(binary=True) as cursor:
        await cursor.execute("SET LOCAL ROLE doorstep_ingest")
        await cursor.execute(INSERT, columns(rows))
        new = cursor.rowcount
        await cursor.execute("SET LOCAL ROLE NONE")
    return new


def columns(rows: Sequence[FixRows]) -> tuple[packing.Packed, ...]:
    """What `INSERT` takes, in its order."""
    counts = [len(some.fixes) for some in rows]
    fixes = Columns(*zip(*chain.from_iterable(some.fixes for some in rows), strict=True))
    return (
        packing.uuids((some.organisation_id for some in rows), counts),
        packing.uuids((some.device_id for some in rows), counts),
        packing.int8s(fixes.stream),
        packing.int8s(fixes.seq),
        packing.times(fixes.time_s),
        packing.times(_each(counts, (some.received_s for some in rows))),
        packing.float8s(_each(counts, (some.skew_s for some in rows))),
        packing.points(list(zip(fixes.lon, fixes.lat, strict=True))),
        packing.float4s(fixes.accuracy_m),
        packing.float4s(fixes.speed_mps),
        packing.float4s(fixes.course_deg),
        packing.float4s(fixes.altitude_m),
        packing.float4s(fixes.battery_pct),
        packing.bools(fixes.mock),
        packing.texts(list(chain.from_iterable(some.verdicts for some in rows))),
    )


class Columns(NamedTuple):
    """Fixes by column; the fields are those of `Fix`."""

    stream: Sequence[int]
    seq: Sequence[int]
    time_s: Sequence[float]
    lon: Sequence[float]
    lat: Sequence[float]
    accuracy_m: Sequence[float | None]
    speed_mps: Sequence[float | None]
    course_deg: Sequence[float | None]
    altitude_m: Sequence[float | None]
    battery_pct: Sequence[float | None]
    mock: Sequence[bool]


def _each(counts: Iterable[int], values: Iterable[float]) -> list[float]:
    """Each value as often as its count says."""
    return list(chain.from_iterable(map(repeat, values, counts)))


async def read_stretch(connection: AsyncConnection, organisation_id: UUID, stretch: Stretch) -> list[Fix]:
    """The trusted fixes of a stretch of a stream, in order."""
    rows = await connection.execute(
        sa.select(
            fix_table.c.seq,
            sa.func.extract("epoch", fix_table.c.fix_time).cast(sa.Double).label("time_s"),
            sa.func.ST_X(fix_table.c.geom).label("lon"),
            sa.func.ST_Y(fix_table.c.geom).label("lat"),
            fix_table.c.accuracy_m,
            fix_table.c.speed_mps,
            fix_table.c.course_deg,
            fix_table.c.altitude_m,
            fix_table.c.battery_pct,
            fix_table.c.mock,
        )
        .where(
            fix_table.c.organisation_id == organisation_id,
            fix_table.c.device_id == stretch.device_id,
            fix_table.c.stream == stretch.stream,
            fix_table.c.seq.between(stretch.first, stretch.last),
            fix_table.c.verdict.is_(None),
        )
        .order_by(fix_table.c.fix_time, fix_table.c.seq)
    )
    return [Fix(stream=stretch.stream, **row._mapping) for row in rows]


async def clear_verdicts(
    connection: AsyncConnection, organisation_id: UUID, cleared: Iterable[tuple[UUID, Fix]]
) -> None:
    """Fixes taken for jumps were none: their next neighbours are where they were."""
    for device_id, fix in cleared:
        await connection.execute(
            fix_table.update()
            .where(
                fix_table.c.organisation_id == organisation_id,
                fix_table.c.device_id == device_id,
                fix_table.c.stream == fix.stream,
                fix_table.c.seq == fix.seq,
            )
            .values(verdict=None)
        )


@dataclass(frozen=True, slots=True)
class TapReceipt:
    """What became of a delivery's taps in the store: the numbers that were new, and the verdicts given before."""

    new: frozenset[int] = frozenset()
    verdicts: dict[int, str] = field(default_factory=dict)


async def insert_taps(
    connection: AsyncConnection, device: Device, stream: int, taps: Iterable[Tap], received_s: float
) -> TapReceipt:
    """Keep the taps of one stream. Only new ones may have an effect; what was sent again is answered as before."""
    values = [
        {
            "organisation_id": device.organisation_id,
            "device_id": device.id,
            "stream": stream,
            "seq": tap.seq,
            "technician_id": device.technician_id,
            "kind": tap.kind.value,
            "job_id": tap.job_id,
            "reason": tap.reason,
            "text": tap.text,
            "minutes": tap.minutes,
            "at": to_time(tap.time_s),
            "received_at": to_time(received_s),
        }
        for tap in sorted(taps, key=lambda tap: tap.seq)
    ]
    new: set[int] = set()
    for chunk in _chunks(values):
        statement = insert(tap_table).values(chunk).on_conflict_do_nothing().returning(tap_table.c.seq)
        new |= set(await connection.scalars(statement))
    if len(new) == len(values):
        return TapReceipt(frozenset(new))
    known = await connection.execute(
        sa.select(tap_table.c.seq, tap_table.c.verdict).where(
            tap_table.c.organisation_id == device.organisation_id,
            tap_table.c.device_id == device.id,
            tap_table.c.stream == stream,
            tap_table.c.seq.in_([value["seq"] for value in values]),
            tap_table.c.verdict.is_not(None),
        )
    )
    return TapReceipt(frozenset(new), {row.seq: row.verdict for row in known})


async def mark_taps(connection: AsyncConnection, taps: Sequence[tuple[Device, Tap, TapVerdict]]) -> None:
    """Note why taps changed nothing."""
    if not taps:
        return
    driver = await driver_connection(connection)
    await driver.execute(
        MARK_TAPS,
        (
            packing.uuids([device.organisation_id for device, _, _ in taps]),
            packing.uuids([device.id for device, _, _ in taps]),
            packing.int8s([tap.stream for _, tap, _ in taps]),
            packing.int8s([tap.seq for _, tap, _ in taps]),
            packing.texts([verdict.value for _, _, verdict in taps]),
        ),
    )


async def quarantine(connection: AsyncConnection, organisation_id: UUID, rejected: Iterable[Rejected]) -> None:
    """Keep what cannot be a fix, once."""
    values = [
        {
            "organisation_id": organisation_id,
            "device_id": item.device_id,
            "stream": item.stream,
            "seq": item.seq,
            "digest": item.digest,
            "received_at": to_time(item.received_s),
            "reason": item.reason.value,
            "body": item.body[:MOST_BODY_BYTES],
        }
        for item in sorted(rejected, key=lambda item: (str(item.device_id), item.digest))
    ]
    for chunk in _chunks(values):
        await connection.execute(insert(quarantine_table).values(chunk).on_conflict_do_nothing())


def _chunks(values: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A statement takes at most 65,535 parameters."""
    return (values[i : i + ROWS_PER_STATEMENT] for i in range(0, len(values), ROWS_PER_STATEMENT))
