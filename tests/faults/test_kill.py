"""Everything that was acknowledged survives SIGKILL of any process, at random moments and at the worst ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.server import CLONE

ROUNDS, LONG_ROUNDS = 20, 200


def test_nothing_is_lost_doubled_or_shown_wrong_under_kills(long: bool, tmp_path: Path) -> None:
    """Twenty phones, pages, messages and dispatchers under load while one process after the other is killed: every
    promise holds, and the run had something to lose."""
    options = ("--rounds", str(LONG_ROUNDS if long else ROUNDS), "--history", str(tmp_path / "history.jsonl"), "--json")
    command = [sys.executable, "-m", "tests.faults.kill", *options]
    done = subprocess.run(command, cwd=CLONE, stdout=subprocess.PIPE, text=True, check=False)
    run = json.loads(done.stdout)
    print(done.stdout)  # noqa: T201 - for the failure report: the seed, and what was killed
    assert (run["violations"], run["void"]) == ([], [])
    assert run["page_right_s_p95"] <= 5.0
    assert done.returncode == 0
