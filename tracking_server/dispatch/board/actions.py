"""What dispatchers do on the board: each in one transaction of their organisation, published after its commit."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import links, tokens, words
from tracking_server.accounts.people import Refused, actor_of, normal_email
from tracking_server.clock import Clock
from tracking_server.dispatch import jobs as dispatch
from tracking_server.dispatch.changes import cancel_job, undo_step
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.updates import JobChanged
from tracking_server.live.bus import Bus
from tracking_server.store import accounts, board, devices, messages, notes, people
from tracking_server.store.accounts import Staff
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.jobs import lock_numbers, read_contacts
from tracking_server.store.schema import link as link_table

PHONE = re.compile(r"\+?[0-9][0-9 ().-]{3,30}")
DEGREES = re.compile(r"[+-]?\d{1,3}(\.\d{1,20})?")
DECIMAL_SIGNS = str.maketrans({",": ".", "\u066b": ".", "\u2212": "-", "\u200e": None, "\u200f": None, "\u061c": None})
PAIRING_CODE_LIFE_S = 600.0
MOST_AHEAD_S = 2 * 366 * 86_400.0  # a window typed for later than that is a slip of the year
SEEN_LINK_LIFE_S = 3_600.0  # a link made to look at the customer's page, not to be sent


class Wrong(Exception):
    """What was typed cannot be; the reason is a word that the page makes a sentence of."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as typed, with the id of its form, and its times in the firm's time zone."""

    id: UUID
    title: str
    address: str
    customer: str
    email: str | None
    phone: str | None
    language: str
    place: tuple[float, float] | None
    begins: str
    ends: str
    technician_id: UUID | None


@dataclass
class Work:
    """One action's transaction. What is put into `changes` is published after the commit."""

    connection: AsyncConnection
    organisation_id: UUID
    staff: Staff
    now_s: float
    changes: list[JobChanged] = field(default_factory=list)

    @property
    def actor(self) -> str:
        return actor_of(self.staff.id)

    async def note(self, action: str, *, job_id: UUID | None = None, technician_id: UUID | None = None) -> None:
        """Leave a trace of what is no event of a job."""
        await accounts.write_audit(
            self.connection,
            self.organisation_id,
            actor=self.actor,
            action=action,
            now_s=self.now_s,
            job_id=job_id,
            technician_id=technician_id,
        )


