from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser

from tests.support.browser import CHROMIUM, browser
from tests.support.firm import Firm
from tests.support.served import client, firm, server
from tests.support.server import Server, serving
from tests.support.showcase import Showcase, stage
from tests.support.town import SMALL_TOWN, STREET
from tracking_server import embedded, words
from tracking_server.basemap.build import build
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine

__all__ = ["client", "firm", "server"]
T = TypeVar("T")
DOORS = (STREET[0] - 0.004, STREET[1] - 0.006)  # the showcase's technicians drive there


@dataclass(frozen=True)
class Stage:
    """A running service with a firm per language, each with a visit in every state."""

    server: Server
    firms: dict[str, Showcase]
    database_url: str
    now_s: float

    def link(self, scene: str, language: str = "en") -> str:
        """The address that its customer was sent."""
        return f"{self.server.url}/t/{self.firms[language].tokens[scene]}?lang={language}"

    def firm(self, language: str = "en") -> Firm:
        """For looking into the store; only within `aside`."""
        engine = create_engine(self.database_url, pool_size=1)
        return Firm(engine, self.firms[language].organisation_id, self.now_s)


def aside(work: Coroutine[Any, Any, T]) -> T:
    """Do asynchronous work while the browser's own loop holds this thread."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def basemap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("basemap")
    (folder / "town.osm").write_text(SMALL_TOWN)
    build(folder / "town.osm", folder / "town.pmtiles", lambda _doing, _number: None)
    return folder / "town.pmtiles"


@pytest.fixture(scope="module")
def staged(servers: Installation, template: str, basemap: Path) -> Iterator[Stage]:
    name = f"{template}_browser_{time.monotonic_ns()}"
    embedded.create_database(servers, name, template)
    url, now_s = servers.app_url(name), float(int(time.time()))
    firms = {language: aside(_stage(url, language, now_s)) for language in words.LANGUAGES}
    slow = f"scaled:{now_s}:0.01"  # however long the tests take, no position grows old
    with serving(servers, name, basemap=str(basemap), clock=slow) as server:
        yield Stage(server, firms, url, now_s)
    embedded.drop_database(servers, name)


async def _stage(url: str, language: str, now_s: float) -> Showcase:
    engine = create_engine(url, pool_size=1)
    try:
        return await stage(engine, language, now_s, DOORS)
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no browser at {CHROMIUM}: ./doorstep test installs it")
    with browser() as chromium:
        yield chromium
