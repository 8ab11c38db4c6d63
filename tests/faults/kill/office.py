"""What people do to jobs meanwhile: technicians tap, dispatchers use the board, links are revoked."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from tests.faults.kill.crews import Crews
from tests.faults.kill.history import Acted, JobRow, Record
from tests.faults.kill.town import Town
from tracking_server import links
from tracking_server.live.bus import Bus
from tracking_server.store.engine import Contended, Unavailable, transaction

PATIENCE_S = 8.0  # a dispatcher's, with a page that does not come
TAPS = {  # a technician's next steps from where their job stands, and how often
    "assigned": (("en_route", 6), ("arrived", 1)),
    "en_route": (("undo", 3), ("arrived", 2), ("en_route", 1)),
    "arrived": (("undo", 3), ("start", 1)),
    "in_progress": (("done", 2), ("undo", 1)),
    "completed": (("undo", 1),),
}
LEADS_TO = {"en_route": "en_route", "arrived": "arrived", "start": "in_progress", "done": "completed"}
ASSIGNABLE = ("scheduled", "assigned", "en_route", "arrived")
UNDOABLE = ("en_route", "arrived", "in_progress", "completed")


@dataclass
class Known:
    """A job as the office last saw it."""

    technician: str
    state: str


@dataclass(eq=False)
class Office:
    """Does one thing after the other. `revoked` is called with a link that was revoked, to open another page."""

    town: Town
    crews: Crews
    url: str
    redis_url: str
    hear: Callable[[Record], None]
    open_links: dict[str, str] = field(default_factory=dict)  # to their jobs
    known: dict[str, Known] = field(default_factory=dict)

    def look(self, jobs: tuple[JobRow, ...]) -> None:
        """Jobs as they are."""
        self.known = {
            row.job: Known(row.technician, row.state)
            for row in jobs
            if row.technician is not None and row.state not in ("cancelled", "no_access")
        }

    async def work(self, per_s: Callable[[], float], chance: random.Random, over: asyncio.Event) -> None:
        """Until it is over; nobody waits for an answer before the next thing is done."""
        acts: list[tuple[Callable[[random.Random], Coroutine[None, None, None]], int]] = [
            (self._tap, 60), (self._assign, 22), (self._undo, 8), (self._cancel, 3), (self.revoke, 7),
        ]  # fmt: skip
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S) as client, asyncio.TaskGroup() as doing:
            client.cookies.set("board", self.town.session)
            client.headers.update({"origin": self.url, "sec-fetch-site": "same-origin"})
            self._client = client
            while not over.is_set():
                await asyncio.sleep(chance.expovariate(per_s()))
                (act,) = chance.choices([act for act, _ in acts], [weight for _, weight in acts])
                doing.create_task(act(chance))

    async def _tap(self, chance: random.Random) -> None:
        job, known = chance.choice(list(self.known.items()))
        steps = TAPS.get(known.state, ())
        if not steps:
            return
        (kind,) = chance.choices([kind for kind, _ in steps], [weight for _, weight in steps])
        device = str(self.town.phones[known.technician].device.id)
        self.crews.tap(device, kind, job)
        known.state = LEADS_TO.get(kind, "assigned")

    async def _assign(self, chance: random.Random) -> None:
        job = self._one_that_is(ASSIGNABLE, chance)
        if job is not None:
            technician = chance.choice(list(self.town.phones))
            if await self._post(Acted(time.monotonic(), None, "assign", job, technician), technician=technician):
                self.known[job] = Known(technician, "assigned")

    async def _undo(self, chance: random.Random) -> None:
        job = self._one_that_is(UNDOABLE, chance)
        if job is not None and await self._post(Acted(time.monotonic(), None, "undo", job)):
            self.known[job].state = "assigned"

    async def _cancel(self, chance: random.Random) -> None:
        """A visit is called off, and another one is booked in its place."""
        job = self._one_that_is(ASSIGNABLE, chance)
        if job is not None and await self._post(Acted(time.monotonic(), None, "cancel", job)):
            technician = self.known.pop(job).technician
            try:
                self.known[await self.town.book(technician)] = Known(technician, "assigned")
            except (Unavailable, Contended):
                return

    async def revoke(self, chance: random.Random) -> None:
        """Take an open page's link back."""
        if not self.open_links:
            return
        link, job = chance.choice(list(self.open_links.items()))
        asked_s, organisation_id = time.monotonic(), self.town.firm.organisation_id
        try:
            async with transaction(self.town.firm.engine, organisation_id) as connection:
                change = await links.revoke_link(connection, organisation_id, UUID(link), time.time())
        except (Unavailable, Contended):
            self.hear(Acted(asked_s, None, "revoke", job, link=link))
            return
        finally:
            self.open_links.pop(link, None)
        self.hear(Acted(asked_s, time.monotonic(), "revoke", job, link=link, version=change and change.version))
        bus = Bus(self.redis_url)
        await bus.publish([change] if change is not None else [])
        await bus.close()

    def _one_that_is(self, states: tuple[str, ...], chance: random.Random) -> str | None:
        jobs = [job for job, known in self.known.items() if known.state in states]
        return chance.choice(jobs) if jobs else None

    async def _post(self, act: Acted, **fields: str) -> bool:
        """A form of the board; says whether it was taken."""
        answered_s, error = None, None
        try:
            answer = await self._client.post(f"/board/jobs/{act.job}/{act.what}", data={"_": "", **fields})
            if answer.status_code < 500:  # else it may have been done nevertheless
                answered_s = time.monotonic()
                error = None if answer.status_code == httpx.codes.SEE_OTHER else str(answer.status_code)
        except httpx.TransportError:
            pass
        self.hear(Acted(act.at_s, answered_s, act.what, act.job, act.technician, error=error))
        return answered_s is not None and error is None
