"""Real `work` processes that can be killed, and what they logged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import CLONE
from tracking_server.embedded import Installation


@dataclass
class Workers:
    """Some worker processes on one database; a supervisor starts a killed one again."""

    environment: dict[str, str]
    log: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "tracking_server", "work"]
            self.running.append(subprocess.Popen(command, env=self.environment, cwd=CLONE, stdout=log, stderr=log))

    def kill(self, n: int) -> None:
        """SIGKILL: no goodbye."""
        process = self.running.pop(n % len(self.running))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.killed += 1

    def kill_all(self) -> None:
        while self.running:
            self.kill(0)


@contextmanager
def workers(servers: Installation, database: str, log: Path, count: int, settings: dict[str, str]) -> Iterator[Workers]:
    """Run `count` workers until the block ends."""
    environment = {
        **os.environ,
        "DOORSTEP_EMBEDDED": "true",
        "DOORSTEP_DATABASE_URL": servers.app_url(database),
        "DOORSTEP_OWNER_DATABASE_URL": servers.owner_url(database),
        "DOORSTEP_REDIS_URL": servers.redis_url,
        **{f"DOORSTEP_{name.upper()}": value for name, value in settings.items()},
    }
    own = Workers(environment, log)
    for _ in range(count):
        own.start()
    try:
        yield own
    finally:
        for process in own.running:
            process.kill()
            process.wait()
