"""A service and a worker of one's own, for a replay or the demo: they end with it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tracking_server.embedded import CLONE, Installation
from tracking_server.replay.uplink import answers

COMMANDS = ("serve", "work")
WITH_THIS_PROCESS = ("setpriv", "--pdeathsig", "TERM", "--")  # the kernel ends them however this process ends
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
LOOK_EVERY_S = 0.05
LOG_LINES_SHOWN = 10


class ProcessEnded(Exception):
    """A process did not start, or ended by itself."""


class Processes:
    """`serve` and `work`, each with its output in a log file, `OWNER-serve.log`."""

    def __init__(self, url: str, folder: Path, owner: str, environment: Mapping[str, str]) -> None:
        self.url = url
        self._folder = folder
        self._owner = owner
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """From the main thread only: what the kernel does when a parent dies is tied to the thread that forked."""
        with self.log(name).open("ab" if name in self._running else "wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 (our own program)
                [*WITH_THIS_PROCESS, sys.executable, "-m", "tracking_server", name],
                cwd=CLONE,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for their owner, who then stops them
            )

    def stop(self) -> None:
        """Ask them to end, and see to it."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
            process.kill()
            process.wait()

    async def ready(self) -> None:
        """Returns when the service says that it can work."""
        until = time.monotonic() + READY_WITHIN_S
        while not await answers(self.url):
            self._check()
            if time.monotonic() > until:
                raise ProcessEnded(f"serve does not answer. {self._last_words('serve')}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch(self) -> None:
        """Never returns; raises `ProcessEnded` when one ends."""
        while True:
            self._check()
            await asyncio.sleep(LOOK_EVERY_S)

    def ended(self) -> list[str]:
        """Which of them do not run any more."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def pid(self, name: str) -> int:
        """Of one that runs."""
        return self._running[name].pid

    def family(self, name: str) -> list[int]:
        """One that runs, and the processes that it has started."""
        pid = self.pid(name)
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def log(self, name: str) -> Path:
        """Where it writes."""
        return self._folder / f"{self._owner}-{name}.log"

    def _check(self) -> None:
        for name in self.ended():
            raise ProcessEnded(f"{name} ended with {self._running[name].returncode}. {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join([f"The end of {self.log(name)}:", *lines])


@contextmanager
def processes(installation: Installation, database: str, clock: str, owner: str = "replay") -> Iterator[Processes]:
    """Run the service and the worker on a database for as long as the block lasts."""
    port = free_port()
    environment = environment_for(installation, database, clock) | {"DOORSTEP_PORT": str(port)}
    own = Processes(f"http://127.0.0.1:{port}", installation.folder, owner, environment)
    try:
        for name in COMMANDS:
            own.start(name)
        yield own
    finally:
        own.stop()


def environment_for(installation: Installation, database: str, clock: str) -> dict[str, str]:
    """The settings of processes that work on a database of the embedded servers, and of nobody else's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORSTEP_")}
    return environment | {
        "DOORSTEP_EMBEDDED": "true",
        "DOORSTEP_DATABASE_URL": installation.app_url(database),
        "DOORSTEP_OWNER_DATABASE_URL": installation.owner_url(database),
        "DOORSTEP_REDIS_URL": installation.redis_url,
        "DOORSTEP_CLOCK": clock,
    }


def free_port() -> int:
    """Below 32768, where clients on this machine get theirs from."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
