"""The path of fixes: accept -> judge -> store -> assess -> commit -> acknowledge -> live -> publish.

Open this file first. Deliveries of many phones share a transaction (`group_commit`); a phone is answered only after
COMMIT. What follows the answer may be lost in a crash: viewers find it again by comparing versions with the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from operator import attrgetter
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import outcome
from tracking_server.clock import Clock
from tracking_server.domain.checkpoint import merge
from tracking_server.domain.eta import Correction
from tracking_server.domain.fix import Fix
from tracking_server.domain.job import State
from tracking_server.domain.updates import JobChanged, Position, Update
from tracking_server.failpoint import failpoint
from tracking_server.group_commit import Acknowledgement, Care, GroupCommit
from tracking_server.live.bus import Bus
from tracking_server.store import fixes as fix_store
from tracking_server.store import people
from tracking_server.store.corrections import Corrections
from tracking_server.store.engine import begin, set_organisation
from tracking_server.store.memory import Memory, Technician, recall_jobs
from tracking_server.turn import OLDEST_TAP_S, Delivery, Turn

log = structlog.get_logger()
NO_TAPS = fix_store.TapReceipt()


class Journey:
    """Takes deliveries from the edge and answers each when it is durable."""

    def __init__(self, engine: AsyncEngine, bus: Bus, clock: Clock, flushers: int) -> None:
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._memory = Memory()
        self._corrections = Corrections()
        self._commits = GroupCommit(self._flush, flushers)
        self._untold: dict[UUID, Update] = {}
        self._something_untold = asyncio.Event()

    async def accept(self, delivery: Delivery) -> Acknowledgement:
        """Keep a delivery; returns after its COMMIT. Raises `Unavailable` when nothing was kept."""
        return await self._commits.submit(delivery)

    async def run(self) -> None:
        """Flush and publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commits.run())
            tasks.create_task(self._publish())

    async def _flush(self, deliveries: Sequence[Delivery], care: Care) -> list[Acknowledgement]:
        """One transaction for all organisations; technicians are locked before jobs, both in id order."""
        now_s = self._clock.now()
        groups = _by_organisation(deliveries)
        turns: dict[UUID, Turn] = {}
        after: list[Technician] = []
        updates: list[Update] = []
        try:
            async with begin(self._engine) as connection:
                for organisation_id, group in groups:
                    await set_organisation(connection, organisation_id)
                    turns |= await self._judge(connection, organisation_id, group, now_s)
                await _store(connection, turns, care)
                for organisation_id, group in groups:
                    if len(groups) > 1:
                        await set_organisation(connection, organisation_id)
                    own = [turns[id_] for id_ in _in_order(delivery.device.technician_id for delivery in group)]
                    correction = await self._corrections.of(connection, organisation_id, now_s)
                    left = [await _assess(connection, turn, correction, care, updates) for turn in own]
                    saved = [(technician.id, technician.checkpoint) for technician in left]
                    await people.save_technicians(connection, organisation_id, saved)
                    after += left
                failpoint("before_commit")
        except BaseException:
            self._memory.forget(delivery.device.technician_id for delivery in deliveries)
            raise
        failpoint("after_commit_before_ack")
        self._memory.keep(after)
        self._untold |= {_subject(update): update for update in updates}
        self._something_untold.set()
        return [_acknowledge(delivery, turns[delivery.device.technician_id]) for delivery in deliveries]

    async def _judge(
        self, connection: AsyncConnection, organisation_id: UUID, deliveries: Sequence[Delivery], now_s: float
    ) -> dict[UUID, Turn]:
        ids = {delivery.device.technician_id for delivery in deliveries}
        technicians = await self._memory.lock(connection, organisation_id, ids, now_s)
        named = {tap.job_id for delivery in deliveries for tap in delivery.taps if tap.job_id is not None}
        technicians = await recall_jobs(connection, organisation_id, technicians, named, now_s - OLDEST_TAP_S)
        turns = {id_: Turn.of(technician, now_s) for id_, technician in technicians.items()}
        for delivery in deliveries:
            receipt = NO_TAPS
            if delivery.taps:
                receipt = await fix_store.insert_taps(
                    connection, delivery.device, delivery.stream, delivery.taps_on_our_clock(), delivery.received_s
                )
            turns[delivery.device.technician_id].take(delivery, receipt)
        return turns

    async def _publish(self) -> None:
        """Tell what is new. While the bus is slow, a newer update takes the place of the one that waits."""
        while True:
            await self._something_untold.wait()
            await asyncio.sleep(0)  # phones are answered first
            failpoint("after_commit_before_publish")
            self._something_untold.clear()
            updates, self._untold = list(self._untold.values()), {}
            await self._bus.publish(updates)


