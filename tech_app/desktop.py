"""What only the app on a desktop needs: a window of a phone's size, and a simulator that drives where it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tech_app.core.clock import Clock
from tech_app.core.gps.base import Source
from tech_app.core.gps.simulator import SimulatorSource
from tech_app.core.home import Home
from tech_app.core.jobs import State
from tech_app.core.route import Routes
from tech_app.core.session import tls

WIDTH, HEIGHT = 412, 824
LOOK_EVERY_S = 1.0
# Kivy would make every library tell all that it does, the key in a request's head with it.
QUIET = {"KIVY_LOG_MODE": "PYTHON", "KIVY_NO_CONFIG": "1"}


@dataclass(frozen=True, slots=True)
class Place:
    """A technician's place in the demo: how to be them, where they stand, and what their customers see."""

    invitation: str
    technician: str
    place: str
    pages: list[dict[str, str]]

    def show(self) -> None:
        """For people."""
        print(f"You are {self.technician}. Your customers see:")  # noqa: T201 - a program for a terminal
        for page in self.pages:
            print(f"  {page['customer']}\n      {page['url']}")  # noqa: T201
        print(flush=True)  # noqa: T201


@contextmanager
def demo_place() -> Iterator[Place]:
    """A place in the demo of this clone, which runs meanwhile. Raises ValueError when there is none to be had."""
    with subprocess.Popen(
        [sys.executable, "-m", "tracking_server.demo.guest"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as guest:
        assert guest.stdout is not None  # noqa: S101 - it is a pipe
        told = guest.stdout.readline()
        if not told:
            raise ValueError("there is no place in the demo: see the line above")
        yield Place(**json.loads(told))


def default_data(environment: Mapping[str, str]) -> Path:
    """Where the app keeps what it has on a desktop, when no folder is named."""
    base = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "doorstep" / "phone"


def require_screen(environment: Mapping[str, str]) -> None:
    """Raises ValueError where a window could be seen by nobody."""
    if sys.platform.startswith("linux") and not any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    ):
        raise ValueError(
            "there is no screen here (DISPLAY is not set): run it on a desktop, "
            "or with SDL_VIDEODRIVER=offscreen, unseen"
        )


def settle_kivy(data: Path) -> None:
    """Before Kivy is imported: no options of its own, nothing of it in the user's home, a window of a phone's size."""
    os.environ |= QUIET | {
        "KIVY_NO_ARGS": "1",
        "KIVY_NO_FILELOG": "1",
        "KIVY_HOME": str(data / "kivy"),
        "KCFG_GRAPHICS_WIDTH": str(WIDTH),
        "KCFG_GRAPHICS_HEIGHT": str(HEIGHT),
        "KCFG_INPUT_MOUSE": "mouse,disable_multitouch",
    }


class Chauffeur:
    """Makes the source of fixes; a simulator it drives to the job that the technician is on the way to."""

    def __init__(self, make: Callable[[Clock], Source]) -> None:
        self._make = make
        self._source: Source | None = None

    def source(self, clock: Clock) -> Source:
        """The source, for `Home`."""
        if self._source is None:
            self._source = self._make(clock)
        return self._source

    async def run(self, home: Home) -> None:
        """Until cancelled."""
        while (session := home.session()) is None:
            await home.clock.sleep(LOOK_EVERY_S)
        secure = tls() if session.url.startswith("https:") else None
        routes = Routes(home.data / "driven", session.url, session.key, secure, home.clock)
        with closing(home.desk()) as desk:
            going: str | None = None
            while True:
                desk.changed()
                goal = next((job for job in desk.jobs if job.state is State.en_route), None)
                if (goal and goal.id) != going and isinstance(self._source, SimulatorSource):
                    going = goal and goal.id
                    self._source.stop()
                    if goal is not None:
                        route = await routes.look(goal.id, *self._source.place)
                        self._source.drive([*(route.way if route else ()), (goal.lat, goal.lon)])
                await home.clock.sleep(LOOK_EVERY_S)
