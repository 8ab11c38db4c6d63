"""Kill everything, round after round, and say what was lost: `python -m tests.faults.kill --rounds 20`."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.kill.deck import deal
from tests.faults.kill.hunt import finds, hunt
from tests.faults.kill.hunt import table_of as hunt_table_of
from tests.faults.kill.stage import stage
from tests.faults.kill.tally import Tally

console = Console(stderr=True)
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # of this process alone


async def run(rounds: int, seed: int, mutant: str | None, history: Path) -> Tally:
    """Play the rounds of a seed; a mutant's run ends when it is found."""
    begun_s = time.monotonic()
    columns = TextColumn("{task.description:34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("", total=rounds)

        def tell(what: str) -> None:
            progress.update(bar, description=what[:34])
            if what.startswith("VIOLATION") or not console.is_terminal:
                progress.console.print(f"{time.monotonic() - begun_s:7.1f} s  {what}", markup=False, soft_wrap=True)

        async with stage(seed, history, mutant, tell) as play:
            for plan in deal(rounds, seed):
                await play.round(plan)
                progress.advance(bar)
                if mutant is not None and finds(mutant, play.tally.violations):
                    break
            else:
                tell("waiting for the last messages")
                await play.settle()
            return play.tally


def main(
    rounds: Annotated[int, typer.Option(min=1, help="So many rounds; 20 take about two minutes.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Play the rounds of an earlier run again.")] = None,
    mutant: Annotated[str | None, typer.Option(help="Break the service in one way: the run has to find it.")] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="Each of the mutants in turn, until it is found.")] = False,
    history: Annotated[Path | None, typer.Option(help="Keep everything that happened in this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Kill every process of the service under load, at random times and at the worst ones, and check what was kept."""
    seed = random.randrange(10**6) if seed is None else seed
    if mutants:
        catches = asyncio.run(hunt(lambda name: run(rounds, seed, name, history or Path("/dev/null"))))
        if as_json:
            print(json.dumps([catch.to_json() for catch in catches], indent=2))  # noqa: T201 (the JSON document)
        else:
            Console().print(hunt_table_of(catches))
        sys.exit(0 if all(catch.caught for catch in catches) else 1)
    tally = asyncio.run(run(rounds, seed, mutant, history or Path("/dev/null")))
    if as_json:
        print(json.dumps(tally.to_json(), indent=2))  # noqa: T201 (the JSON document)
    else:
        Console().print(table_of(tally))
    sys.exit(0 if tally.good else 1)


def table_of(tally: Tally) -> Table:
    table = Table("what", "measured")
    for name, value in tally.to_json().items():
        lines = [f"{key}: {one}" for key, one in value.items()] if isinstance(value, dict) else value
        table.add_row(name, "\n".join(lines) if isinstance(lines, list) else str(lines))
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
