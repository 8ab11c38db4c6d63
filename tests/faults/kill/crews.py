"""The phones' processes, from the harness's side: started, told what to do, heard, killed and started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.faults.kill.history import Acked, Gen, PhoneStarted, Ranges, Record, Tapped, decode
from tests.faults.kill.phone import ECHO, Crew, Order
from tests.faults.kill.supervisor import WITH_THIS_PROCESS
from tests.faults.kill.waiting import until
from tests.support.server import CLONE

LONGEST_LINE = 1_000_000
QUIET_WITHIN_S = 60.0  # a process may have to start first
Number = tuple[int, int]  # a stream and a number in it


@dataclass
class Held:
    """What a phone's outbox holds, by what the phone said: told after its commits."""

    numbers: set[Number] = field(default_factory=set)
    acknowledged: set[Number] = field(default_factory=set)

    def hear(self, record: Record) -> None:
        if isinstance(record, Gen | Tapped):
            self.numbers.add((record.stream, record.seq))
        elif isinstance(record, Acked):
            named = {(record.stream, seq) for seq in _each(record.numbers)}
            self.numbers -= named
            self.acknowledged |= named


@dataclass(eq=False)
class CrewProcess:
    """One process of phones."""

    crew: Crew
    command: Sequence[str]
    log: Path
    hear: Callable[[Record], None]
    fixes_per_s: float = 0.0
    echoed: int = 0
    _echo: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _reading: asyncio.Task[None] | None = None
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def run(self) -> None:
        """Start it, and again whenever it ends, until cancelled."""
        while True:
            self._start()
            assert self._reading is not None
            await self._reading

    async def until_started(self) -> None:
        """Wait until these phones say that they are there again."""
        await self._started.wait()

    def load(self, fixes_per_s: float) -> None:
        """Of each phone, from now on, also when it is started anew."""
        self.fixes_per_s = fixes_per_s
        self._order(Order(fixes_per_s=fixes_per_s))

    def ask(self, echo: int) -> None:
        """For an echo, also when it is started anew: all that was ordered is done, or was killed, when it comes."""
        self._echo = echo
        self._order(Order(echo=echo))

    def tap(self, device: str, kind: str, job: str | None) -> None:
        self._order(Order(device=device, kind=kind, job=job))

    def kill(self) -> None:
        """SIGKILL. What it said before is heard."""
        self._started.clear()
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _order(self, order: Order) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                os.write(self._process.stdin.fileno(), msgspec.json.encode(order) + b"\n")

    def _start(self) -> None:
        self._started.clear()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*WITH_THIS_PROCESS, sys.executable, *self.command],
                cwd=CLONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0,
            )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(self.crew) + b"\n")
        self._order(Order(fixes_per_s=self.fixes_per_s, echo=self._echo))
        self._reading = asyncio.ensure_future(self._read(self._process))

    async def _read(self, process: subprocess.Popen[bytes]) -> None:
        lines = asyncio.StreamReader(LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), process.stdout
        )
        try:
            while (line := await lines.readline()).endswith(b"\n"):
                if line.startswith(ECHO[:5]):
                    self.echoed = int(line[5:])
                    continue
                record = decode(line)
                if isinstance(record, PhoneStarted):
                    self._started.set()
                self.hear(record)
        finally:
            transport.close()
        process.wait()


@dataclass(eq=False)
class Crews:
    """All phones."""

    processes: list[CrewProcess]
    held: dict[str, Held] = field(default_factory=lambda: defaultdict(Held))
    _asked: int = 0

    def hear(self, record: Record) -> None:
        """Keep count of what is on the phones."""
        if isinstance(record, Gen | Tapped | Acked):
            self.held[record.device].hear(record)

    @property
    def left(self) -> int:
        """How much waits on all phones."""
        return sum(len(held.numbers) for held in self.held.values())

    @property
    def acknowledged(self) -> int:
        return sum(len(held.acknowledged) for held in self.held.values())

    def load(self, fixes_per_s: float) -> None:
        """Of all phones together."""
        count = sum(len(process.crew.members) for process in self.processes)
        for process in self.processes:
            process.load(fixes_per_s / count)

    async def quiet(self) -> None:
        """Nothing is made any more once this returns; what is held may still be under way."""
        self._asked += 1
        self.load(0)
        for process in self.processes:
            process.ask(self._asked)
        await until(lambda: all(process.echoed == self._asked for process in self.processes), QUIET_WITHIN_S)

    def one_of(self, lot: float) -> CrewProcess:
        """One of the processes, as `lot`, from 0 to 1, chooses."""
        return self.processes[int(lot * len(self.processes))]

    def stop(self) -> None:
        for process in self.processes:
            process.stop()

    def tap(self, device: str, kind: str, job: str | None) -> None:
        for process in self.processes:
            if any(member.device == device for member in process.crew.members):
                process.tap(device, kind, job)


def _each(numbers: Ranges) -> Iterable[int]:
    return (seq for first, last in numbers for seq in range(first, last + 1))
