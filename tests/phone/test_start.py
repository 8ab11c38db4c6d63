"""How the app is started: the words of its command line, its folder's name on a phone, the tracker's process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import tech_app
from tech_app.core.clock import PhoneClock
from tech_app.core.gps.choice import choose_source
from tech_app.core.gps.gpsd import GpsdSource
from tech_app.core.gps.replay import ReplaySource
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home
from tech_app.core.jobs import State
from tech_app.core.session import Session
from tech_app.core.tap import TapKind
from tech_app.desktop import Chauffeur, require_screen
from tech_app.service import android
from tech_app.service.tracker import track
from tests.support.stream_stub import KEY, streaming

APP = Path(tech_app.__file__).parent
JOBS = (APP.parent / "tests" / "contract" / "examples" / "jobs_answer.json").read_text()
SECOND = "6f9f7c1e-0000-4000-8000-000000000002"
PORTO = (41.1496, -8.6109)


async def test_a_source_is_chosen_by_words(tmp_path: Path) -> None:
    """gpsd with and without an address, a recording, the simulator."""
    clock = PhoneClock()
    gpx = tmp_path / "drive.gpx"
    points = "".join(f'<trkpt lat="41.1" lon="-8.6"><time>2026-01-27T08:00:0{n}Z</time></trkpt>' for n in range(3))
    gpx.write_text(f'<gpx version="1.1"><trk><trkseg>{points}</trkseg></trk></gpx>')
    near = choose_source(["gpsd"])(clock)
    far = choose_source(["gpsd:van.example:3000"])(clock)
    assert isinstance(near, GpsdSource)
    assert isinstance(far, GpsdSource)
    assert (near._host, near._port, far._host, far._port) == ("127.0.0.1", 2947, "van.example", 3000)
    assert isinstance(choose_source(["replay", str(gpx)])(clock), ReplaySource)
    simulator = choose_source(["simulator", "41.1496,-8.6109"])(clock)
    assert isinstance(simulator, SimulatorSource)
    assert simulator.place == PORTO


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["satellites"], "choose gpsd"),
        (["replay"], "choose gpsd"),
        (["replay", "/nowhere.gpx"], "No such file"),
        (["simulator", "porto"], "give latitude and longitude"),
        (["simulator", "91,0"], "give latitude and longitude"),
        (["gpsd:here:x"], "give gpsd:HOST:PORT"),
    ],
)
def test_a_wrong_source_is_told_in_one_line(words: list[str], advice: str) -> None:
    """... that says what to do."""
    with pytest.raises(ValueError, match=advice) as error:
        choose_source(words)
    assert "\n" not in str(error.value)


def test_no_screen_is_told_in_one_line() -> None:
    """A window that nobody sees is opened only by somebody who asks for it."""
    with pytest.raises(ValueError, match="DISPLAY is not set"):
        require_screen({})
    require_screen({"DISPLAY": ":0"})
    require_screen({"SDL_VIDEODRIVER": "offscreen"})


def test_without_a_screen_the_program_ends_in_one_line(tmp_path: Path) -> None:
    """No traceback, whatever is wrong."""
    command = [sys.executable, "-m", "tech_app.main", "--data", str(tmp_path)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(APP.parent)}
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "DISPLAY is not set" in ended.stderr


def test_the_app_knows_its_name_on_a_phone(tmp_path: Path) -> None:
    """There the folder's content is the root of everything: both processes import `tech_app` all the same."""
    root = tmp_path / "app"
    shutil.copytree(APP, root, ignore=shutil.ignore_patterns("__pycache__", "release", "fonts"))
    for script in ("main.py", "service/tracker.py"):
        code = f"import runpy; runpy.run_path({str(root / script)!r}, run_name='imported')"
        alone = subprocess.run([sys.executable, "-I", "-c", code], cwd="/", capture_output=True, text=True, timeout=60)
        assert alone.returncode == 0, alone.stderr


def test_a_notice_survives_the_way_to_the_service() -> None:
    """In the technician's words; a service that the system started again is told nothing, and says it in English."""
    notice = android.Notice("กะงาน", "อยู่ในกะ", "ลูกค้าเห็นตำแหน่งของคุณ")
    assert android.read_notice(notice.to_json()) == notice
    for nothing in (None, "", "[]", '{"other": 1}'):
        assert android.read_notice(nothing) == android.Notice()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - as a screen does
            await asyncio.sleep(0.01)


async def test_the_tracker_follows_a_shift_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process ends when all is told, and at once when there is nobody to track."""
    monkeypatch.setattr("tech_app.service.tracker.HANDED_OVER_WITHIN_S", 0.3)
    home = Home(tmp_path, PhoneClock(), lambda clock: SimulatorSource(clock, PORTO))
    await track(home)
    async with streaming(PhoneClock().now) as stub:
        home.pair(Session(stub.url, "device-1", "technician-1", KEY))
        desk = home.desk()
        desk.tap(TapKind.shift_start)
        tracking = asyncio.create_task(track(home))
        await until(lambda: desk.changed() and desk.status().seen)
        await track(home)  # the first has it
        desk.tap(TapKind.shift_end)
        await asyncio.wait_for(tracking, 10)
        assert desk.facts().taps + desk.facts().fixes == 0
        desk.close()


@pytest.mark.parametrize("device", [None, "device-2"])
async def test_the_tracker_follows_nobody_who_gave_the_phone_back(tmp_path: Path, device: str | None) -> None:
    """In the middle of a shift, to nobody or to another technician: it ends, and nothing is sent any more."""
    home = Home(tmp_path, PhoneClock(), lambda clock: SimulatorSource(clock, PORTO))
    async with streaming(PhoneClock().now) as stub:
        session = Session(stub.url, "device-1", "technician-1", KEY)
        home.pair(session)
        desk = home.desk()
        desk.tap(TapKind.shift_start)
        tracking = asyncio.create_task(track(home))
        await until(lambda: desk.changed() and desk.status().seen and not desk.facts().taps)
        if device is None:
            home.unpair()
        else:
            home.pair(replace(session, device=device))
            desk.poke()
        await asyncio.wait_for(tracking, 10)
        desk.close()


async def test_the_simulator_drives_to_the_job(tmp_path: Path) -> None:
    """... that the technician is on the way to, and stands where it is when that is taken back."""
    chauffeur = Chauffeur(lambda clock: SimulatorSource(clock, PORTO))
    home = Home(tmp_path, PhoneClock(), chauffeur.source)
    async with streaming(PhoneClock().now) as stub:
        home.pair(Session(stub.url, "device-1", "technician-1", KEY))
        phone = home.phone()
        phone.day.fetched(JOBS, [])
        phone.outbox.close()
        driving = asyncio.create_task(chauffeur.run(home))
        source = chauffeur.source(home.clock)
        assert isinstance(source, SimulatorSource)
        desk = home.desk()
        await until(lambda: source.ahead)
        desk.tap(TapKind.en_route, SECOND)
        second = next(job for job in desk.jobs if job.id == SECOND)
        assert second.state is State.en_route
        await until(lambda: source.ahead == (second.lat, second.lon))
        desk.tap(TapKind.undo, SECOND)
        await until(lambda: source.ahead is None)
        driving.cancel()
        desk.close()
