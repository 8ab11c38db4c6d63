"""The process that runs the phone during a shift, also when the app is not on the screen: core only.

It ends by itself when the shift is over and all of it is sent that the service takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import types
from contextlib import suppress
from pathlib import Path

# On the phone the root of the app is this folder's parent, which then has no name of its own.
if "tech_app" not in sys.modules:
    package = types.ModuleType("tech_app")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["tech_app"] = package

from tech_app.core.clock import PhoneClock
from tech_app.core.gps.android import AndroidSource
from tech_app.core.home import Home
from tech_app.core.phone import RunsElsewhere
from tech_app.service import android

# The screen's process lets go within a second of the tap that starts the shift.
HANDED_OVER_WITHIN_S = 10.0
LOOK_EVERY_S = 0.2


async def track(home: Home) -> None:
    """Run the phone until the shift is over and told. Returns also when the phone is not paired, or not any more the
    same, or another process does not let go of it."""
    until_s = home.clock.since_boot() + HANDED_OVER_WITHIN_S
    while (session := home.session()) is not None:
        if not home.is_run():
            with suppress(RunsElsewhere):
                await home.phone().run(lambda phone: home.session() != session or phone.is_done)
                return
        if home.clock.since_boot() > until_s:
            return
        await home.clock.sleep(LOOK_EVERY_S)


def main() -> None:
    android.show_notice(android.read_notice(os.environ.get("PYTHON_SERVICE_ARGUMENT")))
    home = Home(android.data_folder(), PhoneClock(), AndroidSource, battery_pct=android.battery_pct)
    asyncio.run(track(home))


if __name__ == "__main__":
    main()
