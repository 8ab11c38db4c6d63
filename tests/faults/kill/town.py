"""The firm that the kill test plays with: twenty technicians with phones, their jobs, links to them, somebody at the
board."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from tests.faults.kill.phone import DEGREE_M, Crew, Member
from tests.support.firm import HOME, Firm, Phone
from tests.support.staff import begin_session, hire
from tests.support.telling import book, tune
from tracking_server import links, tokens
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.jobs import read_contacts
from tracking_server.store.schema import link as link_table

TECHNICIANS = 20
CREWS = 4
JOBS_EACH = 2
WEST_M = 84_000.0  # of the door they begin: nobody arrives by driving
PARALLEL_DEG = 0.01
SKEWS_S = (0.0, 0.0, 0.0, 240.0, -600.0)  # a phone's clock may be wrong
PROMISED_S = (6 * 3600.0, 8 * 3600.0)  # ahead: nobody is late


@dataclass(frozen=True, slots=True)
class Link:
    """A link and its secret."""

    id: str
    token: str
    job: str


@dataclass
class Town:
    """The firm, who is who, and what there is to see."""

    firm: Firm
    phones: dict[str, Phone] = field(default_factory=dict)  # by technician
    names: dict[str, str] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    session: str = ""
    _customers: int = 0

    @classmethod
    async def build(cls, firm: Firm) -> Town:
        """Everybody is hired, paired and given their first jobs."""
        town = cls(firm)
        await tune(
            firm, quiet_from="00:00", quiet_to="00:00", same_kind_apart_s=0, sms_per_job=100, sms_per_day=1_000_000
        )
        for n in range(TECHNICIANS):
            name = f"Technician{n} Sousa"
            phone = await firm.phone(name)
            technician = str(phone.device.technician_id)
            town.phones[technician], town.names[technician] = phone, name
            for _ in range(JOBS_EACH):
                await town.book(technician)
        town.session = await begin_session(firm.engine, await hire(firm), time.time())
        return town

    async def book(self, technician: str) -> str:
        """A job for a new customer, who has a phone."""
        now_s = time.time()
        self._customers += 1
        window = (now_s + PROMISED_S[0], now_s + PROMISED_S[1])
        number = f"+35191{self._customers:07d}"
        job_id = await book(self.firm, UUID(technician), window=window, now_s=now_s, phone=number, email=None)
        self.jobs.append(str(job_id))
        return str(job_id)

    async def link(self, job: str, life_s: float | None = None) -> Link:
        """A new link to a job, for its customer; for so long only when that is said."""
        organisation_id, now_s = self.firm.organisation_id, time.time()
        async with transaction(self.firm.engine, organisation_id) as connection:
            (contact,) = await read_contacts(connection, organisation_id, [UUID(job)])
            token = await links.mint_link(connection, organisation_id, UUID(job), contact.id, now_s)
            parsed = tokens.parse(token, tokens.Purpose.link)
            assert parsed is not None
            own = link_table.c.organisation_id == organisation_id, link_table.c.token_hash == parsed[1]
            if life_s is not None:
                ends_at = to_time(now_s + life_s)
                await connection.execute(link_table.update().where(*own).values(expires_at=ends_at))
            link_id = await connection.scalar(sa.select(link_table.c.id).where(*own))
        return Link(str(link_id), token, job)

    def crews(self, folder: str, url: str) -> list[Crew]:
        """The phones by process: some by WebSocket, some by HTTP, some with a wrong clock."""
        since_s = time.time()
        members: list[list[Member]] = [[] for _ in range(CREWS)]
        for n, phone in enumerate(self.phones.values()):
            way = "http" if n // CREWS % 2 else "websocket"
            lat, skew_s = HOME[1] + n * PARALLEL_DEG, SKEWS_S[n % len(SKEWS_S)]
            members[n % CREWS].append(Member(str(phone.device.id), phone.key, way, lat, skew_s))
        lon = HOME[0] - WEST_M / DEGREE_M
        return [Crew(f"{folder}/{n}", url, lon, since_s, tuple(own)) for n, own in enumerate(members)]
