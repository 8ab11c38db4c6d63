"""Every state of the page in a real browser: for everybody, in every language, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Stage
from tests.support.browser import phone
from tests.support.server import CLONE
from tests.support.showcase import SCENES
from tracking_server.words import LANGUAGES

AXE = CLONE / "customer_view" / "node_modules" / "axe-core" / "axe.min.js"
WITH_MAP = frozenset({"en_route", "arriving", "delayed", "reassigned", "stale"})
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""
NARROW = 320  # CSS pixels: WCAG 1.4.10
MAP_DRAWN = """() => [...document.querySelectorAll("#map canvas")].some((canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(data.buffer)).size > 2;
})"""


@dataclass
class Watcher:
    """What a page did besides being shown."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@pytest.fixture(scope="module", params=LANGUAGES)
def customer(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[tuple[str, Page, Watcher]]:
    """A phone in one language."""
    context = phone(chromium, bypass_csp=True)
    context.add_init_script(SHIFTS)
    page, watcher = context.new_page(), Watcher()
    page.on("console", lambda message: watcher.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: watcher.errors.append(str(error)))
    page.on("request", lambda request: watcher.hosts.add(request.url.split("/")[2]))
    yield str(request.param), page, watcher
    context.close()


@pytest.mark.parametrize("scene", SCENES)
def test_a_state_is_good_for_everybody(customer: tuple[str, Page, Watcher], staged: Stage, scene: str) -> None:
    """No violation by axe in light and dark, nothing moves while it loads, nothing is cut off at 320 pixels, no error
    and no request to anybody else; and the map, where one belongs, is drawn."""
    language, page, watcher = customer
    watcher.errors.clear()
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(staged.link(scene, language))
    assert page.locator("#position").is_visible() == (scene in WITH_MAP)
    if scene in WITH_MAP:
        page.wait_for_selector(".technician-mark")
        page.wait_for_function(MAP_DRAWN)
    assert page.evaluate("shifts.reduce((sum, shift) => sum + shift, 0)") < 0.001
    check(page, {})
    page.emulate_media(color_scheme="dark")
    check(page, {"runOnly": ["color-contrast"]})
    page.set_viewport_size({"width": NARROW, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert watcher.errors == []
    assert watcher.hosts == {staged.server.url.removeprefix("http://")}


@pytest.mark.parametrize("part", ["note", "reschedule", "share", "gone"])
def test_the_other_pages_are_good_for_everybody(customer: tuple[str, Page, Watcher], staged: Stage, part: str) -> None:
    """Forms on their own, an open form on the page, the shared address, and the link that is over."""
    language, page, _ = customer
    page.set_viewport_size({"width": NARROW, "height": 844})
    page.goto(staged.link("today", language))
    match part:
        case "note":
            page.locator('[data-opens="note"]').click()
            assert page.locator("#form-note").is_visible()
        case "reschedule":
            page.goto(page.url.replace("?", "/reschedule?"))
        case "share":
            page.evaluate("delete Navigator.prototype.share")
            page.evaluate("document.getElementById('share').submit()")
            page.wait_for_selector("input.address")
        case "gone":
            page.goto(f"{staged.server.url}/j/{'0' * 32}?lang={language}")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        check(page, {})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW


def check(page: Page, options: dict[str, Any]) -> None:
    """axe finds nothing."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("(options) => axe.run(document, options)", options)["violations"]
    told = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
    assert told == []
