"""The mutants that a kill test has to find."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.faults.kill.mutants import MUTANTS, main


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_what_there_is(name: str) -> None:
    """Whatever it patches still has that name; in a process of its own, where nothing is left broken."""
    process = multiprocessing.get_context("fork").Process(target=MUTANTS[name].breaks)
    process.start()
    process.join(30)
    assert process.exitcode == 0


def test_only_the_processes_of_a_mutant_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not break starts as it is."""
    monkeypatch.setattr("tracking_server.__main__.main", lambda: 7)
    monkeypatch.setattr("sys.argv", [])
    with pytest.raises(SystemExit) as ended:
        main("forget_first", "serve", "--port", "1")
    assert ended.value.code == 7
