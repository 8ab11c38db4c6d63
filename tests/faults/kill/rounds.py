"""One round: load, a kill, everything back, quiet, and what the checker says."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
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
from tests.faults.kill.supervisor import Part, Supervisor, answers, lives, send
from tests.faults.kill.tally import Tally
from tests.faults.kill.town import Town
from tests.faults.kill.violation import Violation
from tests.faults.kill.waiting import LOOK_EVERY_S, until, until_answered
from tests.support.gateway import Gateway
from tests.support.server import free_port
from tests.support.tcp_proxy import Mode, TcpProxy
from tracking_server.failpoint import Place
from tracking_server.store.engine import Unavailable, transaction

FIXES_PER_S = 1_000.0
ACTS_PER_S = 4.0
BUSY_ACTS_PER_S = 15.0  # until a message comes by the failpoint
PAGES, PAGES_THAT_EXPIRE = 24, 3
EXPIRES_S = 30.0
EMPTY_WITHIN_S = 30.0
RIGHT_WITHIN_S = 10.0
STARTS_WITHIN_S = 60.0
DIES_WITHIN_S = 20.0  # under load
READ_TRIES = 100
SETTLED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Doomed:
    """A process that will die at a failpoint, and what it stands for; the port of one that serves."""

    part: Part
    place: Place
    victim: Victim
    port: int = 0


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
        self._take(await self._read())

    async def round(self, plan: Plan) -> None:
        """From the first fix to the verdict."""
        begun_s = time.monotonic()
        chance = random.Random(plan.seed)
        self.hear(RoundBegun(begun_s, plan.number))
        with suppress(Unavailable):
            await self._open_pages(chance)
        over = asyncio.Event()
        doomed = await self._start_doomed(plan)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.office.work(lambda: self._acts_per_s, chance, over))
            if plan.fault is not None:
                tasks.create_task(self._disturb(plan.fault, plan.lot))
            self.crews.load(FIXES_PER_S)
            back, _ = await asyncio.gather(self._injure(plan, doomed), asyncio.sleep(plan.load_s))
            self.crews.load(0)
            over.set()
            await asyncio.gather(*back)
        await self.crews.quiet()
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
        stored = await self._read(whole=True)
        self._take(stored)
        self.tally.messages.update(row.state for row in stored.messages)

    # ---- kills ----

    async def _injure(self, plan: Plan, doomed: Doomed | None) -> list[asyncio.Task[None]]:
        """Kill who is to be killed; returns what waits until they are back."""
        back = []
        if doomed is not None:
            back += await self._die(doomed)
        else:
            await asyncio.sleep(plan.kill_after_s)
        if plan.victim is not None:
            back.append(await self._kill(plan.victim, plan.lot))
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
        pids = self.supervisor.pids(victim, lot)
        self._note_kill(victim)
        send(pids, signal.SIGKILL)
        return self._until_back(victim, self.supervisor.until_back(victim), pids)

    def _note_kill(self, victim: Victim) -> None:
        self.tally.kills[victim] += 1
        self.hear(Killed(time.monotonic(), victim, "sigkill"))
        self.tell(f"kill {victim}")

    def _note_failpoint(self, victim: str, place: Place) -> None:
        self.tally.failpoints[place] += 1
        self.hear(Killed(time.monotonic(), victim, place))
        self.tell(f"{victim} died {place}")

    def _until_back(self, victim: Victim, back: Awaitable[None], gone: Sequence[int] = ()) -> asyncio.Task[None]:
        killed_s = time.monotonic()

        async def wait() -> None:
            await until(lambda: not any(map(lives, gone)))  # a signal needs a moment
            await back
            now_s = time.monotonic()
            self.tally.recovered_s.setdefault(victim, []).append(now_s - killed_s)
            self.hear(Back(now_s, victim, killed_s))

        return asyncio.create_task(wait())

    # ---- failpoints ----

    async def _start_doomed(self, plan: Plan) -> Doomed | None:
        """Before there is any load, as starting takes seconds: a process more, which is to die at a failpoint."""
        place = plan.failpoint
        match place:
            case None:
                return None
            case "during_migration":
                await self._migrate(plan.passage)
                return None
            case "after_claim" | "after_gateway_accept_before_mark":
                part = self.supervisor.part_at(f"{place}:{plan.passage}", "work")
                await until(lambda: part.said("working"), STARTS_WITHIN_S)
                return Doomed(part, place, Victim.notifier)
        port = free_port()
        part = self.supervisor.part_at(f"{place}:{plan.passage}", "serve", port)
        await until_answered(lambda: answers(port), STARTS_WITHIN_S)
        return Doomed(part, place, Victim.worker, port)

    async def _die(self, doomed: Doomed) -> list[asyncio.Task[None]]:
        """Under load: one that serves takes over all phones and pages, as in a deploy, and dies of its first flushes;
        one that works takes some of the messages, of which there are many now."""
        app = self.proxies[Line.app]
        if doomed.port:  # taps stay rare: a flush of nothing else would lose no fixes
            app.targets = (doomed.port,)
            app.cut()
        else:
            self._acts_per_s = BUSY_ACTS_PER_S
        try:
            await until(lambda: doomed.part.pid is None, DIES_WITHIN_S)
        except TimeoutError:
            doomed.part.end()
            self.tell(f"nothing came by {doomed.place}")
            return []
        finally:
            self._acts_per_s = ACTS_PER_S
            app.targets = (self.supervisor.port,)
        if doomed.part.code == -signal.SIGKILL:
            self._note_failpoint(doomed.victim, doomed.place)
        else:
            self.tell(f"{doomed.victim} ended by itself with {doomed.part.code}, not {doomed.place}")
        return [self._until_back(doomed.victim, self.supervisor.until_back(doomed.victim))]

    async def _migrate(self, revision: int) -> None:
        servers, environment = self.supervisor.servers, self.supervisor.environment
        difference = await migrate_in_two_goes(servers, environment, revision, self.template)
        self._note_failpoint("migration", "during_migration")
        self.hear(Back(time.monotonic(), "migration", time.monotonic()))
        if difference is not None:
            self._find(Violation("migration", f"killed in revision {revision}: {difference}", time.monotonic()))

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
        """Until the phones' queues are empty and each page shows what is, also one whose link is revoked just now.

        While processes are killed, pages connect again so often that nobody sees whether an open one is shut.
        """
        emptied = await self._until_empty()
        await self.office.revoke(random.Random(plan.seed))
        quiet_s = time.monotonic()
        with suppress(TimeoutError):
            await until_answered(self._pages_are_right, RIGHT_WITHIN_S)
        self.hear(RoundEnded(quiet_s, plan.number, emptied, settled=False))
        self._take(await self._read())
        self.tally.acknowledged = self.crews.acknowledged
        self.tally.right_s = list(self.checker.pages.right_s)

    async def _read(self, *, whole: bool = False) -> Stored:
        """Whatever the store has just been through."""
        for _ in range(READ_TRIES):
            with suppress(Unavailable):
                return await self.dumper.read(whole=whole)
            await asyncio.sleep(LOOK_EVERY_S)
        raise Unavailable("nothing of what was stored can be read")

    async def _pages_are_right(self) -> bool:
        with suppress(Unavailable):
            return not self.checker.wrong_pages(await self.dumper.look())
        return False

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
