"""Starts the app: on a phone as the system starts it, on a desktop with options."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path

# On the phone the root of the app is this folder, which then has no name of its own.
if "tech_app" not in sys.modules:
    package = types.ModuleType("tech_app")
    package.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules["tech_app"] = package

from tech_app.core.clock import PhoneClock
from tech_app.core.gps.android import AndroidSource
from tech_app.core.gps.choice import CHOICES, choose_source
from tech_app.core.home import Home
from tech_app.core.session import Refused, pair, read_invitation
from tech_app.desktop import Chauffeur, require_screen, settle_kivy
from tech_app.service import android

PROGRAM = "./doorstep phone"


def main() -> None:
    if android.is_android():
        asyncio.run(run_on_android())
        return
    options = read_options(sys.argv[1:])
    try:
        require_screen(os.environ)
        settle_kivy(options.data)
        chauffeur = Chauffeur(choose_source(options.gps))
        home = Home(options.data, PhoneClock(), chauffeur.source)
        asyncio.run(run_on_desktop(home, chauffeur, options.pair))
    except (ValueError, Refused) as error:
        sys.exit(f"{PROGRAM}: {error}")
    except KeyboardInterrupt:
        pass


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a desktop."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="The technician's phone in a window.")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="where it keeps what it has")
    parser.add_argument("--pair", metavar="URL#CODE", help="be this phone from now on")
    parser.add_argument("--gps", nargs="+", default=["gpsd"], metavar="SOURCE", help=CHOICES)
    return parser.parse_args(arguments)


async def run_on_desktop(home: Home, chauffeur: Chauffeur, invitation: str | None) -> None:
    """Until the window is closed. Raises `Refused` when it cannot be paired."""
    if invitation is not None:
        home.pair(await pair(read_invitation(invitation), "desktop", home.earlier()))
    driving = asyncio.create_task(chauffeur.run(home))
    try:
        await show(home)
    finally:
        driving.cancel()
        await home.stop()


async def run_on_android() -> None:
    """Until the system ends it; a shift goes on in the tracker's process."""
    from tech_app.ui.words import _

    notice = android.Notice(
        _("Shift"), _("On shift"), _("Your firm and the customer you drive to can see where you are.")
    )
    home = Home(
        android.data_folder(),
        PhoneClock(),
        AndroidSource,
        battery_pct=android.battery_pct,
        start_tracker=lambda: android.start_tracker(notice),
    )
    try:
        await show(home)
    finally:
        await home.stop()


async def show(home: Home) -> None:
    """The app in its window."""
    from tech_app.ui.app import DoorstepApp  # Kivy opens its window when it is imported

    await DoorstepApp(home).async_run("asyncio")


if __name__ == "__main__":
    main()
