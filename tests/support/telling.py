"""Messages as tests look at them: whom they are for, sending what is owed, and what became of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Table

from tests.support.firm import HOME, Firm
from tests.support.rows import rows
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.geofence import Geofence
from tracking_server.notify.sender import Later, Parts, TooEarly, send_message
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.schema import contact, customer, organisation

PHONE = "+351912345678"
EMAIL = "maria@example.com"


async def book(
    firm: Firm,
    technician_id: UUID | None = None,
    *,
    language: str = "en",
    window: tuple[float, float] | None = None,
    now_s: float | None = None,
    **contact_values: Any,
) -> UUID:
    """A job for Maria, who has a phone and an e-mail address unless told otherwise."""
    organisation_id = firm.organisation_id
    now_s = firm.now_s if now_s is None else now_s
    customer_id = uuid4()
    values = {"name": "Maria Lopes", "phone": PHONE, "email": EMAIL, "language": language, **contact_values}
    async with transaction(firm.engine, organisation_id) as connection:
        await connection.execute(
            customer.insert().values(
                organisation_id=organisation_id, id=customer_id, name="Maria Lopes", created_at=to_time(now_s)
            )
        )
        await connection.execute(
            contact.insert().values(organisation_id=organisation_id, id=uuid4(), customer_id=customer_id, **values)
        )
        window = window or (now_s + 3600, now_s + 7200)
        new = NewJob(customer_id, "Leaking tap", "Rua das Flores 1", "Europe/Lisbon", Geofence(*HOME), window)
        job = await create_job(connection, organisation_id, new, actor="test", now_s=now_s)
        if technician_id is not None:
            await assign_job(connection, organisation_id, job.id, technician_id, actor="test", now_s=now_s)
    return job.id


async def send_owed(parts: Parts, firm: Firm) -> list[Later]:
    """Send everything owed, in the order in which it came to be owed, and what comes to be owed by that; returns what
    waits."""
    waiting: list[Later] = []
    seen: set[UUID] = set()
    while True:
        owed = [row for row in await rows(firm, "message") if row.state == "owed" and row.id not in seen]
        if not owed:
            return waiting
        for row in sorted(owed, key=lambda row: row.owed_at):
            seen.add(row.id)
            try:
                await send_message(parts, firm.organisation_id, row.id)
            except Later as later:
                waiting.append(later)
            except TooEarly:
                pass


async def standings(firm: Firm) -> dict[str, tuple[str, str | None]]:
    """By kind (and occasion, from the second on) and channel: what became of it, and why."""
    return {
        f"{row.kind}{f' {row.occasion}' if row.occasion > 1 else ''} {row.channel}": (row.state, row.reason)
        for row in await rows(firm, "message")
    }


async def change(firm: Firm, table: Table, **values: object) -> None:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(table.update().values(**values))


async def tune(firm: Firm, **settings: object) -> None:
    """The firm's settings, without quiet hours unless they are named."""
    await change(firm, organisation, settings={"quiet_from": "00:00", "quiet_to": "00:00", **settings})
