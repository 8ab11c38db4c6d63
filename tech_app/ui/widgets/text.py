"""Text in any of the app's languages, shaped and wrapped for SDL2, as high as it needs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kivy.clock import Clock
from kivy.core.text import Label as Drawing
from kivy.graphics import Color, Rectangle
from kivy.metrics import sp
from kivy.properties import BooleanProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.widget import Widget

from tech_app.core.shaping import drawn, reads_right_to_left, wrapped
from tech_app.ui import theme as sizes
from tech_app.ui import words
from tech_app.ui.theme import theme

SIZES_SP = {
    "title": sizes.TITLE_SP,
    "heading": sizes.HEADING_SP,
    "body": sizes.BODY_SP,
    "strong": sizes.BODY_SP,
    "small": sizes.SMALL_SP,
    "number": sizes.NUMBER_SP,
    "icon": sizes.HEADING_SP + 4,
}
BOLD_ROLES = frozenset({"title", "heading", "strong", "number"})


@lru_cache(maxsize=4096)
def size_of(line: str, font: str, size_px: float) -> tuple[float, float]:
    """How wide and high a line is when it is drawn, in pixels."""
    width, height = Drawing(font_name=font, font_size=size_px).get_extents(drawn(line))
    return float(width), float(height)


@lru_cache(maxsize=1024)
def lines_of(text: str, font: str, size_px: float, width_px: float, most: int | None) -> list[str]:
    """The lines of a text in a place; kept, for screens are made anew whenever something changed."""
    return wrapped(text, width_px, lambda line: size_of(line, font, size_px)[0], most) if text else []


class Text(Widget):
    """`text` is as one writes it; what is drawn is only seen. Height follows from width; with `wrap` off both follow.

    `role` gives size and weight, `tone` is the name of a colour of the theme. `align` is start, center or end: the
    start is on the right where one reads from the right. `most_lines` cuts the rest with an ellipsis; 0 cuts nothing.
    """

    text = StringProperty("")
    role = OptionProperty("body", options=list(SIZES_SP))
    tone = StringProperty("ink")
    align = OptionProperty("start", options=["start", "center", "end"])
    most_lines = NumericProperty(0)
    wrap = BooleanProperty(True)

    def __init__(self, text: str = "", **kwargs: Any) -> None:
        wrap = kwargs.get("wrap", True)
        kwargs.setdefault("size_hint", (1, None) if wrap else (None, None))
        super().__init__(text=text, **kwargs)
        self.lines: list[str] = []
        self._drawing: Drawing | None = None
        with self.canvas:
            self._colour = Color(*getattr(theme, self.tone))
            self._rectangle = Rectangle(size=(0, 0))
        self._draw_soon = Clock.create_trigger(self._draw, -1)  # once, when the place has found its width
        for name in ("text", "role", "most_lines", "wrap", "width"):
            self.fbind(name, self._fit)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        self.fbind("align", self._draw_soon)
        self.fbind("tone", self.paint)
        theme.paints(self)
        self._fit()

    @property
    def font(self) -> str:
        return sizes.BOLD if self.role in BOLD_ROLES else sizes.REGULAR

    @property
    def size_px(self) -> float:
        return float(sp(SIZES_SP[self.role]))

    def measure(self, line: str) -> float:
        """How wide it is when it is drawn, in pixels."""
        return size_of(line, self.font, self.size_px)[0]

    def _fit(self, *_: object) -> None:
        """Find the lines, and be as high as they are."""
        room = self.width if self.wrap else float("inf")
        self.lines = lines_of(self.text, self.font, self.size_px, room, int(self.most_lines) or None)
        if not self.wrap:
            self.width = max(map(self.measure, self.lines), default=0)
        self.height = len(self.lines) * size_of("A", self.font, self.size_px)[1]
        self._draw_soon()

    def _draw(self, *_: object) -> None:
        if not self.lines:
            self._rectangle.texture, self._rectangle.size = None, (0, 0)
            return
        right_to_left = reads_right_to_left(self.text, words.is_right_to_left())
        self._drawing = Drawing(font_name=self.font, font_size=self.size_px, halign=self._side(), line_height=1.0)
        self._drawing.text = "\n".join(drawn(line, right_to_left) for line in self.lines)
        self._drawing.refresh()
        self._rectangle.texture = self._drawing.texture
        self._rectangle.size = self._drawing.texture.size
        self._place()

    def _side(self) -> str:
        if self.align == "center":
            return "center"
        return "right" if (self.align == "end") != words.is_right_to_left() else "left"

    def _place(self, *_: object) -> None:
        width, height = self._rectangle.size
        side = self._side()
        part = {"left": 0.0, "center": 0.5, "right": 1.0}[side]  # not self.center_x: still the old one while x changes
        x, y = self.x + part * (self.width - width), self.y + (self.height - height) / 2
        self._rectangle.pos = (round(x), round(y))

    def paint(self, *_: object) -> None:
        self._colour.rgba = getattr(theme, self.tone)
