from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.support.server import CLONE

PASSES = """
from tracking_server.failpoint import failpoint
for n in range(3):
    print(n, flush=True)
    failpoint("after_claim")
    failpoint("before_commit")
"""


def passes(fault_at: str) -> subprocess.CompletedProcess[str]:
    """A process that comes three times to two of the places."""
    environment = {**os.environ, "FAULT_AT": fault_at}
    command = [sys.executable, "-c", PASSES]
    return subprocess.run(command, cwd=CLONE, env=environment, capture_output=True, text=True, check=False)


def test_a_process_ends_at_the_place_that_it_was_started_for() -> None:
    """By SIGKILL, at the first passage or the one that is named; without a name it goes on."""
    for fault_at, said, code in (
        ("", "0\n1\n2\n", 0),
        ("after_claim", "0\n", -signal.SIGKILL),
        ("before_commit:2", "0\n1\n", -signal.SIGKILL),
        ("before_commit:4", "0\n1\n2\n", 0),
    ):
        ended = passes(fault_at)
        assert (ended.stdout, ended.returncode) == (said, code)


def test_a_place_that_there_is_not_is_refused() -> None:
    """In one line that names those that there are, before anything is done."""
    for fault_at in ("after_lunch", "before_commit:soon"):
        ended = passes(fault_at)
        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "before_commit" in ended.stderr
        assert ended.stderr.count("\n") == 1