async def _store(connection: AsyncConnection, turns: dict[UUID, Turn], care: Care) -> None:
    if care is Care.together:
        await fix_store.insert_fixes(connection, [row for turn in turns.values() for row in turn.rows])
        return
    for turn in turns.values():
        for row in [row for rows in turn.rows for row in rows.one_by_one()]:
            try:
                async with connection.begin_nested():
                    await fix_store.insert_fixes(connection, [row])
            except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.InsufficientPrivilege) as error:
                log.warning("fix_refused", device=str(row.device_id), seq=row.fixes[0].seq, sqlstate=error.sqlstate)
                turn.refuse(row)


async def _assess(
    connection: AsyncConnection, turn: Turn, correction: Correction, care: Care, updates: list[Update]
) -> Technician:
    """Judge what may be judged now and write what happened; returns the technician as they are then."""
    technician = turn.technician
    organisation_id = technician.organisation_id
    if turn.rejected:
        await fix_store.quarantine(connection, organisation_id, turn.rejected)
    if care is Care.unjudged:
        turn.give_up_judging()
        await fix_store.mark_taps(connection, turn.dead_taps)
        return turn.after(None)
    if turn.cleared:
        await fix_store.clear_verdicts(connection, organisation_id, turn.cleared)
    if turn.taps:
        await people.save_shifts(connection, organisation_id, technician.id, turn.begun_or_changed_shifts())
    assessment = turn.assess(await read_lane(connection, turn), correction)
    if turn.dead_taps:
        await fix_store.mark_taps(connection, turn.dead_taps)
    before = {job.id: job for job in technician.jobs}
    actor = f"technician:{technician.id}"
    updates += await outcome.apply(connection, organisation_id, before, assessment, actor=actor, now_s=turn.now_s)
    after = turn.after(assessment)
    position = after.checkpoint.position
    if position is not None and position != technician.checkpoint.position:
        updates.append(_position(after, position))
    return after


async def read_lane(connection: AsyncConnection, turn: Turn) -> list[Fix]:
    """The fixes that may be judged now, in order; those that came with earlier batches are read back."""
    ready: list[Fix] = []
    for lane in turn.lanes:
        if lane.stretch.stored:
            ready += await fix_store.read_stretch(connection, turn.technician.organisation_id, lane.stretch)
        else:
            ready += lane.fixes
    return ready


def _position(technician: Technician, fix: Fix) -> Position:
    """The technician's new position, and for which job it is: decided here, under the technician's lock."""
    job = next((job for job in technician.jobs if job.state is State.en_route), None)
    return Position(
        technician.organisation_id,
        technician.id,
        technician.version,
        fix.time_s,
        fix.lon,
        fix.lat,
        fix.accuracy_m,
        fix.course_deg,
        job.id if job is not None else None,
        job.version if job is not None else 0,
    )


def _acknowledge(delivery: Delivery, turn: Turn) -> Acknowledgement:
    return Acknowledgement(merge((), delivery.numbers), turn.answer(delivery))


def _in_order(ids: Iterable[UUID]) -> list[UUID]:
    """Each once, as the store orders them."""
    return sorted(set(ids), key=attrgetter("int"))


def _by_organisation(deliveries: Sequence[Delivery]) -> list[tuple[UUID, list[Delivery]]]:
    groups: dict[UUID, list[Delivery]] = {}
    for delivery in deliveries:
        groups.setdefault(delivery.device.organisation_id, []).append(delivery)
    return sorted(groups.items())


def _subject(update: Update) -> UUID:
    return update.job_id if isinstance(update, JobChanged) else update.technician_id
