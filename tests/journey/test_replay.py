"""Recorded drives through a service and a worker of their own, by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.server import CLONE

KEYS = {
    "sent",
    "acknowledged",
    "stored",
    "duplicates",
    "quarantined",
    "quarantined_by_reason",
    "dropped_off_shift",
    "arrivals_true",
    "arrivals_found",
    "arrivals_false",
    "messages",
}
HELD = 12  # fixes, one per 15 s for 3 min
COMMAND = [sys.executable, "-m", "tracking_server", "replay"]
WITHIN_S = 60


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command, as a user runs it."""
    environment = {**os.environ, **settings}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=CLONE,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def replayed(*arguments: str) -> dict[str, Any]:
    """What a replay came to, after the checks that hold for every replay."""
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result.keys() == KEYS
    assert result["sent"] == result["acknowledged"]
    assert result["acknowledged"] == result["stored"] + result["quarantined"] + result["dropped_off_shift"]
    assert result["duplicates"] == 0
    return result


def write_gpx(file: Path, minutes: int) -> int:
    """A straight drive to a door in Porto, a fix every 15 s at 10 m/s; returns how many."""
    start = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
    fixes = minutes * 4 + 1
    points = "\n".join(
        f'<trkpt lat="{41.1496 - (fixes - 1 - k) * 150 / 111_320:.6f}" lon="-8.6109">'
        f"<time>{(start + timedelta(seconds=15 * k)).isoformat()}</time></trkpt>"
        for k in range(fixes)
    )
    file.write_text(f'<gpx version="1.1"><trk><trkseg>\n{points}\n</trkseg></trk></gpx>')
    return fixes


def test_a_recorded_drive_arrives_once(tmp_path: Path) -> None:
    """One GPX track: every fix stored, one arrival at its time, and messages from booked to arrived."""
    file = tmp_path / "drive.gpx"
    fixes = write_gpx(file, minutes=6)
    result = replayed(str(file), "--speed", "120")
    assert result["stored"] == fixes + HELD
    assert (result["arrivals_true"], result["arrivals_found"], result["arrivals_false"]) == (1, 1, 0)
    assert result["messages"] >= 4


def test_recorded_trips_arrive(drives: Path) -> None:
    """Twelve taxi trips at once, 240 times as fast as they were: no fix lost or doubled, and the arrivals found."""
    result = replayed(str(drives / "porto_trips_shared.csv"), "--speed", "240", "--trips", "12")
    assert result["arrivals_true"] == 12
    assert result["arrivals_found"] >= 0.95 * 12
    assert result["arrivals_false"] <= 0.02 * 12


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    """A damaged file, and an installation that is not the embedded one: a line on stderr, nothing on stdout."""
    file = tmp_path / "damaged.gpx"
    file.write_text('<gpx>\n<trk><trkseg><trkpt lat="1" lon="2"/>')
    for done in (run(str(file), "--json"), run(str(file), "--json", DOORSTEP_DATABASE_URL="postgresql://elsewhere/db")):
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        said = " ".join(done.stderr.split())
        assert "damaged.gpx, line 2" in said or "DOORSTEP_DATABASE_URL is set" in said