class Actions:
    """All of them raise `NotFound`, and `NotPossible`, `Outdated` or `Contended` when somebody was faster."""

    def __init__(self, engine: AsyncEngine, bus: Bus, clock: Clock) -> None:
        self._engine = engine
        self._bus = bus
        self._clock = clock

    async def assign(self, staff: Staff, job_id: UUID, technician_id: UUID, seen_assignment: int | None) -> None:
        """Give a job to a technician, if nobody did since the page was made."""
        async with self._work(staff) as work:
            work.changes += await dispatch.assign_job(
                work.connection,
                work.organisation_id,
                job_id,
                technician_id,
                seen_assignment=seen_assignment,
                actor=work.actor,
                now_s=work.now_s,
            )

    async def cancel(self, staff: Staff, job_id: UUID, reason: str) -> None:
        """Call a visit off."""
        async with self._work(staff) as work:
            work.changes += await cancel_job(
                work.connection, work.organisation_id, job_id, reason=reason, actor=work.actor, now_s=work.now_s
            )

    async def undo(self, staff: Staff, job_id: UUID, seen_state: str | None) -> None:
        """Take a job's last step back, if it is still the one that the page showed."""
        async with self._work(staff) as work:
            work.changes += await undo_step(
                work.connection,
                work.organisation_id,
                job_id,
                seen_state=seen_state,
                actor=work.actor,
                now_s=work.now_s,
            )

    async def create(self, staff: Staff, wanted: Wanted) -> UUID:
        """A new customer with a job; returns the job's id, also when the same form made it before. Raises `Wrong`."""
        if not wanted.customer:
            raise Wrong("no_customer")
        if not wanted.title:
            raise Wrong("no_title")
        if wanted.place is None:
            raise Wrong("no_place")
        if wanted.phone is not None and not PHONE.fullmatch(wanted.phone):
            raise Wrong("phone")
        try:
            email = None if wanted.email is None else normal_email(wanted.email)
        except Refused as error:
            raise Wrong(error.reason) from None
        async with self._work(staff) as work:
            connection, organisation_id = work.connection, work.organisation_id
            _, time_zone = await board.read_firm(connection, organisation_id)
            await lock_numbers(connection, organisation_id)
            promised = window(wanted.begins, wanted.ends, time_zone)
            if promised is not None and not work.now_s < promised[1] < work.now_s + MOST_AHEAD_S:
                raise Wrong("far_window")
            made = await board.read_line(connection, organisation_id, wanted.id)
            if made is not None and _is(made, wanted, promised):
                return wanted.id
            customer_id, _ = await people.insert_customer(
                connection,
                organisation_id,
                name=wanted.customer,
                email=email,
                phone=wanted.phone,
                language=wanted.language if wanted.language in words.LANGUAGES else staff.language,
                now_s=work.now_s,
            )
            place = Geofence(*wanted.place)
            new = dispatch.NewJob(
                customer_id,
                wanted.title,
                wanted.address,
                time_zone,
                place,
                promised,
                id=uuid4() if made is not None else wanted.id,
            )
            job = await dispatch.create_job(connection, organisation_id, new, actor=work.actor, now_s=work.now_s)
            await work.note("job_created", job_id=job.id)
            work.changes.append(JobChanged(organisation_id, job.id, job.version))
            if wanted.technician_id is not None:
                work.changes += await dispatch.assign_job(
                    connection, organisation_id, job.id, wanted.technician_id, actor=work.actor, now_s=work.now_s
                )
        return job.id

    async def link(self, staff: Staff, job_id: UUID, contact_id: UUID | None, *, to_look: bool = False) -> str:
        """A new link for one of a job's contacts (None: the first); returns its token.

        One made `to_look` at the page ends within the hour.
        """
        async with self._work(staff) as work:
            connection, organisation_id = work.connection, work.organisation_id
            contacts = await read_contacts(connection, organisation_id, [job_id])
            chosen = [one for one in contacts if contact_id in (None, one.id)]
            if not chosen:
                raise dispatch.NotFound(f"there is no contact {contact_id} of job {job_id}")
            token = await links.mint_link(connection, organisation_id, job_id, chosen[0].id, work.now_s)
            if to_look:
                parsed = tokens.parse(token, tokens.Purpose.link)
                await connection.execute(
                    link_table.update()
                    .where(
                        link_table.c.organisation_id == organisation_id,
                        link_table.c.token_hash == (parsed[1] if parsed else b""),
                    )
                    .values(expires_at=to_time(work.now_s + SEEN_LINK_LIFE_S))
                )
            await work.note("page_seen" if to_look else "link_made", job_id=job_id)
        return token

    async def create_technician(self, staff: Staff, name: str, vehicle: str, plate: str, trade: str) -> UUID:
        """A new technician, without a phone yet; returns their id. Raises `Wrong`."""
        if not name:
            raise Wrong("name")
        async with self._work(staff) as work:
            technician_id = await people.insert_technician(
                work.connection,
                work.organisation_id,
                name=name,
                vehicle=vehicle or None,
                plate=plate or None,
                trade=trade or None,
                now_s=work.now_s,
            )
            await work.note("technician_created", technician_id=technician_id)
        return technician_id

    async def pair(self, staff: Staff, technician_id: UUID) -> str:
        """A code that pairs one phone, once, within ten minutes; returns it, and it is kept nowhere."""
        async with self._work(staff) as work:
            await _lock(work, technician_id)
            code, code_hash = tokens.mint_code()
            expires_s = work.now_s + PAIRING_CODE_LIFE_S
            await devices.insert_pairing_code(
                work.connection, work.organisation_id, technician_id, code_hash, expires_s
            )
            await work.note("pairing_code_made", technician_id=technician_id)
        return code

    async def revoke(self, staff: Staff, technician_id: UUID) -> None:
        """A phone was lost: none of the technician's is believed any more."""
        async with self._work(staff) as work:
            await _lock(work, technician_id)
            await devices.revoke_devices(work.connection, work.organisation_id, technician_id, work.now_s)
            await people.count_versions_up(work.connection, work.organisation_id, [technician_id])
            await work.note("phones_revoked", technician_id=technician_id)

    async def handle_note(self, staff: Staff, note_id: UUID) -> None:
        """A customer's note was seen to."""
        async with self._work(staff) as work:
            change = await notes.handle_note(work.connection, work.organisation_id, note_id, work.actor, work.now_s)
            if change is None:
                raise dispatch.NotFound(f"there is no note {note_id} to be handled")
            work.changes.append(change)

    async def handle_message(self, staff: Staff, message_id: UUID) -> None:
        """A failed message was seen to: the customer was called, or it does not matter any more."""
        async with self._work(staff) as work:
            if not await board.handle_message(
                work.connection, work.organisation_id, message_id, work.actor, work.now_s
            ):
                raise dispatch.NotFound(f"there is no message {message_id} to be handled")

    async def retry_message(self, staff: Staff, message_id: UUID) -> None:
        """Send a failed message once more."""
        async with self._work(staff) as work:
            if not await messages.retry_message(work.connection, work.organisation_id, message_id, work.now_s):
                raise dispatch.NotFound(f"there is no failed message {message_id}")
            await work.note("message_retried")

    @asynccontextmanager
    async def _work(self, staff: Staff) -> AsyncIterator[Work]:
        async with transaction(self._engine, staff.organisation_id) as connection:
            work = Work(connection, staff.organisation_id, staff, self._clock.now())
            yield work
        await self._bus.publish(work.changes)


def _is(made: board.JobLine, wanted: Wanted, promised: tuple[float, float] | None) -> bool:
    """Whether a form is that of a job that was made, and not one that somebody went back to for another job."""
    typed = (wanted.customer, wanted.title, wanted.address, promised)
    return (made.customer, made.title, made.address, made.job.promised) == typed


async def _lock(work: Work, technician_id: UUID) -> None:
    if not await people.lock_technicians(work.connection, work.organisation_id, [technician_id]):
        raise dispatch.NotFound(f"there is no technician {technician_id}")


def window(begins: str, ends: str, time_zone: str) -> tuple[float, float] | None:
    """A promised window from two local times as a browser writes them (2026-11-22T14:00), in epoch seconds; None when
    neither is given. Raises `Wrong`."""
    if not begins and not ends:
        return None
    try:
        first, last = (datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(time_zone)) for text in (begins, ends))
        found = first.timestamp(), last.timestamp()
    except (ValueError, OverflowError):
        raise Wrong("no_window") from None
    if found[1] <= found[0]:
        raise Wrong("no_window")
    return found


def place_of(lat: str, lon: str) -> tuple[float, float] | None:
    """Typed degrees as a point on earth, (lon, lat); None when there is none. Half the world writes 41,15, and some
    its own digits, minus and marks of direction."""
    north, east = (text.strip().translate(DECIMAL_SIGNS) for text in (lat, lon))
    if not (DEGREES.fullmatch(north) and DEGREES.fullmatch(east)):
        return None
    found = float(east), float(north)
    return found if abs(found[0]) <= 180 and abs(found[1]) <= 90 else None
