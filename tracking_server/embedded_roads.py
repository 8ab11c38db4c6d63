"""The embedded installation's road engine: the roads of the demo's region, made once, and served by a child process of
the keeper (`embedded_keeper.py`). Without them there is no engine, and nothing else is any slower.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tracking_server import region

DEFAULTS = "valhalla.json"
CACHE_BYTES = 100_000_000
LARGEST_TOLD = 300  # characters of what a program complained of


class CannotBuildRoads(Exception):
    """The roads cannot be made; the text says why."""


def build_roads(extract: Path, roads: Path) -> None:
    """Make the engine's tiles of an OpenStreetMap extract. What was there stays until they are complete."""
    with tempfile.TemporaryDirectory(dir=roads.parent, prefix=".roads-") as scratch:
        new = Path(scratch) / "roads"
        new.mkdir()
        defaults = _defaults()
        config = Path(scratch) / "build.json"
        config.write_text(json.dumps(defaults | _places(new)))
        (new / DEFAULTS).write_text(json.dumps(defaults))
        _run([str(region.ENGINE / "bin" / "valhalla_build_tiles"), "-c", str(config), str(extract)])
        if not any(new.rglob("*.gph")):
            raise CannotBuildRoads(f"{extract} has no roads")
        shutil.rmtree(roads, ignore_errors=True)
        new.rename(roads)


def write_config(file: Path, port: int, sockets: Path, roads: Path = region.ROADS) -> None:
    """For serving roads on this port of the loopback, with the engine's own sockets in a folder of ours:
    two engines that share them answer each other's questions."""
    config = json.loads((roads / DEFAULTS).read_text()) | _places(roads)
    for part in ("loki", "thor", "odin", "meili"):
        config[part].setdefault("service", {})["proxy"] = f"ipc://{sockets}/{part}"
    # Streets that an extract cuts off look like islands to the engine, and it would move stops on them elsewhere.
    config["loki"]["service_defaults"]["minimum_reachability"] = 0
    config["httpd"]["service"] |= {
        "listen": f"tcp://127.0.0.1:{port}",
        "loopback": f"ipc://{sockets}/loopback",
        "interrupt": f"ipc://{sockets}/interrupt",
    }
    file.write_text(json.dumps(config))


def command(config: Path) -> list[str]:
    """With one thread: a demo asks seldom."""
    return [str(region.ENGINE / "bin" / "valhalla_service"), str(config), "1"]


def _defaults() -> dict[str, Any]:
    """As the engine's own program writes them, without a log: it would hold where customers live."""
    told = _run([sys.executable, str(region.ENGINE / "valhalla_build_config.py")])
    config: dict[str, Any] = json.loads(told)
    config["logging"] = {"type": ""}
    return config


def _places(roads: Path) -> dict[str, Any]:
    """Only what is there: the engine warns of every other file that it does not find."""
    return {"mjolnir": {"tile_dir": str(roads), "max_cache_size": CACHE_BYTES, "logging": {"type": ""}}}


def _run(program: list[str]) -> str:
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuildRoads(f"{Path(program[0]).name} failed: {(done.stdout + done.stderr).strip()[-LARGEST_TOLD:]}")
    return done.stdout
