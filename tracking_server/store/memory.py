"""What a process remembers of technicians between transactions: valid only at the version of the locked row."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.job import Job
from tracking_server.domain.shift import Shift
from tracking_server.store.jobs import read_jobs_of, read_stops
from tracking_server.store.people import lock_technicians, read_checkpoints, read_shifts

MOST_TECHNICIANS = 20_000


class Technician(NamedTuple):
    """Everything that judging a technician's fixes needs."""

    id: UUID
    organisation_id: UUID
    version: int
    checkpoint: Checkpoint
    shifts: tuple[Shift, ...]
    jobs: tuple[Job, ...]


class Memory:
    """The least recently used technician is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, Technician] = OrderedDict()

    async def lock(
        self, connection: AsyncConnection, organisation_id: UUID, ids: Iterable[UUID], now_s: float
    ) -> dict[UUID, Technician]:
        """Lock technicians and return them as they are; reads only what is not remembered at this version."""
        versions = await lock_technicians(connection, organisation_id, ids)
        known = {id_: self._known[id_] for id_, version in versions.items() if self._is_known(id_, version)}
        unknown = [id_ for id_ in versions if id_ not in known]
        read = await read_technicians(connection, organisation_id, versions, unknown, now_s)
        return {**known, **{technician.id: technician for technician in read}}

    def keep(self, technicians: Iterable[Technician]) -> None:
        """Remember technicians as they were committed."""
        for technician in technicians:
            self._known[technician.id] = technician
            self._known.move_to_end(technician.id)
        while len(self._known) > MOST_TECHNICIANS:
            self._known.popitem(last=False)

    def forget(self, ids: Iterable[UUID]) -> None:
        """A transaction failed: what was remembered for it may be wrong."""
        for id_ in ids:
            self._known.pop(id_, None)

    def _is_known(self, id_: UUID, version: int) -> bool:
        known = self._known.get(id_)
        return known is not None and known.version == version


async def read_technicians(
    connection: AsyncConnection, organisation_id: UUID, versions: dict[UUID, int], ids: list[UUID], now_s: float
) -> list[Technician]:
    """Technicians with their checkpoint, shifts and stops, from the store."""
    if not ids:
        return []
    checkpoints = await read_checkpoints(connection, organisation_id, ids)
    shifts = await read_shifts(connection, organisation_id, ids, now_s)
    stops = await read_stops(connection, organisation_id, ids, now_s)
    return [
        Technician(id_, organisation_id, versions[id_], checkpoints[id_], tuple(shifts[id_]), tuple(stops[id_]))
        for id_ in ids
    ]


async def recall_jobs(
    connection: AsyncConnection,
    organisation_id: UUID,
    technicians: Mapping[UUID, Technician],
    job_ids: Iterable[UUID],
    since_s: float,
) -> dict[UUID, Technician]:
    """The technicians, with those of these jobs that are theirs and ended since then, but are not remembered."""
    remembered = {job.id for technician in technicians.values() for job in technician.jobs}
    recalled = await read_jobs_of(connection, organisation_id, technicians, set(job_ids) - remembered, since_s)
    return {
        id_: technician._replace(jobs=(*technician.jobs, *recalled[id_])) if id_ in recalled else technician
        for id_, technician in technicians.items()
    }
