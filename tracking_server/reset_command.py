"""What `./doorstep reset` does: forget what this clone made and kept, and nothing that it fetched."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from tracking_server import embedded, region
from tracking_server.embedded import Installation
from tracking_server.installation import UserError, console

MAP_STAMP = region.FETCHED / "doorstep-demo-map"  # of ./doorstep: without it the map is made again
KEPT = (
    "pg",
    "pg.new",
    "run",
    "attachments",
    "demo-region",
    "*.log",
    "*.conf",
    "*.json",
    "*.port",
    "*.lock",
)  # in the installation's folder


def reset(*, yes: bool) -> None:
    """Say what will be forgotten, ask, and forget it. Raises `UserError` when something runs."""
    installation = Installation.of_this_clone()
    found = things(installation)
    if not found:
        console.print("there is nothing to forget")
        return
    with _unused(installation):
        for what, paths in found.items():
            console.print(f"{what}: {paths[0].parent if len(paths) > 1 else paths[0]}", highlight=False, soft_wrap=True)
        if not yes:
            if not sys.stdin.isatty():
                raise UserError("nothing was forgotten: say --yes to forget all of this without being asked")
            typer.confirm("Forget all of this? It cannot be undone", abort=True, err=True)
        for paths in found.values():
            for path in paths:
                _forget(path)
        with suppress(OSError):  # somebody else's files are in it
            installation.folder.rmdir()
    console.print("forgotten; what was fetched is still here")


def things(installation: Installation) -> dict[str, list[Path]]:
    """What is there to forget, by what it is."""
    kept = [path for name in KEPT for path in sorted(installation.folder.glob(name))]
    elsewhere = [path for path in [installation.run_folder] if path.exists() and path not in kept]
    made = [path for path in (region.BASEMAP, region.ROADS) if path.exists()]
    found = {
        "firms, jobs, fixes, messages and accounts of the embedded databases, and the demo": kept,
        "its sockets": elsewhere,
        "the map and the roads of the demo's region": made + ([MAP_STAMP] if made and MAP_STAMP.exists() else []),
    }
    return {what: paths for what, paths in found.items() if paths}


def _forget(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _unused(installation: Installation) -> Iterator[None]:
    """Have the servers stopped, and nobody begin to use them meanwhile. Raises `UserError` when somebody uses them."""
    if not installation.folder.exists():
        yield
        return
    with (installation.folder / "users.lock").open("a") as lock:
        if not _taken(lock.fileno(), fcntl.LOCK_EX) and _taken(lock.fileno(), fcntl.LOCK_SH):
            raise UserError("something of this clone is running (serve, work, demo, a test): stop it first")
        embedded.stop(installation)  # the keeper may wait for the next command
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _taken(lock: int, how: int) -> bool:
    """Users share this lock, and a keeper whom nobody needs has it alone."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
