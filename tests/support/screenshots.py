"""Shoot every state of the customer's page: python -m tests.support.screenshots FOLDER [SCENE ...]"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from uuid import uuid4

from tests.support.browser import browser, phone
from tests.support.server import serving
from tests.support.showcase import SCENES, Showcase, stage
from tracking_server import embedded, region, words
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

DEMO_PLACE = (24.944, 60.163)  # Helsinki, where the demo's basemap is


def main(folder: Path, scenes: list[str]) -> None:
    """One picture per scene, language and theme, of the whole page."""
    name = f"doorstep_screenshots_{uuid4().hex[:8]}"
    with embedded.running() as servers:
        embedded.create_database(servers, name)
        try:
            migrate(servers.owner_url(name))
            _shoot(folder, scenes, servers, name)
        finally:
            embedded.drop_database(servers, name)


def _shoot(folder: Path, scenes: list[str], servers: Installation, database: str) -> None:
    firms = {language: asyncio.run(_stage(servers.app_url(database), language)) for language in words.LANGUAGES}
    basemap = str(region.BASEMAP) if region.BASEMAP.exists() else ""  # ./doorstep setup --for demo
    with serving(servers, database, basemap=basemap) as server, browser() as chromium:
        for language, firm in firms.items():
            for theme in ("light", "dark"):
                context = phone(chromium, dark=theme == "dark")
                page = context.new_page()
                for scene in scenes:
                    page.goto(f"{server.url}/t/{firm.tokens[scene]}?lang={language}")
                    page.wait_for_timeout(1500 if page.locator("#map").is_visible() else 200)
                    page.screenshot(path=folder / f"{scene}-{language}-{theme}.png", full_page=True)
                context.close()


async def _stage(url: str, language: str) -> Showcase:
    engine = create_engine(url)
    try:
        return await stage(engine, language, float(int(time.time())), DEMO_PLACE)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    main(target, sys.argv[2:] or list(SCENES))
