"""Measure the customer's page on a slow phone: python -m tests.support.page_speed [--json]

Slow 4G and a CPU four times slower, as Chromium's developer tools emulate them, on the page with a live map. Prints
medians of several cold visits; LCP is the largest contentful paint, in milliseconds from the tap on the page's address.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from uuid import uuid4

from playwright.sync_api import Browser

from tests.support.browser import browser, phone
from tests.support.screenshots import DEMO_PLACE
from tests.support.server import serving
from tests.support.showcase import Showcase, stage
from tracking_server import embedded, region
from tracking_server.store.engine import create_engine
from tracking_server.store.migrate import migrate

VISITS = 5
SLOW_4G = {"offline": False, "latency": 562.5, "downloadThroughput": 180_000, "uploadThroughput": 84_375}  # ms, bytes/s
SLOWER_CPU = 4
WATCH = """
window.lcp = 0; window.cls = 0;
new PerformanceObserver(list => { for (const e of list.getEntries()) window.lcp = e.startTime; })
  .observe({type: 'largest-contentful-paint', buffered: true});
new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.cls += e.value; })
  .observe({type: 'layout-shift', buffered: true});
"""


@dataclass
class Visit:
    """What one cold visit came to."""

    lcp_ms: float = 0.0
    layout_shift: float = 0.0
    map_ms: float = 0.0
    bytes_before_map: int = 0
    bytes_with_map: int = 0
    hosts: set[str] = field(default_factory=set)


def main() -> None:
    name = f"doorstep_page_speed_{uuid4().hex[:8]}"
    with embedded.running() as servers:
        embedded.create_database(servers, name)
        try:
            migrate(servers.owner_url(name))
            show = asyncio.run(_stage(servers.app_url(name)))
            basemap = str(region.BASEMAP) if region.BASEMAP.exists() else ""
            with serving(servers, name, basemap=basemap) as server, browser() as chromium:
                address = f"{server.url}/t/{show.tokens['en_route']}?lang=en"
                visits = [_visit(chromium, address, server.url) for _ in range(VISITS)]
        finally:
            embedded.drop_database(servers, name)
    _tell(visits)


async def _stage(url: str) -> Showcase:
    engine = create_engine(url)
    try:
        return await stage(engine, "en", float(int(time.time())), DEMO_PLACE)
    finally:
        await engine.dispose()


def _visit(chromium: Browser, link: str, own: str) -> Visit:
    """Open the link, which sets the cookie, at full speed; then the page itself, cold and slow."""
    visit = Visit()
    context = phone(chromium)
    opening = context.new_page()
    opening.goto(link)
    address = opening.url
    opening.close()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.clearBrowserCache")
    devtools.send("Network.emulateNetworkConditions", SLOW_4G)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_CPU})
    sizes: dict[str, int] = {}
    urls: dict[str, str] = {}
    devtools.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    devtools.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.add_init_script(WATCH)
    begun = time.monotonic()
    page.goto(address, wait_until="commit")
    if page.locator("#map").count():
        page.locator(".leaflet-container canvas").first.wait_for(state="attached", timeout=60_000)
        visit.map_ms = (time.monotonic() - begun) * 1000
    page.wait_for_timeout(2_500)
    visit.lcp_ms, visit.layout_shift = page.evaluate("window.lcp"), page.evaluate("window.cls")
    later = ("vendor/", "map.js", "map.css", "/map/")
    visit.bytes_with_map = sum(sizes.values())
    visit.bytes_before_map = sum(size for id_, size in sizes.items() if not any(part in urls[id_] for part in later))
    if "--each" in sys.argv:
        for id_, size in sizes.items():
            print(size, urls[id_].removeprefix(own)[:80], file=sys.stderr)  # noqa: T201
    visit.hosts = {url for url in urls.values() if not url.startswith((own, "data:", "blob:"))}
    context.close()
    return visit


def _tell(visits: list[Visit]) -> None:
    medians = {
        name: round(statistics.median(getattr(visit, name) for visit in visits), 3)
        for name in ("lcp_ms", "layout_shift", "map_ms", "bytes_before_map", "bytes_with_map")
    }
    medians["requests_to_other_hosts"] = sum(len(visit.hosts) for visit in visits)
    if "--json" in sys.argv:
        print(json.dumps(medians))  # noqa: T201
        return
    for name, value in medians.items():
        print(f"{name:24} {value}")  # noqa: T201


if __name__ == "__main__":
    main()
