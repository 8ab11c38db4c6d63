"""Jobs with their geofences and promises, and what happened to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from geoalchemy2.shape import from_shape, to_shape
from shapely import Point, Polygon
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.eta import Window
from tracking_server.domain.events import Event
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import JUST_ENDED_S, OPEN, Job, State
from tracking_server.domain.proof import Proof, Rule
from tracking_server.store.engine import to_seconds, to_time
from tracking_server.store.schema import audit, contact, event, geofence, job, organisation, promise


def select_jobs() -> sa.Select[Any]:
    """Jobs with their geofences and promises, in rows that `job_of` reads."""
    return (
        sa.select(job, geofence.c.centre, geofence.c.radius_m, geofence.c.boundary, geofence.c.entrance,
                  promise.c.earliest, promise.c.latest)
        .join(geofence, (geofence.c.organisation_id == job.c.organisation_id) & (geofence.c.job_id == job.c.id))
        .outerjoin(
            promise,
            (promise.c.organisation_id == job.c.organisation_id)
            & (promise.c.job_id == job.c.id)
            & (promise.c.number == job.c.promise),
        )
    )  # fmt: skip


async def read_stops(
    connection: AsyncConnection, organisation_id: UUID, technician_ids: Iterable[UUID], now_s: float
) -> dict[UUID, list[Job]]:
    """The open and just ended jobs of technicians, in their order."""
    stops: dict[UUID, list[Job]] = {technician_id: [] for technician_id in technician_ids}
    rows = await connection.execute(
        select_jobs()
        .where(
            job.c.organisation_id == organisation_id,
            job.c.technician_id.in_(list(stops)),
            job.c.state.in_([state.value for state in OPEN]) | (job.c.ended_at > to_time(now_s - JUST_ENDED_S)),
        )
        .order_by(job.c.stop_number, job.c.id)
    )
    for row in rows:
        stops[row.technician_id].append(job_of(row))
    return stops


async def read_jobs_of(
    connection: AsyncConnection,
    organisation_id: UUID,
    technician_ids: Iterable[UUID],
    job_ids: Collection[UUID],
    since_s: float,
) -> dict[UUID, list[Job]]:
    """Those of these jobs that ended since then and are one of these technicians', by technician."""
    if not job_ids:
        return {}
    found: dict[UUID, list[Job]] = {}
    for row in await connection.execute(
        select_jobs().where(
            job.c.organisation_id == organisation_id,
            job.c.technician_id.in_(list(technician_ids)),
            job.c.id.in_(list(job_ids)),
            job.c.ended_at > to_time(since_s),
        )
    ):
        found.setdefault(row.technician_id, []).append(job_of(row))
    return found


