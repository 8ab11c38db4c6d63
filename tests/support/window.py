"""Drive the app as a hand does: touch, drag and type in a real window, look for what is written, take a picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from tests.support.headless import LARGEST  # before any Kivy

# isort: split
from kivy.app import App
from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.graphics.opengl import GL_RGBA, GL_UNSIGNED_BYTE, glReadPixels
from kivy.input.motionevent import MotionEvent
from kivy.metrics import Metrics
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget
from PIL import Image

from tech_app.ui import words
from tech_app.ui.theme import theme
from tech_app.ui.widgets import Icon, Text

STEPS_OF_A_DRAG = 8
WITHIN_S = 10.0


@dataclass(frozen=True)
class Look:
    """A phone, and how its owner has set it. The width is a multiple of 4, or pictures come out skewed."""

    width: int = 412
    height: int = 915
    language: str = "en"
    dark: bool = False
    font_scale: float = 1.0
    density: float = 1.0

    @property
    def name(self) -> str:
        """For the name of a picture."""
        shade = "dark" if self.dark else "light"
        return f"{self.language}-{shade}-{self.width}x{self.height}-x{self.font_scale:g}"


PHONE = Look()
LOOKS = (
    PHONE,
    replace(PHONE, dark=True),
    replace(PHONE, language="th"),
    replace(PHONE, language="th", dark=True),
    replace(PHONE, language="ar"),
    replace(PHONE, language="ar", dark=True),
    replace(PHONE, font_scale=1.3),
    replace(PHONE, language="th", font_scale=1.3),
    replace(PHONE, width=320, height=640),
    replace(PHONE, width=320, height=640, language="ar", font_scale=1.3),
)


@asynccontextmanager
async def opened(app: App | Widget, look: Look = PHONE) -> AsyncIterator[Driver]:
    """Run an app, or one widget, in the window until the block is left."""
    use(look)
    if isinstance(app, Widget):
        shown, app = app, App()
        app.root = None
        app.build = lambda: shown
    task = asyncio.ensure_future(app.async_run(async_lib="asyncio"))
    driver = Driver(task)
    try:
        await driver.until(lambda: app.root is not None and app.root.get_root_window() is not None, "the app's window")
        await driver.frames(3)
        yield driver
    finally:
        for child in list(Window.children):
            Window.remove_widget(child)
        app.stop()
        await asyncio.wait_for(task, WITHIN_S)
        use(PHONE)


def use(look: Look) -> None:
    """Set the window, the language, the theme and the size of text before widgets are made for it."""
    assert look.width <= LARGEST[0]
    assert look.height <= LARGEST[1]
    Metrics.density, Metrics.fontscale = look.density, look.font_scale
    if tuple(Window.size) != (look.width, look.height):
        Window.size = (look.width, look.height)
    words.use(look.language)
    theme.use("dark" if look.dark else "light")


class Driver:
    """One who looks at the window and touches it. Texts are those that the code wrote, not what is drawn of them."""

    def __init__(self, app: asyncio.Future[Any]) -> None:
        self._app = app

    async def frames(self, n: int = 2) -> None:
        """Let the app draw so many times."""
        for _ in range(n):
            await self._frame()

    async def _frame(self) -> None:
        drawn = asyncio.get_running_loop().create_future()

        def on_flip(*_: object) -> None:
            if not drawn.done():
                drawn.set_result(None)

        Window.bind(on_flip=on_flip)
        Window.canvas.ask_update()
        try:
            await asyncio.wait({drawn, self._app}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            Window.unbind(on_flip=on_flip)
        if self._app.done():
            self._app.result()
            raise AssertionError("the app has ended")

    async def until(self, condition: Callable[[], Any], what: str = "", within_s: float = WITHIN_S) -> Any:
        """Draw on until it is so; returns what the condition did."""
        ends = time.monotonic() + within_s
        while not (so := condition()):
            assert time.monotonic() < ends, (
                f"not within {within_s:.0f} s: {what or condition}; on the screen: {self.texts()}"
            )
            if self._app.done():
                self._app.result()
                raise AssertionError("the app has ended")
            await asyncio.sleep(0.01)
        return so

    # ---- looking ----

    def widgets(self) -> Iterator[Widget]:
        """What a hand can reach: all of the window, or the sheet that lies over it. From above."""
        top = next((child for child in Window.children if type(child).__name__ in ("Sheet", "ModalView")), None)
        for root in [top] if top is not None else list(Window.children):
            yield from _all_of(root)

    def texts(self) -> list[str]:
        """Everything written on the screen, also what one has to scroll to."""
        return [widget.text for widget in self.widgets() if _is_text(widget) and widget.text]

    def of(self, kind: type[Widget] | str) -> list[Any]:
        """All widgets of a class, by itself or its name."""
        return [
            widget
            for widget in self.widgets()
            if (isinstance(kind, type) and isinstance(widget, kind)) or type(widget).__name__ == kind
        ]

    def sees(self, text: str) -> bool:
        """Whether it is written somewhere, alone or within a longer text."""
        return any(text in written for written in self.texts())

    def find(self, text: str, nth: int = 0) -> Any:
        """The widget that says it: the whole text if there is one, else a part. Icons alone have a `name`."""
        widgets = list(self.widgets())
        found = [widget for widget in widgets if _is_text(widget) and widget.text == text]
        found = found or [widget for widget in widgets if getattr(widget, "name", None) == text]
        found = found or [widget for widget in widgets if _is_text(widget) and text in widget.text]
        assert len(found) > nth, f"{text!r} is not on the screen; there is: {self.texts()}"
        return found[nth]

    # ---- touching ----

    async def tap(self, what: str | Widget, nth: int = 0) -> None:
        """Touch a widget, or what has this text, and let go. Scrolls there first where it has to."""
        await self.frames(2)  # where it is to be seen soon is not yet where it lies
        widget = self.find(what, nth) if isinstance(what, str) else what
        await self.scroll_to(widget)
        await self.tap_at(*middle(widget))

    async def tap_at(self, x: float, y: float) -> None:
        """Touch a place of the window, in pixels from the lower left."""
        await self.drag([(x, y)])

    async def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Put a finger down at the first point, draw it through the others and lift it."""
        touch = Touch(*points[0])
        touch.down()
        await self.frames(1)
        for (x, y), (to_x, to_y) in pairwise(points):
            for step in range(1, STEPS_OF_A_DRAG + 1):
                part = step / STEPS_OF_A_DRAG
                touch.move_to(x + part * (to_x - x), y + part * (to_y - y))
                await self.frames(1)
        touch.up()
        await self.frames(2)

    async def pinch(self, first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]) -> None:
        """Two fingers, each from its first point to its second."""
        touches = Touch(*first[0]), Touch(*second[0])
        for touch in touches:
            touch.down()
        for step in range(1, STEPS_OF_A_DRAG + 1):
            part = step / STEPS_OF_A_DRAG
            for touch, ((x, y), (to_x, to_y)) in zip(touches, (first, second), strict=True):
                touch.move_to(x + part * (to_x - x), y + part * (to_y - y))
            await self.frames(1)
        for touch in touches:
            touch.up()
        await self.frames(2)

    async def scroll_to(self, widget: Widget) -> None:
        """Bring it into view where it lies in something that scrolls."""
        parent = widget.parent
        while parent is not None and parent is not Window and parent is not parent.parent:
            if isinstance(parent, ScrollView) and parent.children and parent.children[0].height > parent.height:
                parent.scroll_to(widget, padding=8, animate=False)
                await self.frames(2)
            parent = parent.parent
        x, y = middle(widget)
        assert 0 <= x <= Window.width, f"{_told(widget)} is beside the window"
        assert 0 <= y <= Window.height, f"{_told(widget)} is above or below the window"

    async def type(self, what: str | Widget, text: str) -> None:
        """Touch a field, itself or found by its label, and type into it in place of what is there."""
        widget = self.find(what) if isinstance(what, str) else what
        entry = _entry_of(widget)
        await self.tap(entry)
        await self.until(lambda: entry.focus, "the keyboard")
        entry.select_all()
        entry.delete_selection()
        for sign in text:
            entry.insert_text(sign)
        await self.frames(1)

    async def back(self) -> None:
        """The phone's back key."""
        Window.dispatch("on_keyboard", 27, 0, None, [])
        await self.frames(3)

    # ---- pictures ----

    async def picture(self) -> Image.Image:
        """What the window shows now."""
        await self.frames(2)
        width, height = (int(length) for length in Window.size)
        Window.dispatch("on_draw")
        pixels = glReadPixels(0, 0, width, height, GL_RGBA, GL_UNSIGNED_BYTE)
        upside_down = Image.frombytes("RGBA", (width, height), pixels)
        return upside_down.transpose(Image.Transpose.FLIP_TOP_BOTTOM).convert("RGB")

    async def screenshot(self, path: Path) -> None:
        """Keep what the window shows now."""
        path.parent.mkdir(parents=True, exist_ok=True)
        (await self.picture()).save(path)


