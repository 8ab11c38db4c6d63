"""A firm for tests: organisation, technicians with paired phones, customers with jobs, made through the real code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import links, tokens
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.events import Tap, TapKind
from tracking_server.domain.fix import STREAM_DAY_SHIFT, Fix
from tracking_server.domain.geofence import Geofence
from tracking_server.live.bus import Bus
from tracking_server.store import devices, people
from tracking_server.store.devices import Device
from tracking_server.store.engine import transaction
from tracking_server.store.jobs import read_contacts
from tracking_server.store.schema import organisation
from tracking_server.turn import Delivery, Turn

HOME = (-8.6109, 41.1496)  # a door in Porto
METRE = 1 / 111_320  # degrees of latitude


def stream_of(now_s: float, n: int = 0) -> int:
    """A stream begun on this moment's day."""
    return (int(now_s // 86_400) << STREAM_DAY_SHIFT) | n


def noon_zone(now_s: float) -> str:
    """A time zone in which this moment is in the hour before noon: hours from now it is still the same day."""
    offset = (22 - int(now_s // 3600) % 24) % 24 - 11
    return f"Etc/GMT{-offset:+d}"


@dataclass
class Phone:
    """A phone that numbers what it sends, as the real one does."""

    device: Device
    key: str
    stream: int
    seq: int = 0

    def fix(self, time_s: float, north_m: float = 0.0, **known: float) -> Fix:
        """A fix `north_m` metres north of the door."""
        self.seq += 1
        return Fix(self.stream, self.seq, time_s, HOME[0], HOME[1] + north_m * METRE, **known)

    def tap(self, time_s: float, kind: TapKind, job_id: UUID | None = None, **said: Any) -> Tap:
        self.seq += 1
        return Tap(self.stream, self.seq, time_s, kind, job_id, **said)

    def delivery(
        self, received_s: float, fixes: Sequence[Fix] = (), taps: Sequence[Tap] = (), sent_s: float | None = None
    ) -> Delivery:
        return Delivery(self.device, self.stream, sent_s, received_s, list(fixes), list(taps))


@dataclass
class Firm:
    """One organisation."""

    engine: AsyncEngine
    organisation_id: UUID
    now_s: float
    customers: list[UUID] = field(default_factory=list)

    @classmethod
    async def create(cls, engine: AsyncEngine, now_s: float, name: str = "Ribeira Plumbing") -> Firm:
        async with engine.begin() as connection:
            organisation_id = await people.insert_organisation(
                connection,
                name=name,
                time_zone="Europe/Lisbon",
                language="en",
                office_phone="+351220000000",
                now_s=now_s,
            )
            quiet_never = {"quiet_from": "00:00", "quiet_to": "00:00"}  # whenever the tests run
            await connection.execute(organisation.update().values(settings=quiet_never))
        return cls(engine, organisation_id, now_s)

    async def phone(self, name: str = "Ana Sousa") -> Phone:
        """A new technician with a paired phone."""
        async with transaction(self.engine, self.organisation_id) as connection:
            technician_id = await people.insert_technician(
                connection, self.organisation_id, name=name, vehicle="white van", plate="12-AB-34", now_s=self.now_s
            )
            key, key_hash = tokens.mint(self.organisation_id, tokens.Purpose.device)
            device_id = await devices.insert_device(
                connection, self.organisation_id, technician_id, name="phone", key_hash=key_hash, now_s=self.now_s
            )
        return Phone(Device(device_id, self.organisation_id, technician_id), key, stream_of(self.now_s))

    async def job(
        self, technician_id: UUID | None = None, place: tuple[float, float] = HOME, time_zone: str = "Europe/Lisbon"
    ) -> UUID:
        """A scheduled job for a new customer, assigned when a technician is named."""
        async with transaction(self.engine, self.organisation_id) as connection:
            customer_id, _ = await people.insert_customer(
                connection,
                self.organisation_id,
                name="Maria Lopes",
                email=f"maria{len(self.customers)}@example.com",
                phone=None,
                language="en",
                now_s=self.now_s,
            )
            self.customers.append(customer_id)
            window = (self.now_s + 3600, self.now_s + 7200)
            new = NewJob(customer_id, "Leaking tap", "Rua das Flores 1", time_zone, Geofence(*place), window)
            job = await create_job(connection, self.organisation_id, new, actor="test", now_s=self.now_s)
            if technician_id is not None:
                await assign_job(
                    connection, self.organisation_id, job.id, technician_id, actor="test", now_s=self.now_s
                )
        return job.id

    async def assign(self, job_id: UUID, technician_id: UUID, now_s: float) -> None:
        async with transaction(self.engine, self.organisation_id) as connection:
            await assign_job(connection, self.organisation_id, job_id, technician_id, actor="test", now_s=now_s)

    async def reassign_and_tell(self, job_id: UUID, technician_id: UUID, now_s: float, redis_url: str) -> None:
        """Assign as the board does: what changed is published after the commit."""
        async with transaction(self.engine, self.organisation_id) as connection:
            changes = await assign_job(
                connection, self.organisation_id, job_id, technician_id, actor="test", now_s=now_s
            )
        bus = Bus(redis_url)
        await bus.publish(changes)
        await bus.close()

    async def pairing_code(self, technician_id: UUID | None = None) -> str:
        """A code for a technician's phone; a new technician's when none is named."""
        code, code_hash = tokens.mint_code()
        technician_id = technician_id or (await self.phone()).device.technician_id
        async with transaction(self.engine, self.organisation_id) as connection:
            await devices.insert_pairing_code(
                connection, self.organisation_id, technician_id, code_hash, self.now_s + 1200
            )
        return code

    async def link(self, job_id: UUID) -> str:
        """A token for the first contact of a job."""
        async with transaction(self.engine, self.organisation_id) as connection:
            contacts = await read_contacts(connection, self.organisation_id, [job_id])
            return await links.mint_link(connection, self.organisation_id, job_id, contacts[0].id, self.now_s)


def drive_north_to_door(phone: Phone, start_s: float, from_m: float = 1500.0, speed_mps: float = 10.0) -> list[Fix]:
    """Straight down the street, a fix every 10 s, then two minutes at the door."""
    fixes = []
    away_m, time_s = from_m, start_s
    while away_m > 0:
        fixes.append(phone.fix(time_s, away_m, accuracy_m=8.0, speed_mps=speed_mps))
        away_m -= speed_mps * 10
        time_s += 10
    return [*fixes, *(phone.fix(time_s + wait, 0.0, accuracy_m=8.0, speed_mps=0.0) for wait in range(0, 130, 10))]


def batches(fixes: Sequence[Fix], size: int) -> Iterable[Sequence[Fix]]:
    """In pieces of `size`."""
    return (fixes[i : i + size] for i in range(0, len(fixes), size))


def trusted(turn: Turn) -> Iterator[Fix]:
    """The fixes that a turn stores without a verdict."""
    for rows in turn.rows:
        yield from (fix for fix, verdict in zip(rows.fixes, rows.verdicts, strict=True) if verdict is None)
