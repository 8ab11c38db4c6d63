"""Starts the app: on a phone as the system starts it, on a desktop with options."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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
from tech_app.desktop import QUIET, Chauffeur, default_data, demo_place, require_screen, settle_kivy
from tech_app.service import android

PROGRAM = "./doorstep phone"
ABOUT = """The technician's phone in a window.

Without --pair, and without a phone in the folder, it takes a technician's place in the demo, which it starts when it
does not run; its simulator then drives to each job that you are on the way to.
"""


def main() -> None:
    if android.is_android():
        os.environ |= QUIET
        asyncio.run(run_on_android())
        return
    options = read_options(sys.argv[1:])
    try:
        require_screen(os.environ)
        if options.data or options.pair:
            run_on_desktop(options.data or default_data(os.environ), options.pair, options.gps or ["gpsd"])
            return
        with demo_place() as place, TemporaryDirectory(prefix="doorstep-phone-") as data:
            place.show()
            gps = options.gps or ["simulator"]
            run_on_desktop(Path(data), place.invitation, [*gps, place.place] if gps == ["simulator"] else gps)
    except (ValueError, Refused) as error:
        sys.exit(f"{PROGRAM}: {error}")
    except KeyboardInterrupt:
        pass


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a desktop."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=ABOUT, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pair", metavar="URL#CODE", help="be a technician's phone of a service of yours")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep what it has there, and go on with it")
    parser.add_argument("--gps", nargs="+", metavar="SOURCE", help=CHOICES)
    return parser.parse_args(arguments)


def run_on_desktop(data: Path, invitation: str | None, gps: Sequence[str]) -> None:
    """Until the window is closed. Raises ValueError and `Refused`."""
    chauffeur = Chauffeur(choose_source(gps))
    settle_kivy(data)
    home = Home(data, PhoneClock(), chauffeur.source)
    asyncio.run(show_on_desktop(home, chauffeur, invitation))


async def show_on_desktop(home: Home, chauffeur: Chauffeur, invitation: str | None) -> None:
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

    def start_tracker() -> None:
        """With a notice in the language that the app speaks by then."""
        text = _("Your firm and the customer you drive to can see where you are.")
        android.start_tracker(android.Notice(_("Shift"), _("On shift"), text))

    home = Home(
        android.data_folder(),
        PhoneClock(),
        AndroidSource,
        battery_pct=android.battery_pct,
        start_tracker=start_tracker,
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
