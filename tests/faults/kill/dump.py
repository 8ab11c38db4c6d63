"""The database at the end of a round, as the checker reads it: raw rows, none of them through the code under test."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.faults.kill.history import (
    AuditRow,
    EventRow,
    FixRow,
    JobRow,
    LinkRow,
    MessageRow,
    Stored,
    TapRow,
    TechnicianRow,
    fix_digest,
    tap_digest,
)
from tracking_server.store.engine import snapshot

AGAIN_S = 60.0  # what was settled so long before the last reading is read once more: it may have committed after it

FIXES = """
SELECT device_id, stream, seq, extract(epoch FROM fix_time)::float8 AS time_s, skew_s,
       extract(epoch FROM received_at)::float8 AS received_s, ST_X(geom) AS lon, ST_Y(geom) AS lat,
       accuracy_m, speed_mps, course_deg, altitude_m, battery_pct, mock, verdict
FROM fix LEFT JOIN (SELECT * FROM unnest(:devices ::uuid[], :streams ::bigint[], :seqs ::bigint[])
                    AS read (device_id, stream, last)) AS read USING (device_id, stream)
WHERE seq > coalesce(read.last, -1)
ORDER BY device_id, stream, seq
"""
TAPS = """
SELECT device_id, stream, seq, kind, job_id, reason, text, minutes, verdict,
       extract(epoch FROM at)::float8 AS at_s, extract(epoch FROM received_at)::float8 AS received_s, {committed}
FROM tap LEFT JOIN (SELECT * FROM unnest(:devices ::uuid[], :streams ::bigint[], :seqs ::bigint[])
                    AS read (device_id, stream, last)) AS read USING (device_id, stream)
WHERE seq > coalesce(read.last, -1)
ORDER BY device_id, stream, seq
"""
COUNTS = "SELECT device_id, stream, count(*) AS fixes FROM fix GROUP BY device_id, stream"
TECHNICIANS = """
SELECT id, version, extract(epoch FROM position_time)::float8 AS position_s,
       ST_X(position) AS lon, ST_Y(position) AS lat,
       extract(epoch FROM shift.started_at)::float8 AS started_s, shift.breaks
FROM technician LEFT JOIN shift ON shift.technician_id = technician.id AND shift.ended_at IS NULL
"""
JOBS = """
SELECT job.*, extract(epoch FROM promise.earliest)::float8 AS earliest_s,
       extract(epoch FROM promise.latest)::float8 AS latest_s
FROM job LEFT JOIN promise ON promise.job_id = job.id AND promise.number = job.promise
"""
LINKS = """
SELECT id, job_id, contact_id, created_at, expires_at, revoked_at,
       extract(epoch FROM coalesce(revoked_at, created_at))::float8 AS received_s, {committed}
FROM link
"""
EVENTS = """
SELECT id, job_id, version, kind, evidence, extract(epoch FROM at)::float8 AS at_s,
       extract(epoch FROM recorded_at)::float8 AS received_s, {committed}
FROM event WHERE id > :last ORDER BY id
"""
AUDITS = """
SELECT id, job_id, action, from_state, to_state, technician_id, at
FROM audit WHERE id > :last AND from_state IS NOT NULL ORDER BY id
"""
MESSAGES = "SELECT * FROM message WHERE settled_at IS NULL OR settled_at >= to_timestamp(:since) OR :whole"


class Dumper:
    """Reads what is new since its last reading, or everything.

    A number is passed over once all before it were read. Of messages, those are read that were settled since.
    """

    def __init__(self, engine: AsyncEngine, organisation_id: UUID) -> None:
        self._engine = engine
        self._organisation_id = organisation_id
        self._read: dict[tuple[UUID, int], int] = {}
        self._last_event = self._last_audit = 0
        self._since_s = 0.0

    async def read(self, *, whole: bool = False) -> Stored:
        """The rows as they are at one moment. No phone may be writing: numbers of rows come before their commits."""
        read = {} if whole else self._read
        begun_s, at_s = time.time(), time.monotonic()
        async with snapshot(self._engine, self._organisation_id) as connection:
            await connection.execute(sa.text("SET LOCAL statement_timeout = '60s'"))
            marks = {
                "devices": [device for device, _ in read],
                "streams": [stream for _, stream in read],
                "seqs": list(read.values()),
            }
            fixes = [_fix(row) for row in await _rows(connection, FIXES, **marks)]
            taps_statement = TAPS.format(committed=await _committed(connection, "tap"))
            taps = [_tap(row) for row in await _rows(connection, taps_statement, **marks)]
            last_event, last_audit = (0, 0) if whole else (self._last_event, self._last_audit)
            events_statement = EVENTS.format(committed=await _committed(connection, "event"))
            events = await _rows(connection, events_statement, last=last_event)
            audits = await _rows(connection, AUDITS, last=last_audit)
            messages = await _rows(connection, MESSAGES, since=self._since_s - AGAIN_S, whole=whole)
            counts = await _rows(connection, COUNTS)
            stored = Stored(
                at_s=at_s,
                whole=whole,
                fixes=tuple(fixes),
                taps=tuple(taps),
                counts=tuple((str(row.device_id), row.stream, row.fixes) for row in counts),
                **await _standing(connection),
                events=tuple(_event(row) for row in events),
                event_count=await _count(connection, "event"),
                audits=tuple(_audit(row) for row in audits),
                audit_count=await _count(connection, "audit WHERE from_state IS NOT NULL"),
                messages=tuple(_message(row) for row in messages),
                message_count=await _count(connection, "message"),
            )
        self._remember(stored, begun_s)
        return stored

    async def look(self) -> Stored:
        """Only what decides about pages. Nothing is passed over by it."""
        at_s = time.monotonic()
        async with snapshot(self._engine, self._organisation_id) as connection:
            return Stored(at_s=at_s, whole=False, **await _standing(connection))

    def _remember(self, stored: Stored, begun_s: float) -> None:
        numbers: dict[tuple[UUID, int], set[int]] = defaultdict(set)
        rows: list[FixRow | TapRow] = [*stored.fixes, *stored.taps]
        for row in rows:
            numbers[UUID(row.device), row.stream].add(row.seq)
        for key, own in numbers.items():
            last = self._read.get(key, 0)
            while last + 1 in own:
                last += 1
            self._read[key] = last
        self._last_event = max((row.id for row in stored.events), default=self._last_event)
        self._last_audit = max((row.id for row in stored.audits), default=self._last_audit)
        self._since_s = begun_s


async def _standing(connection: AsyncConnection) -> dict[str, Any]:
    """The rows that are read whole each time."""
    links = LINKS.format(committed=await _committed(connection, "link"))
    return {
        "technicians": tuple(_technician(row) for row in await _rows(connection, TECHNICIANS)),
        "jobs": tuple(_job(row) for row in await _rows(connection, JOBS)),
        "links": tuple(_link(row) for row in await _rows(connection, links)),
    }


async def _committed(connection: AsyncConnection, table: str) -> str:
    """How to ask when a row's transaction committed; the time that stands in it is a little earlier."""
    known = await connection.scalar(sa.text("SELECT current_setting('track_commit_timestamp') = 'on'"))
    asked = f"extract(epoch FROM pg_xact_commit_timestamp({table}.xmin))::float8" if known else "NULL::float8"
    return f"{asked} AS committed_s"


