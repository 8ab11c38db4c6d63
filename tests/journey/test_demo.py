"""The demo as a newcomer starts it: a process of its own, in an installation of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tech_app.core.clock import PhoneClock
from tech_app.core.gps.choice import choose_source
from tech_app.core.home import Home
from tech_app.core.session import pair, read_invitation
from tech_app.desktop import Place
from tests.support.server import CLONE, enter_link, free_port, page_stream
from tests.support.staff import Browser
from tracking_server import embedded, region, reset_command
from tracking_server.embedded import Installation, processes
from tracking_server.installation import UserError

SPEED = 4
READY_WITHIN_S = 90.0
ENDED_WITHIN_S = 20.0
# What the page of each printed state says of itself; delays and new technicians lie over the state.
SHOWING = {"delayed": "today", "reassigned": "today"}


@dataclass
class Demo:
    """A running demo and what it printed."""

    process: subprocess.Popen[str]
    told: dict[str, Any]
    port: int

    def url(self, state: str) -> str:
        return next(page["url"] for page in self.told["pages"] if page["state"] == state)

    def token(self, state: str) -> str:
        return self.url(state).rpartition("/")[2].partition("?")[0]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.told["phone"]["url"], timeout=10)


def start(folder: Path, *options: str, speed: int = SPEED) -> Demo:
    port = free_port()
    command = [sys.executable, "-m", "tracking_server.demo", "--json", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--speed", str(speed), *options],
        cwd=CLONE,
        env={**os.environ, "DOORSTEP_EMBEDDED_FOLDER": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return Demo(process, json.loads(_document(process.stdout)), port)


def _document(stdout: IO[str]) -> str:
    lines = []
    while line := stdout.readline():
        lines.append(line)
        if line == "}\n":
            break
    return "".join(lines)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's own temporary folder: that one is closed to the users whom root's servers run as."""
    folder = Path(tempfile.mkdtemp(prefix="doorstep-test-"))
    folder.chmod(0o755)
    yield folder
    embedded.stop(Installation(folder))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    demo = start(folder)
    yield demo
    demo.process.kill()
    demo.process.wait()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CLONE,
        env={**os.environ, "DOORSTEP_EMBEDDED_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=READY_WITHIN_S,
    )


def left_of(folder: Path) -> list[list[bytes]]:
    """The processes that work in a folder, by their environment or their command line."""
    mark = os.fsencode(folder.name)

    def belongs(pid: int, words: list[bytes]) -> bool:
        try:
            return mark in b" ".join(words) or mark in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    own = Installation(folder)
    servers = [*own.postgres_pids(), *own.redis_pids(), *own.road_engine_pids()]
    return [words for pid, words in processes() if pid in servers or (pid != os.getpid() and belongs(pid, words))]


def wait_until(condition: Callable[[], object], within_s: float = ENDED_WITHIN_S) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


async def says(demo: Demo, state: str) -> str:
    """The page of a printed link, as a browser opens it."""
    async with demo.client() as client:
        answer = await client.get(demo.url(state), follow_redirects=True)
    assert answer.status_code == (410 if state == "expired" else 200)
    return answer.text


async def test_printed_links_open_pages_in_their_states(demo: Demo) -> None:
    """One for each state, for customers in three languages; the delay is told within seconds."""
    assert {page["language"] for page in demo.told["pages"]} == {"en", "th", "ar"}
    for page in demo.told["pages"]:
        state = page["state"]
        text = await says(demo, state)
        if state != "expired":
            (showing,) = re.findall(r'data-showing="(\w+)"', text)
            assert showing == SHOWING.get(state, state)
            assert f'lang="{page["language"]}"' in text
    assert "تم" in await says(demo, "reassigned")
    async with asyncio.timeout(10):
        while "Your visit is later than planned" not in await says(demo, "delayed"):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.2)


