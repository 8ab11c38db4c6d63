"""A headless browser as a customer's phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, sync_playwright

CHROMIUM = os.environ.get("DOORSTEP_CHROMIUM", "/usr/bin/chromium-headless-shell")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE = {"width": 390, "height": 844}


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, the distribution's: nothing is downloaded."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def phone(browser: Browser, *, dark: bool = False, width: int = PHONE["width"], **options: bool) -> BrowserContext:
    """A fresh phone without cookies."""
    return browser.new_context(
        viewport={"width": width, "height": PHONE["height"]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        **options,
    )
