"""One round: load, a kill, everything back, quiet, and what the checker says."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from tests.faults.kill.checker import Checker
from tests.faults.kill.crews import Crews
from tests.faults.kill.deck import Fault, Line, Plan, Victim
from tests.faults.kill.dump import Dumper
from tests.faults.kill.history import Back, Disturbed, Killed, Record, RoundBegun, RoundEnded, Stored
from tests.faults.kill.migration import migrate_in_two_goes
from tests.faults.kill.office import Office
from tests.faults.kill.readers import Pages
from tests.faults.kill.supervisor import Part, Supervisor, answers, send
from tests.faults.kill.tally import Tally
from tests.faults.kill.town import Town
from tests.faults.kill.violation import Violation
from tests.faults.kill.waiting import until, until_answered
from tests.support.gateway import Gateway
from tests.support.server import free_port
from tests.support.tcp_proxy import Mode, TcpProxy
from tracking_server.failpoint import Place
from tracking_server.store.engine import transaction

FIXES_PER_S = 1_000.0
ACTS_PER_S = 4.0
BUSY_ACTS_PER_S = 15.0  # until a message comes by the failpoint
PAGES, PAGES_THAT_EXPIRE = 24, 3
EXPIRES_S = 30.0
EMPTY_WITHIN_S = 30.0
RIGHT_WITHIN_S = 10.0
DIES_WITHIN_S = 30.0  # a process that was started with a failpoint, its start included
SETTLED_WITHIN_S = 120.0


@dataclass(eq=False)
class Play:
    """Plays rounds with what `stage` has built. `hear` takes every record, `tell` is told in words."""

    town: Town
    supervisor: Supervisor
    crews: Crews
    office: Office
    pages: Pages
    proxies: dict[Line, TcpProxy]
    gateway: Gateway
    hear: Callable[[Record], None]
    checker: Checker
    dumper: Dumper
    template: str
    tally: Tally
    tell: Callable[[str], None] = lambda _: None
    _acts_per_s: float = ACTS_PER_S

    async def begin(self) -> None:
        """Returns when everything works and the phones have begun their shifts."""
        await self.supervisor.until_back(Victim.master)
        await self._until_empty()
        self._take(await self.dumper.read())

    async def round(self, plan: Plan) -> None:
        """From the first fix to the verdict."""
        begun_s = time.monotonic()
        chance = random.Random(plan.seed)
        self.hear(RoundBegun(begun_s, plan.number))
        await self._open_pages(chance)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.office.work(lambda: self._acts_per_s, chance, over))
            if plan.fault is not None:
                tasks.create_task(self._disturb(plan.fault, plan.lot))
            self.crews.load(FIXES_PER_S)
            back, _ = await asyncio.gather(self._injure(plan), asyncio.sleep(plan.load_s))
            self.crews.load(0)
            over.set()
            await asyncio.gather(*back)
        await self._quiesce(plan)
        self.tally.rounds += 1
        self.tally.round_s.append(time.monotonic() - begun_s)

    async def settle(self) -> None:
        """At the end: the gateway behaves, nothing is killed, and every message has its fate."""
        self.gateway.misbehaviour = {}
        with suppress(TimeoutError):
            await until_answered(self._is_settled, SETTLED_WITHIN_S)
        settled = await self._is_settled()
        self.hear(RoundEnded(time.monotonic(), self.tally.rounds, self.crews.left == 0, settled))
        stored = await self.dumper.read(whole=True)
        self._take(stored)
        self.tally.acknowledged = self.crews.acknowledged
        self.tally.right_s = self.checker.pages.right_s
        self.tally.messages.update(row.state for row in stored.messages)

    # ---- kills ----

    async def _injure(self, plan: Plan) -> list[asyncio.Task[None]]:
        """Kill who is to be killed; returns what waits until they are back."""
        back = []
        if plan.victim is not None:
            await asyncio.sleep(plan.kill_after_s)
            back.append(await self._kill(plan.victim, plan.lot))
        elif plan.failpoint is not None:
            back += await self._die_at(plan.failpoint, plan.passage)
        if plan.second is not None:
            await asyncio.sleep(plan.again_after_s)
            back.append(await self._kill(plan.second, 1 - plan.lot))
        return back

    async def _kill(self, victim: Victim, lot: float) -> asyncio.Task[None]:
        if victim is Victim.phone:
            crew = self.crews.one_of(lot)
            self._note_kill(victim)
            crew.kill()
            return self._until_back(victim, crew.until_started())
        await until(lambda: bool(self.supervisor.pids(victim, lot)))  # it may be down already
        self._note_kill(victim)
        send(self.supervisor.pids(victim, lot), signal.SIGKILL)
        return self._until_back(victim, self.supervisor.until_back(victim))

    def _note_kill(self, victim: Victim) -> None:
        self.tally.kills[victim] += 1
        self.hear(Killed(time.monotonic(), victim, "sigkill"))
        self.tell(f"kill {victim}")

    def _note_failpoint(self, victim: str, place: Place) -> None:
        self.tally.failpoints[place] += 1
        self.hear(Killed(time.monotonic(), victim, place))
        self.tell(f"{victim} died {place}")

    def _until_back(self, victim: Victim, back: Awaitable[None]) -> asyncio.Task[None]:
        killed_s = time.monotonic()

        async def wait() -> None:
            await back
            now_s = time.monotonic()
            self.tally.recovered_s.setdefault(victim, []).append(now_s - killed_s)
            self.hear(Back(now_s, victim, killed_s))

        return asyncio.create_task(wait())

    # ---- failpoints ----

    async def _die_at(self, place: Place, passage: int) -> list[asyncio.Task[None]]:
        """Have a process die there, under load."""
        match place:
            case "during_migration":
                return await self._migrate(passage)
            case "after_claim" | "after_gateway_accept_before_mark":
                return await self._die_sending(place, passage)
        return await self._die_serving(place, passage)

    async def _die_serving(self, place: Place, passage: int) -> list[asyncio.Task[None]]:
        """A new process takes over all phones and pages, as in a deploy, and dies of its first flushes."""
        port, app = free_port(), self.proxies[Line.app]
        part = self.supervisor.part_at(f"{place}:{passage}", "serve", port)
        try:
            await until_answered(lambda: answers(port), DIES_WITHIN_S)
            app.targets = (port,)
            app.cut()
            await until(lambda: part.pid is None, DIES_WITHIN_S)
        except TimeoutError:
            return self._nobody_came(part, place)
        finally:
            app.targets = (self.supervisor.port,)
        self._note_failpoint(Victim.worker, place)
        app.cut()
        return [self._until_back(Victim.worker, self.supervisor.until_back(Victim.worker))]

    async def _die_sending(self, place: Place, passage: int) -> list[asyncio.Task[None]]:
        """A third worker takes some of the messages, and dies of them."""
        part = self.supervisor.part_at(f"{place}:{passage}", "work")
        self._acts_per_s = BUSY_ACTS_PER_S
        try:
            await until(lambda: part.pid is None, DIES_WITHIN_S)
        except TimeoutError:
            return self._nobody_came(part, place)
        finally:
            self._acts_per_s = ACTS_PER_S
        self._note_failpoint(Victim.notifier, place)
        return [self._until_back(Victim.notifier, self.supervisor.until_back(Victim.notifier))]

    def _nobody_came(self, part: Part, place: Place) -> list[asyncio.Task[None]]:
        part.end()
        self.tell(f"nothing came by {place}")
        return []

    async def _migrate(self, revision: int) -> list[asyncio.Task[None]]:
        servers, environment = self.supervisor.servers, self.supervisor.environment
        difference = await migrate_in_two_goes(servers, environment, revision, self.template)
        self._note_failpoint("migration", "during_migration")
        self.hear(Back(time.monotonic(), "migration", time.monotonic()))
        if difference is not None:
            self._find(Violation("migration", f"killed in revision {revision}: {difference}", time.monotonic()))
        return []

    # ---- what is no kill ----

    async def _disturb(self, fault: Fault, lot: float) -> None:
        await asyncio.sleep(fault.after_s)
        begun_s = time.monotonic()
        if fault.victim is not None:
            pids = self._pids_of(fault.victim, lot)
            send(pids, signal.SIGSTOP)
            await asyncio.sleep(fault.for_s)
            send(pids, signal.SIGCONT)
        elif fault.line is not None:
            proxy = self.proxies[fault.line]
            proxy.fail(fault.mode)
            await asyncio.sleep(fault.for_s)
            proxy.fail(Mode.passes)
        what = f"{fault.victim} hung" if fault.victim else f"{fault.line} {fault.mode}"
        self.hear(Disturbed(begun_s, time.monotonic(), what))
        self.tell(what)

    def _pids_of(self, victim: Victim, lot: float) -> list[int]:
        if victim is Victim.phone:
            pid = self.crews.one_of(lot).pid
            return [pid] if pid else []
        return self.supervisor.pids(victim, lot)

    # ---- afterwards ----

    async def _quiesce(self, plan: Plan) -> None:
        """Until the phones' queues are empty and each page shows what is."""
        emptied = await self._until_empty()
        quiet_s = time.monotonic()
        with suppress(TimeoutError):
            await until_answered(self._pages_are_right, RIGHT_WITHIN_S)
        self.hear(RoundEnded(quiet_s, plan.number, emptied, settled=False))
        self._take(await self.dumper.read())

    async def _pages_are_right(self) -> bool:
        return not self.checker.wrong_pages(await self.dumper.look())

    def _take(self, stored: Stored) -> None:
        """The checker hears it with everybody else, and judges."""
        known = len(self.checker.violations)
        self.hear(stored)
        self.office.look(stored.jobs)
        for _, violation in self.checker.violations[known:]:
            self._find(violation)

    def _find(self, violation: Violation) -> None:
        self.tally.violations.append(violation)
        self.tell(f"VIOLATION {violation}")

    async def _until_empty(self) -> bool:
        with suppress(TimeoutError):
            await until(lambda: not self.crews.left, EMPTY_WITHIN_S)
        return not self.crews.left

    async def _is_settled(self) -> bool:
        async with transaction(self.town.firm.engine, self.town.firm.organisation_id) as connection:
            return not await connection.scalar(sa.text("SELECT count(*) FROM message WHERE state = 'owed'"))

    async def _open_pages(self, chance: random.Random) -> None:
        """As many pages as there are to be; a few of them on links that soon end."""
        self.pages.forget_ended()
        lasting = len(self.pages.open) < PAGES
        while len(self.pages.open) < PAGES + PAGES_THAT_EXPIRE:
            link = await self.town.link(chance.choice(list(self.office.known)), None if lasting else EXPIRES_S)
            self.pages.add(link)
            if lasting:
                self.office.open_links[link.id] = link.job
            lasting = len(self.pages.open) < PAGES