async def read_job(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> Job | None:
    """One job, None when the organisation has none of this id."""
    row = (
        await connection.execute(select_jobs().where(job.c.organisation_id == organisation_id, job.c.id == job_id))
    ).one_or_none()
    return None if row is None else job_of(row)


def job_of(row: sa.Row[Any]) -> Job:
    """The job in a row of `select_jobs`."""
    return Job(
        id=row.id,
        state=State(row.state),
        version=row.version,
        geofence=_geofence(row),
        technician_id=row.technician_id,
        stop_number=row.stop_number,
        previous_state=State(row.previous_state) if row.previous_state else None,
        visit=row.visit,
        assignment=row.assignment,
        promise=row.promise,
        late_promise=row.late_promise,
        promised=(row.earliest.timestamp(), row.latest.timestamp()) if row.earliest else None,
        assigned_at_s=to_seconds(row.assigned_at),
        en_route_at_s=to_seconds(row.en_route_at),
        arriving_at_s=to_seconds(row.arriving_at),
        arrived_at_s=to_seconds(row.arrived_at),
        started_at_s=to_seconds(row.started_at),
        ended_at_s=to_seconds(row.ended_at),
        eta=_window(row),
        eta_made_at_s=to_seconds(row.eta_made_at),
        due_s=to_seconds(row.due_at),
        late_min=row.late_min,
        not_home_at_s=to_seconds(row.not_home_at),
    )


def _geofence(row: sa.Row[Any]) -> Geofence:
    centre = to_shape(row.centre)
    boundary = to_shape(row.boundary) if row.boundary is not None else None
    entrance = to_shape(row.entrance) if row.entrance is not None else None
    return Geofence(
        lon=centre.x,
        lat=centre.y,
        radius_m=row.radius_m,
        polygon=tuple((x, y) for x, y in boundary.exterior.coords) if boundary is not None else None,
        entrance=(entrance.x, entrance.y) if entrance is not None else None,
    )


def _window(row: sa.Row[Any]) -> Window | None:
    if row.eta_likely is None:
        return None
    earliest, likely, latest = row.eta_earliest.timestamp(), row.eta_likely.timestamp(), row.eta_latest.timestamp()
    return Window(earliest, likely, latest, row.eta_confidence)


async def newest_jobs(connection: AsyncConnection, organisation_id: UUID, most: int = 100) -> list[dict[str, Any]]:
    """The newest jobs, for a list."""
    rows = await connection.execute(
        sa.select(job.c.id, job.c.title, job.c.state, job.c.technician_id, job.c.stop_number, job.c.arrived_at)
        .where(job.c.organisation_id == organisation_id)
        .order_by(job.c.created_at.desc())
        .limit(most)
    )
    return [dict(row._mapping) for row in rows]


async def open_jobs_marks(connection: AsyncConnection, technician_ids: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """For each technician how many open jobs they have and a sum over their ids and versions, which is another one
    whenever one of them changed, came or went; in every organisation (a `watching` transaction)."""
    mixed = sa.func.hashtextextended(job.c.id.cast(sa.Text), job.c.version)
    rows = await connection.execute(
        sa.select(job.c.technician_id, sa.func.count(), sa.func.sum(mixed))
        .where(job.c.technician_id.in_(list(technician_ids)), job.c.state.in_([state.value for state in OPEN]))
        .group_by(job.c.technician_id)
    )
    return {technician_id: (number, int(mixture)) for technician_id, number, mixture in rows}


@dataclass(frozen=True, slots=True)
class DueJobs:
    """Jobs whose time has come, of one technician or of nobody yet."""

    organisation_id: UUID
    technician_id: UUID | None
    job_ids: list[UUID]


async def due_jobs(connection: AsyncConnection, now_s: float, most: int) -> list[DueJobs]:
    """Whose time has come, in every organisation (a `watching` transaction), the longest due first."""
    rows = await connection.execute(
        sa.select(job.c.organisation_id, job.c.technician_id, sa.func.array_agg(job.c.id))
        .where(job.c.due_at <= to_time(now_s))
        .group_by(job.c.organisation_id, job.c.technician_id)
        .order_by(sa.func.min(job.c.due_at))
        .limit(most)
    )
    return [DueJobs(organisation_id, technician_id, list(ids)) for organisation_id, technician_id, ids in rows]


async def put_off(connection: AsyncConnection, due: DueJobs, now_s: float, until_s: float | None) -> None:
    """Look at these jobs later, or never again (None), unless they were given to somebody else meanwhile."""
    await connection.execute(
        job.update()
        .where(
            job.c.organisation_id == due.organisation_id,
            job.c.id.in_(due.job_ids),
            job.c.technician_id.is_not_distinct_from(due.technician_id),
            job.c.due_at <= to_time(now_s),
        )
        .values(due_at=to_time(until_s))
    )


async def lock_numbers(connection: AsyncConnection, organisation_id: UUID) -> None:
    """From here to the end of the transaction, no other job of the firm is made."""
    await connection.execute(
        sa.select(organisation.c.id).where(organisation.c.id == organisation_id).with_for_update(key_share=True)
    )


async def insert_job(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    job_id: UUID,
    customer_id: UUID,
    title: str,
    address: str,
    time_zone: str,
    fence: Geofence,
    duration_s: int,
    preparation: str | None = None,
    proof: Mapping[Proof, Rule] | None = None,
    now_s: float,
) -> Job:
    """A new job in state draft, with the firm's next number and its geofence."""
    number = await connection.scalar(
        organisation.update()
        .where(organisation.c.id == organisation_id)
        .values(last_job_number=organisation.c.last_job_number + 1)
        .returning(organisation.c.last_job_number)
    )
    await connection.execute(
        job.insert().values(
            organisation_id=organisation_id,
            id=job_id,
            customer_id=customer_id,
            state=State.draft.value,
            title=title,
            address=address,
            time_zone=time_zone,
            duration_s=duration_s,
            preparation=preparation,
            proof=dict(proof or {}),
            number=number,
            created_at=to_time(now_s),
        )
    )
    await connection.execute(
        geofence.insert().values(
            organisation_id=organisation_id,
            job_id=job_id,
            centre=from_shape(Point(fence.lon, fence.lat), srid=4326),
            radius_m=fence.radius_m,
            boundary=from_shape(Polygon(fence.polygon), srid=4326) if fence.polygon else None,
            entrance=from_shape(Point(*fence.entrance), srid=4326) if fence.entrance else None,
        )
    )
    return Job(id=job_id, state=State.draft, version=1, geofence=fence)


async def save_job(connection: AsyncConnection, organisation_id: UUID, before: Job, after: Job) -> bool:
    """Write a job as it became, if it is still as it was; says whether it was."""
    window = after.eta
    updated = await connection.execute(
        job.update()
        .where(job.c.organisation_id == organisation_id, job.c.id == before.id, job.c.version == before.version)
        .values(
            state=after.state.value,
            previous_state=after.previous_state.value if after.previous_state else None,
            technician_id=after.technician_id,
            stop_number=after.stop_number,
            visit=after.visit,
            assignment=after.assignment,
            promise=after.promise,
            late_promise=after.late_promise,
            assigned_at=to_time(after.assigned_at_s),
            en_route_at=to_time(after.en_route_at_s),
            arriving_at=to_time(after.arriving_at_s),
            arrived_at=to_time(after.arrived_at_s),
            started_at=to_time(after.started_at_s),
            ended_at=to_time(after.ended_at_s),
            eta_earliest=to_time(window.earliest_s) if window else None,
            eta_likely=to_time(window.likely_s) if window else None,
            eta_latest=to_time(window.latest_s) if window else None,
            eta_confidence=window.confidence if window else None,
            eta_made_at=to_time(after.eta_made_at_s),
            due_at=to_time(after.due_s),
            late_min=after.late_min,
            not_home_at=to_time(after.not_home_at_s),
            version=after.version,
        )
    )
    return updated.rowcount == 1


async def set_proof(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, proof: Mapping[Proof, Rule]
) -> bool:
    """What this visit asks for where it is not the firm's usual; says whether there is such a job."""
    done = await connection.execute(
        job.update().where(job.c.organisation_id == organisation_id, job.c.id == job_id).values(proof=dict(proof))
    )
    return done.rowcount == 1


async def say_why_ended(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, *, by: str | None, reason: str | None
) -> None:
    """Who ended a visit that did not come to its end, and why; None for both when it goes on after all."""
    await connection.execute(
        job.update()
        .where(job.c.organisation_id == organisation_id, job.c.id == job_id)
        .values(ended_by=by, ended_reason=reason)
    )


async def insert_promise(
    connection: AsyncConnection,
    organisation_id: UUID,
    job_id: UUID,
    number: int,
    window: tuple[float, float],
    now_s: float,
) -> None:
    """A window told to the customer."""
    await connection.execute(
        promise.insert().values(
            organisation_id=organisation_id,
            job_id=job_id,
            number=number,
            earliest=to_time(window[0]),
            latest=to_time(window[1]),
            made_at=to_time(now_s),
        )
    )


async def insert_events(
    connection: AsyncConnection,
    organisation_id: UUID,
    happened: Sequence[tuple[Job, Job, Event]],
    actor: str,
    now_s: float,
) -> None:
    """What happened to jobs: an event each, and an audit row for each transition."""
    if not happened:
        return
    await connection.execute(
        event.insert(),
        [
            {
                "organisation_id": organisation_id,
                "job_id": after.id,
                "version": after.version,
                "kind": what.kind.value,
                "at": to_time(what.at_s),
                "recorded_at": to_time(now_s),
                "evidence": {"cause": what.cause.value, **what.evidence},
            }
            for _, after, what in happened
        ],
    )
    moves = [
        {
            "organisation_id": organisation_id,
            "at": to_time(now_s),
            "actor": actor if what.cause.value in ("tap", "dispatcher", "customer") else what.cause.value,
            "action": what.kind.value,
            "job_id": after.id,
            "technician_id": after.technician_id,
            "from_state": before.state.value,
            "to_state": after.state.value,
            "evidence": {"at_s": what.at_s, **what.evidence},
        }
        for before, after, what in happened
        if before.state is not after.state or before.technician_id != after.technician_id
    ]
    if moves:
        await connection.execute(audit.insert(), moves)


async def read_contacts(
    connection: AsyncConnection, organisation_id: UUID, job_ids: Iterable[UUID]
) -> list[sa.Row[Any]]:
    """The contacts of jobs: job_id, id, name, email, phone, language, messages_allowed."""
    rows = await connection.execute(
        sa.select(job.c.id.label("job_id"), contact)
        .join(
            contact,
            (contact.c.organisation_id == job.c.organisation_id) & (contact.c.customer_id == job.c.customer_id),
        )
        .where(job.c.organisation_id == organisation_id, job.c.id.in_(list(job_ids)))
        .order_by(contact.c.id)
    )
    return list(rows)
