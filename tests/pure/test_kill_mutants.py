"""The mutants that a kill test has to find."""

from __future__ import annotations

import contextlib
import multiprocessing
import runpy
import sys

import pytest

from tests.faults.kill.mutants import MUTANTS, main
from tracking_server import __main__ as service

PROMISES = frozenset(f"I{n}" for n in range(1, 12))


def start_all(name: str) -> None:
    """As far as the command itself."""
    service.main = lambda: 0
    runpy.run_module = lambda *_, **__: {}
    for command in ("serve", "work", "phone"):
        with contextlib.suppress(SystemExit):
            main(name, command)
    sys.exit(0)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_what_there_is(name: str) -> None:
    """Whatever it patches still has that name; in a process of its own, where nothing is left broken."""
    process = multiprocessing.get_context("fork").Process(target=start_all, args=(name,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert MUTANTS[name].promises <= PROMISES
    assert MUTANTS[name].promises


def test_only_the_processes_of_a_mutant_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not break starts as it is."""
    monkeypatch.setattr("tracking_server.__main__.main", lambda: 7)
    monkeypatch.setattr("sys.argv", [])
    with pytest.raises(SystemExit) as ended:
        main("forget_first", "serve", "--port", "1")
    assert ended.value.code == 7
