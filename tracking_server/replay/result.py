"""What came of a replay: the phones' counts held against the store's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server.domain.events import EventKind
from tracking_server.domain.fix import QUARANTINED, Verdict
from tracking_server.replay.uplink import Tally
from tracking_server.replay.visit import Visit
from tracking_server.store.engine import transaction
from tracking_server.store.schema import event, fix, message, quarantine

EARLY_S = 30.0  # an arrival is dated back to the edge of the geofence, which comes before the true stop

DUPLICATES = """
SELECT count(*) FROM (
  SELECT row_number() OVER (PARTITION BY device_id, stream, seq) AS nth_of_number,
         row_number() OVER (PARTITION BY device_id, fix_time) AS nth_of_time
  FROM fix) AS counted
WHERE nth_of_number > 1 OR nth_of_time > 1
"""


@dataclass(frozen=True, slots=True)
class Result:
    """Fixes by what became of them, arrivals against the truth, and messages owed."""

    sent: int
    acknowledged: int
    stored: int
    duplicates: int
    quarantined_by_reason: dict[str, int]
    dropped_off_shift: int
    arrivals_true: int
    arrivals_found: int
    arrivals_false: int
    messages_by_kind: dict[str, int]

    @property
    def quarantined(self) -> int:
        return sum(self.quarantined_by_reason.values())

    @property
    def messages(self) -> int:
        return sum(self.messages_by_kind.values())

    @property
    def adds_up(self) -> bool:
        """Whether every acknowledged fix is where it should be, once."""
        kept = self.stored + self.quarantined + self.dropped_off_shift
        return self.acknowledged == kept and not self.duplicates

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = (
            "sent", "acknowledged", "stored", "duplicates", "quarantined", "dropped_off_shift",
            "arrivals_true", "arrivals_found", "arrivals_false", "messages", "quarantined_by_reason",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


async def read_result(engine: AsyncEngine, organisation_id: UUID, visits: Sequence[Visit], tally: Tally) -> Result:
    """Count what the store has, after all phones are done."""
    async with transaction(engine, organisation_id) as connection:
        verdicts = await _count_by(connection, fix.c.verdict)
        rejected = await _count_by(connection, quarantine.c.reason)
        in_place = Counter({verdict: n for verdict, n in verdicts.items() if verdict in QUARANTINED})
        arrivals = await _arrivals(connection)
        found, false = judge_arrivals(visits, arrivals)
        return Result(
            sent=tally.sent,
            acknowledged=tally.acknowledged,
            stored=verdicts.total() - in_place.total(),
            duplicates=int(await connection.scalar(sa.text(DUPLICATES)) or 0),
            quarantined_by_reason=dict(in_place + rejected),
            dropped_off_shift=tally.verdicts[Verdict.not_on_shift],
            arrivals_true=len(visits),
            arrivals_found=found,
            arrivals_false=false,
            messages_by_kind=dict(await _count_by(connection, message.c.kind)),
        )


def judge_arrivals(visits: Sequence[Visit], arrivals: dict[UUID, list[float]]) -> tuple[int, int]:
    """How many visits have an arrival at its time, and how many arrivals there are beside those."""
    found = 0
    for visit in visits:
        told = arrivals.get(visit.job_id, [])
        found += any(visit.arrival_s - EARLY_S <= at_s <= visit.end_s for at_s in told)
    return found, sum(map(len, arrivals.values())) - found


async def _arrivals(connection: AsyncConnection) -> dict[UUID, list[float]]:
    rows = await connection.execute(sa.select(event.c.job_id, event.c.at).where(event.c.kind == EventKind.arrived))
    arrivals: dict[UUID, list[float]] = {}
    for job_id, at in rows:
        arrivals.setdefault(job_id, []).append(at.timestamp())
    return arrivals


async def _count_by(connection: AsyncConnection, column: sa.Column[Any]) -> Counter[Any]:
    rows = await connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column))
    return Counter(dict(rows.tuples().all()))
