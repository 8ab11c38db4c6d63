"""The kill test is worth as much as it finds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.server import CLONE

ROUNDS = 20


def test_the_kill_test_finds_each_mutant(long: bool) -> None:
    """The service broken in each of nine ways, each found within twenty rounds by a promise that it breaks."""
    if not long:
        pytest.skip("half an hour: with --long")
    command = [sys.executable, "-m", "tests.faults.kill", "--mutants", "--rounds", str(ROUNDS), "--json"]
    done = subprocess.run(command, cwd=CLONE, stdout=subprocess.PIPE, check=False)
    catches = json.loads(done.stdout)
    assert [catch["mutant"] for catch in catches if not catch["caught"]] == []
    assert len(catches) == 9
