"""What a firm's own past trips say about its travel times: learnt daily, read by the journey."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.eta import DEFAULT, Correction, learn
from tracking_server.store.schema import organisation

READ_AGAIN_AFTER_S = 600.0

# The straight line when the technician set off, and the seconds until the arrival; drives that were taken back or given
# to somebody else teach nothing.
TRIPS = """
SELECT (start.evidence->>'distance_m')::float8, extract(epoch FROM min(arrival.at) - start.at)::float8
FROM event start
JOIN event arrival ON arrival.organisation_id = start.organisation_id AND arrival.job_id = start.job_id
  AND arrival.kind = 'arrived' AND arrival.at > start.at
WHERE start.organisation_id = :organisation_id AND start.kind = 'en_route' AND start.evidence ? 'distance_m'
  AND start.at > now() - interval '90 days'
  AND NOT EXISTS (
    SELECT 1 FROM event broken WHERE broken.organisation_id = start.organisation_id AND broken.job_id = start.job_id
      AND broken.kind IN ('undone', 'reassigned') AND broken.id > start.id)
GROUP BY start.organisation_id, start.id, start.at, start.evidence
ORDER BY start.at DESC
LIMIT 1000
"""


def learn_correction(connection: sa.Connection, organisation_id: UUID) -> Correction | None:
    """Learn from the organisation this transaction sees, and keep it; None while there are too few trips."""
    trips = connection.execute(sa.text(TRIPS), {"organisation_id": organisation_id})
    correction = learn((distance_m, seconds) for distance_m, seconds in trips)
    if correction is not None:
        learnt = sa.cast({"eta_correction": asdict(correction)}, JSONB)
        settings = organisation.c.settings.op("||")(learnt)
        connection.execute(organisation.update().where(organisation.c.id == organisation_id).values(settings=settings))
    return correction


class Corrections:
    """The organisations' corrections, remembered for ten minutes."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[float, Correction]] = {}

    async def of(self, connection: AsyncConnection, organisation_id: UUID, now_s: float) -> Correction:
        """What this organisation's trips taught, or what is true of towns in general."""
        known = self._known.get(organisation_id)
        if known is not None and abs(now_s - known[0]) < READ_AGAIN_AFTER_S:
            return known[1]
        statement = sa.select(organisation.c.settings["eta_correction"]).where(organisation.c.id == organisation_id)
        kept = await connection.scalar(statement)
        correction = msgspec.convert(kept, Correction) if kept else DEFAULT
        self._known[organisation_id] = (now_s, correction)
        return correction
