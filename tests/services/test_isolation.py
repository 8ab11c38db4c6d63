"""Organisations are kept apart by the database itself."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone, drive_north_to_door
from tests.support.rows import count, job_row
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.group_commit import Acknowledgement
from tracking_server.journey import Journey
from tracking_server.store import fixes as fix_store
from tracking_server.store.checks import faults
from tracking_server.store.engine import create_engine, set_organisation, transaction
from tracking_server.store.fixes import FixRows

EXEMPT = {"alembic_version", "spatial_ref_sys"}  # and procrastinate's own tables


async def tables(connection: AsyncConnection) -> list[sa.Row[tuple[str, bool, bool, bool]]]:
    """Every table and partition of ours: name, row security enabled, forced, is a partition."""
    query = """
        SELECT relname, relrowsecurity, relforcerowsecurity, relispartition FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'procrastinate%'
    """
    return [row for row in await connection.execute(sa.text(query)) if row.relname not in EXEMPT]


async def fill(journey: Journey, clock: SetClock, *phones: Phone) -> None:
    """A drive by every phone, all at once."""
    deliveries = []
    for phone in phones:
        start = phone.tap(clock.now_s, TapKind.shift_start)
        fixes = drive_north_to_door(phone, clock.now_s + 1)
        deliveries.append(phone.delivery(fixes[-1].time_s + 1, fixes, [start]))
    clock.now_s = max(delivery.received_s for delivery in deliveries)
    await asyncio.gather(*(journey.accept(delivery) for delivery in deliveries))


async def test_every_table_and_partition_forces_row_security(engine: AsyncEngine) -> None:
    """A walk through pg_class: a partition does not inherit its parent's row security, so each has its own."""
    async with engine.connect() as connection:
        found = await tables(connection)
    assert len(found) > 25
    assert [row.relname for row in found if not (row.relrowsecurity and row.relforcerowsecurity)] == []


@pytest.mark.parametrize("setting", [None, "", "wrong"])
async def test_without_its_organisation_the_app_sees_nothing(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine, setting: str | None
) -> None:
    """No, an empty or another organisation: 0 rows in every table, and no access to any partition."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    phone = await firm.phone()
    await firm.link(await firm.job(phone.device.technician_id))
    await fill(journey, clock, phone)
    assert await count(firm, "fix") > 0
    async with engine.connect() as connection:
        found = await tables(connection)
    value = str(other.organisation_id) if setting == "wrong" else setting
    for table in found:
        async with engine.connect() as connection:
            if value is not None:
                await connection.execute(sa.text("SELECT set_config('app.organisation_id', :v, true)"), {"v": value})
            statement = sa.text(f"SELECT count(*) FROM {table.relname}")  # noqa: S608 - from pg_class
            if table.relispartition:
                with pytest.raises(ProgrammingError, match="permission denied"):
                    await connection.scalar(statement)
            else:
                own = 1 if (table.relname, setting) == ("organisation", "wrong") else 0
                assert await connection.scalar(statement) == own, table.relname


async def test_two_organisations_share_a_flush_and_nothing_else(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine
) -> None:
    """Both firms' drives in one transaction: each sees its own fixes and its own arrival."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    ana, luis = await firm.phone("Ana"), await other.phone("Luis")
    job_a, job_b = await firm.job(ana.device.technician_id), await other.job(luis.device.technician_id)
    flushes = 0
    original = journey._commits._flush

    async def counting(deliveries, care):  # type: ignore[no-untyped-def]
        nonlocal flushes
        flushes += 1
        assert {delivery.device.organisation_id for delivery in deliveries} == {
            firm.organisation_id,
            other.organisation_id,
        }
        return await original(deliveries, care)

    journey._commits._flush = counting
    await fill(journey, clock, ana, luis)
    assert flushes == 1
    assert await count(firm, "fix") == await count(other, "fix") > 0
    assert (await job_row(firm, job_a)).state == (await job_row(other, job_b)).state == "arrived"
    async with transaction(engine, firm.organisation_id) as connection:
        devices = set(await connection.scalars(sa.text("SELECT DISTINCT device_id FROM fix")))
    assert devices == {ana.device.id}


async def test_the_database_refuses_a_fix_of_a_wrong_organisation(firm: Firm, engine: AsyncEngine) -> None:
    """Even the INSERT-only role cannot write a row whose organisation is not its device's."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    phone = await firm.phone()
    row = FixRows(other.organisation_id, phone.device.id, firm.now_s, 0.0, [phone.fix(firm.now_s)], [None])
    async with engine.connect() as connection:
        await set_organisation(connection, other.organisation_id)
        with pytest.raises(Exception, match="row-level security"):
            await fix_store.insert_fixes(connection, [row])


async def test_the_service_refuses_the_owners_role(servers: Installation, database: str) -> None:
    """The self-check names what is wrong with the owner and with a superuser, and nothing with the app's role."""
    for url, problem in (
        (servers.owner_url(database), "owns"),
        (servers.admin_url(database), "bypasses"),
        (servers.app_url(database), None),
    ):
        engine = create_engine(url)
        found = await faults(engine)
        await engine.dispose()
        assert any(problem in fault for fault in found) if problem else found == []


async def test_a_poison_row_costs_only_itself(
    journey: Journey, firm: Firm, clock: SetClock, servers: Installation, database: str
) -> None:
    """Fifty phones, one with a row the database refuses: every other row is stored, that one is quarantined."""
    owner = sa.create_engine(servers.owner_url(database))
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE fix ADD CONSTRAINT poison CHECK (altitude_m <> 6666)"))
    owner.dispose()
    phones = [await firm.phone(f"Technician {n}") for n in range(50)]
    deliveries = []
    for n, phone in enumerate(phones):
        start = phone.tap(firm.now_s, TapKind.shift_start)
        fixes = [phone.fix(firm.now_s + i, 500.0, altitude_m=6666 if (n, i) == (25, 2) else 50) for i in range(1, 6)]
        deliveries.append(phone.delivery(firm.now_s + 10, fixes, [start]))
    clock.now_s = firm.now_s + 10
    answers = await asyncio.gather(*(journey.accept(delivery) for delivery in deliveries))

    whole = Acknowledgement(((1, 6),), {})
    poisoned = deliveries[25].fixes[2 - 1]
    assert [answer for n, answer in enumerate(answers) if n != 25] == [whole] * 49
    assert answers[25] == Acknowledgement(((1, 6),), {poisoned.seq: "refused"})
    assert await count(firm, "fix") == 50 * 5 - 1
    assert await count(firm, "quarantine") == 1