async def test_a_rider_moves_also_after_the_service_was_killed(demo: Demo) -> None:
    """The position on an open page changes; then the service dies, comes back by itself, and it changes again."""
    await _until_it_moved(demo)
    (serve,) = [pid for pid, words in processes() if b"serve" in words and _child_of(pid) == demo.process.pid]
    os.kill(serve, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{serve}").exists())
    wait_until(lambda: _answers(demo.port))
    await _until_it_moved(demo)


async def _until_it_moved(demo: Demo) -> None:
    async with demo.client() as client:
        link = (await enter_link(client, demo.token("en_route"))).partition("?")[0]
        async with page_stream(client, link) as page, asyncio.timeout(20):
            while len({(seen["lat"], seen["lon"]) for seen in page.positions}) < 3:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_everything_sent_is_shown(demo: Demo) -> None:
    """Mails and short messages come in on the open page of what was sent, in the customers' languages; and only the
    sender may bring some."""
    url = demo.told["sent"]["url"]
    async with httpx.AsyncClient(timeout=20) as client:
        shown = ""
        async with asyncio.timeout(20), client.stream("GET", f"{url}updates?after=0") as updates:
            async for line in updates.aiter_lines():
                shown += line.removeprefix("data: ") + "\n"
                if "Elena is on the way to you" in shown and "David على وشك الوصول" in shown:
                    break
        page = (await client.get(url)).text
        assert "Elena is on the way to you" in page
        assert re.search(r'<h2 dir="rtl">.*على وشك الوصول', page)
        assert f'href="{demo.told["phone"]["url"]}/t/' in page
        assert (await client.post(f"{url}sms", json={})).status_code == 401


async def test_the_printed_account_opens_the_board(demo: Demo) -> None:
    """With its password; the day's customers are on it."""
    async with demo.client() as client:
        browser = Browser(client)
        assert (await browser.sign_in(demo.told["board"]["email"], demo.told["board"]["password"])).status_code == 303
        board = (await browser.get("/board", follow_redirects=True)).text
    assert "Oliver Bennett" in board
    assert "Sofia Marchetti" in board


def test_a_second_demo_and_a_reset_are_refused_while_it_runs(demo: Demo, folder: Path) -> None:
    """Each in one line that says what to do."""
    second = run(folder, "tracking_server.demo", "--port", str(free_port()))
    assert second.returncode == 1
    assert second.stderr == (
        f"the demo of this clone is running already at {demo.told['phone']['url']}: stop it with Ctrl-C first\n"
    )
    forget = run(folder, "tracking_server", "reset", "--yes")
    assert forget.returncode == 1
    assert "is running" in forget.stderr
    assert (folder / "pg").exists()


def test_ctrl_c_ends_everything_it_started(demo: Demo, folder: Path) -> None:
    """With one line, and nothing of it left a moment later."""
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(ENDED_WITHIN_S) == 0
    assert demo.process.stderr is not None
    assert demo.process.stderr.read().splitlines()[-1] == "the demo has stopped"
    wait_until(lambda: not left_of(folder))


def test_a_killed_demo_leaves_nothing_running(folder: Path) -> None:
    """SIGKILL, without a goodbye."""
    demo = start(folder)
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not left_of(folder))


def test_a_taken_port_is_told_at_once(folder: Path) -> None:
    """The service's and that of what was sent, with the option to use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for asked in (port, port - 1):
            done = run(folder, "tracking_server.demo", "--host", "127.0.0.1", "--port", str(asked))
            assert (done.returncode, done.stderr) == (1, f"port {port} is taken: choose another with --port\n")


def test_reset_forgets_what_was_made(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After asking: databases and the demo's map; and it leaves alone what is somebody else's."""
    monkeypatch.setenv("DOORSTEP_EMBEDDED_FOLDER", str(folder))
    for name in ("BASEMAP", "ROADS"):
        monkeypatch.setattr(region, name, tmp_path / name)
    monkeypatch.setattr(reset_command, "MAP_STAMP", tmp_path / "stamp")
    (tmp_path / "ROADS").mkdir()
    for name in ("BASEMAP", "stamp", "extract"):
        (tmp_path / name).write_text("")
    (folder / "mine.txt").write_text("")
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 (the test's input, as long as it lasts)
    with pytest.raises(UserError, match="say --yes"):
        reset_command.reset(yes=False)
    assert (folder / "pg").exists()
    reset_command.reset(yes=True)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["extract"]
    reset_command.reset(yes=True)


async def test_a_guest_has_visits_to_drive_to(demo: Demo, folder: Path, tmp_path: Path) -> None:
    """Whoever opens the app gets a technician's place: visits of today and tomorrow, and their customers' pages."""
    guest = subprocess.Popen(  # noqa: ASYNC220 - it answers in a second
        [sys.executable, "-m", "tracking_server.demo.guest"],
        cwd=CLONE,
        env={**os.environ, "DOORSTEP_EMBEDDED_FOLDER": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with guest:
        assert guest.stdout is not None
        place = Place(**json.loads(guest.stdout.readline()))
        home = Home(tmp_path, PhoneClock(), choose_source(["simulator", place.place]))
        home.pair(await pair(read_invitation(place.invitation), "phone"))
        home.start()
        desk = home.desk()
        async with asyncio.timeout(20):
            while len(desk.jobs) < 4:
                await asyncio.sleep(0.05)
                desk.changed()
        assert [job.customer for job in desk.jobs] == [page["customer"] for page in place.pages]
        assert len({job.day for job in desk.jobs}) == 2
        first = desk.jobs[0]
        await home.stop()
        desk.close()
        async with demo.client() as client:
            page = await client.get(place.pages[0]["url"], follow_redirects=True)
        assert page.status_code == 200
        assert first.summary in page.text