async def _rows(connection: AsyncConnection, statement: str, **values: Any) -> Sequence[sa.Row[Any]]:
    return (await connection.execute(sa.text(statement), values)).all()


async def _count(connection: AsyncConnection, what: str) -> int:
    return int(await connection.scalar(sa.text(f"SELECT count(*) FROM {what}")) or 0)  # noqa: S608 - ours


def _fix(row: sa.Row[Any]) -> FixRow:
    said = {**row._mapping, "time": row.time_s - row.skew_s}
    digest = fix_digest(row.device_id.hex, row.stream, row.seq, said)
    times = row.time_s, row.received_s
    return FixRow(
        str(row.device_id), row.stream, row.seq, digest, *times, row.lon, row.lat, row.verdict, row.skew_s
    )  # fmt: skip


def _tap(row: sa.Row[Any]) -> TapRow:
    said = {**row._mapping, "job": row.job_id}
    digest = tap_digest(row.device_id.hex, row.stream, row.seq, said)
    committed_s = row.committed_s or row.received_s
    return TapRow(str(row.device_id), row.stream, row.seq, digest, row.kind, row.at_s, committed_s, row.verdict)


def _technician(row: sa.Row[Any]) -> TechnicianRow:
    shift = None if row.started_s is None else (row.started_s, tuple((start, end) for start, end in row.breaks))
    return TechnicianRow(str(row.id), row.version, row.position_s, row.lon, row.lat, shift)


def _job(row: sa.Row[Any]) -> JobRow:
    return JobRow(
        job=str(row.id),
        technician=_text(row.technician_id),
        stop_number=row.stop_number,
        state=row.state,
        previous_state=row.previous_state,
        version=row.version,
        visit=row.visit,
        assignment=row.assignment,
        promise=row.promise,
        late_promise=row.late_promise,
        promised=None if row.earliest_s is None else (row.earliest_s, row.latest_s),
        assigned_epoch_s=_epoch(row.assigned_at),
        en_route_epoch_s=_epoch(row.en_route_at),
        arriving_epoch_s=_epoch(row.arriving_at),
        arrived_epoch_s=_epoch(row.arrived_at),
        started_epoch_s=_epoch(row.started_at),
        ended_epoch_s=_epoch(row.ended_at),
        time_zone=row.time_zone,
    )


def _link(row: sa.Row[Any]) -> LinkRow:
    times = (_epoch(row.expires_at), _epoch(row.revoked_at), row.committed_s or row.received_s)
    return LinkRow(str(row.id), str(row.job_id), str(row.contact_id), row.created_at.timestamp(), *times)


def _event(row: sa.Row[Any]) -> EventRow:
    committed_s = row.committed_s or row.received_s
    return EventRow(row.id, str(row.job_id), row.version, row.kind, row.at_s, row.received_s, committed_s, row.evidence)


def _audit(row: sa.Row[Any]) -> AuditRow:
    states, technician = (row.from_state, row.to_state), _text(row.technician_id)
    return AuditRow(row.id, str(row.job_id), row.action, *states, technician, row.at.timestamp())


def _message(row: sa.Row[Any]) -> MessageRow:
    return MessageRow(
        message=str(row.id),
        job=str(row.job_id),
        kind=row.kind,
        occasion=row.occasion,
        channel=row.channel,
        recipient=row.recipient,
        contact=_text(row.contact_id),
        state=row.state,
        reason=row.reason,
        about=row.about,
        expires_epoch_s=_epoch(row.expires_at),
        settled_epoch_s=_epoch(row.settled_at),
        tries=row.tries,
        resends=row.resends,
    )


def _epoch(time: Any) -> float | None:
    return None if time is None else float(time.timestamp())


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)
