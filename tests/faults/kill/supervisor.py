"""The processes under test: started, found, killed, and started again as whoever runs them would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.faults.kill.deck import Victim
from tests.faults.kill.waiting import until_answered
from tests.support.server import CLONE
from tracking_server.embedded import Installation, processes

PROCESSES = 2  # that serve, under their master
NOTIFIERS = 2
LOOK_EVERY_S = 0.02
AGAIN_AFTER_S = 0.3  # a process that cannot start is not started more often
START_WITHIN_S = 60.0
ANSWER_WITHIN_S = 1.0
END_WITHIN_S = 15.0
WITH_THIS_PROCESS = ("setpriv", "--pdeathsig", "KILL", "--")  # nothing outlives the harness, however that ends


@dataclass(eq=False)
class Part:
    """One process, started again whenever it ends, unless it is to die `once`."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    once: bool = False
    starts: int = 0
    begun_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _log_from: int = 0

    def start(self) -> None:
        """From the main thread only: what the kernel does when a parent dies is tied to the thread that forked."""
        self.starts += 1
        self.begun_s = time.monotonic()
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*WITH_THIS_PROCESS, sys.executable, *self.command],
                cwd=CLONE, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def code(self) -> int | None:
        """How it ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    def said(self, words: str) -> bool:
        """Whether it has said these words since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return words.encode() in log.read()

    def end(self) -> None:
        """Ask, then see to it."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_WITHIN_S)
        self._process.kill()
        self._process.wait()


@dataclass(eq=False)
class Supervisor:
    """All that runs beside the phones. `command` is what comes before `serve` and `work`: the program, or a mutant."""

    servers: Installation
    environment: Mapping[str, str]
    folder: Path
    port: int
    command: Sequence[str] = ("-m", "tracking_server")
    _parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = self._part("serve", self.port)
        self.notifiers = [self._part("work") for _ in range(NOTIFIERS)]

    def part_at(self, place: str, word: str, port: int = 0) -> Part:
        """A process more, which dies at a failpoint; started."""
        part = self._part(word, port, FAULT_AT=place)
        part.once = True
        part.start()
        return part

    def _part(self, word: str, port: int = 0, **more: str) -> Part:
        names = {"DOORSTEP_PORT": str(port), "DOORSTEP_PROCESSES": str(1 if more else PROCESSES)} if port else {}
        n = sum(part.log.name.startswith(word) for part in self._parts)
        part = Part((*self.command, word), {**self.environment, **names, **more}, self.folder / f"{word}-{n}.log")
        self._parts.append(part)
        return part

    async def run(self) -> None:
        """Start everything, and again whatever ends, until cancelled."""
        for part in (self.app, *self.notifiers):
            part.start()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for part in list(self._parts):
                if part.pid is None and part.once:
                    self._parts.remove(part)
                elif part.pid is None and time.monotonic() > part.begun_s + AGAIN_AFTER_S:
                    part.start()

    def stop(self) -> None:
        """End everything that is left."""
        for part in self._parts:
            part.end()

    def pids(self, victim: Victim, lot: float) -> list[int]:
        """Whom a kill of this victim meets, the first alone where one is enough; `lot`, from 0 to 1, chooses.

        None while it is down anyway.
        """
        match victim:
            case Victim.worker:
                return _one_of(self.workers(), lot)
            case Victim.master:
                return [self.app.pid] if self.app.pid else []
            case Victim.notifier:
                return _one_of([part.pid for part in self.notifiers if part.pid], lot)
            case Victim.backend:
                return _one_of(self._backends(), lot)
            case Victim.postgres:
                return self.servers.postgres_pids()
            case Victim.redis:
                return self.servers.redis_pids()
        raise ValueError(victim)

    def workers(self) -> list[int]:
        """The processes that serve."""
        if self.app.pid is None:
            return []
        with suppress(OSError):
            children = Path(f"/proc/{self.app.pid}/task/{self.app.pid}/children").read_text().split()
            return [int(pid) for pid in children if lives(pid)]
        return []

    def _backends(self) -> list[int]:
        title = f"postgres: {self.servers.name}: doorstep_app ".encode()
        return [pid for pid, words in processes() if words[0].startswith(title)]

    async def until_back(self, victim: Victim) -> None:
        """Wait until it does its work again. Raises `TimeoutError`."""
        await until_answered(lambda: self._is_back(victim), START_WITHIN_S)

    async def _is_back(self, victim: Victim) -> bool:
        match victim:
            case Victim.worker | Victim.master:
                return len(self.workers()) == PROCESSES and await answers(self.port)
            case Victim.notifier:
                return all(part.pid is not None and part.said("working") for part in self.notifiers)
            case Victim.backend | Victim.postgres:
                return await asyncio.to_thread(self._postgres_answers)
            case Victim.redis:
                return await asyncio.to_thread(self.servers.redis_answers)
        raise ValueError(victim)

    def _postgres_answers(self) -> bool:
        with suppress(psycopg.Error):
            host = str(self.servers.socket_folder)
            with psycopg.connect(host=host, user="doorstep_admin", dbname="postgres", connect_timeout=1) as connection:
                connection.execute("SELECT 1")
            return True
        return False


async def answers(port: int) -> bool:
    """Whether the service says that it can do its work."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def lives(pid: int | str) -> bool:
    """Killed, it is listed until its parent has looked after it."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _one_of(pids: Sequence[int], lot: float) -> list[int]:
    return [pids[int(lot * len(pids))]] if pids else []
