"""Take the README's pictures of the running demo: python -m tests.support.readme_pictures"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser

from tests.support.browser import browser, phone
from tests.support.server import CLONE, free_port

FOLDER = CLONE / ".readme"
WIDE = {"width": 1280, "height": 800}
QUALITY = 82
SETTLED_MS = 4_000  # the map is drawn, a rider has moved
GAP = 24
APP = ("en-light/today", "en-light/map", "th-light/job-en-route", "ar-dark/proof")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    _app()
    command = [sys.executable, "-m", "tracking_server", "demo", "--json", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=CLONE, stdout=subprocess.PIPE, text=True) as demo, browser() as chromium:
        try:
            told = _document(demo)
            _customers(chromium, {page["state"]: page["url"] for page in told["pages"]})
            _board(chromium, told["board"])
        finally:
            demo.send_signal(signal.SIGINT)


def _document(demo: subprocess.Popen[str]) -> dict[str, Any]:
    """What the demo tells of itself: one JSON document, over many lines."""
    text = ""
    for line in demo.stdout or ():
        text += line
        if line.rstrip() == "}":
            break
    return dict(json.loads(text))


def _customers(chromium: Browser, urls: dict[str, str]) -> None:
    """Three phones side by side: on the way, the same by night in Arabic, done."""
    shots = []
    for state, dark in (("en_route", False), ("arriving", True), ("completed", False)):
        context = phone(chromium, dark=dark)
        page = context.new_page()
        page.goto(urls[state])
        page.wait_for_timeout(SETTLED_MS)
        shots.append(Image.open(BytesIO(page.screenshot())).convert("RGB"))
        context.close()
    _save(_side_by_side(shots), "customers.webp")


def _board(chromium: Browser, account: dict[str, str]) -> None:
    context = chromium.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(account["url"])
    page.fill('input[name="email"]', account["email"])
    page.fill('input[name="password"]', account["password"])
    page.locator("main button").first.click()
    page.wait_for_timeout(SETTLED_MS)
    _save(Image.open(BytesIO(page.screenshot())).convert("RGB"), "board.webp")
    context.close()


def _app() -> None:
    """Four screens of the technicians' app, in its languages."""
    with TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "tests.support.app_screenshots", folder], cwd=CLONE, check=True)
        files = [next(Path(folder).glob(f"{name.replace('/', '-412x*-x1/')}.png")) for name in APP]
        _save(_side_by_side([Image.open(file).convert("RGB") for file in files]), "technician.webp")


def _side_by_side(shots: Sequence[Image.Image]) -> Image.Image:
    width, height = shots[0].size
    sheet = Image.new("RGB", (len(shots) * (width + GAP) - GAP, height), "white")
    for number, shot in enumerate(shots):
        sheet.paste(shot, (number * (width + GAP), 0))
    return sheet


def _save(image: Image.Image, name: str) -> Path:
    image.save(FOLDER / name, "WEBP", quality=QUALITY, method=6)
    return FOLDER / name


if __name__ == "__main__":
    main()