class Touch(MotionEvent):
    """A finger on the window, in its pixels from the lower left."""

    _numbers = count(1)

    def __init__(self, x: float, y: float) -> None:
        super().__init__("driver", next(self._numbers), _parts(x, y), is_touch=True, type_id="touch")

    def depack(self, args: tuple[float, float]) -> None:
        self.sx, self.sy = args
        self.profile = ["pos"]
        super().depack(args)

    def down(self) -> None:
        EventLoop.post_dispatch_input("begin", self)

    def move_to(self, x: float, y: float) -> None:
        self.move(_parts(x, y))
        EventLoop.post_dispatch_input("update", self)

    def up(self) -> None:
        EventLoop.post_dispatch_input("end", self)


def _parts(x: float, y: float) -> tuple[float, float]:
    return x / (Window.width - 1.0), y / (Window.height - 1.0)


def middle(widget: Widget) -> tuple[float, float]:
    """Of a widget, in the window's pixels."""
    x, y = widget.to_window(*widget.center)
    return float(x), float(y)


def box(widget: Widget) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a widget, in the window's pixels."""
    left, bottom = widget.to_window(*widget.pos)
    return float(left), float(bottom), float(left + widget.width), float(bottom + widget.height)


def _all_of(widget: Widget) -> Iterable[Widget]:
    if widget.opacity == 0:
        return
    yield widget
    for child in reversed(widget.children):
        yield from _all_of(child)


def _is_text(widget: Widget) -> bool:
    """What holds words itself, not what is made of such parts."""
    return isinstance(widget, Text | TextInput) and not isinstance(widget, Icon)


def _entry_of(widget: Widget) -> TextInput:
    """What one types into, of a field or of its label."""
    if isinstance(widget, TextInput):
        return widget
    found = [child for place in (widget, widget.parent) for child in place.children if isinstance(child, TextInput)]
    assert found, f"{_told(widget)} is no field"
    return found[0]


def _told(widget: Widget) -> str:
    return f"{type(widget).__name__} {getattr(widget, 'text', '')!r}"
