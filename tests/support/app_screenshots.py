"""Pictures of every screen, in every look: `python -m tests.support.app_screenshots FOLDER [LANGUAGE...]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.app_tour import tour  # before any Kivy
from tests.support.window import LOOKS


async def main(folder: Path, languages: list[str]) -> None:
    for look in LOOKS:
        if languages and look.language not in languages:
            continue
        with tempfile.TemporaryDirectory() as data:
            async for name, driver in tour(Path(data), look):
                await driver.screenshot(folder / look.name / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
