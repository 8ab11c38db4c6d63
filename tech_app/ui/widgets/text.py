"""Text in any of the app's languages, shaped and wrapped for SDL2, as high as it needs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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


@lru_cache(maxsize=2048)
def width_of(line: str, font: str, size_px: float) -> float:
    """How wide a line is when it is drawn, in pixels."""
    return float(Drawing(font_name=font, font_size=size_px).get_extents(drawn(line))[0])


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
        with self.canvas:
            self._colour = Color(*getattr(theme, self.tone))
            self._rectangle = Rectangle(size=(0, 0))
        self._drawn_for: object = None
        for name in ("text", "role", "most_lines", "wrap", "width", "align"):
            self.fbind(name, self._draw)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        self.fbind("tone", self.paint)
        theme.paints(self)
        self._draw()

    @property
    def font(self) -> str:
        return sizes.BOLD if self.role in BOLD_ROLES else sizes.REGULAR

    @property
    def size_px(self) -> float:
        return float(sp(SIZES_SP[self.role]))

    def measure(self, line: str) -> float:
        return width_of(line, self.font, self.size_px)

    def _draw(self, *_: object) -> None:
        key = (self.text, self.role, self.most_lines, self.wrap, self.width if self.wrap else 0, self.align, sp(1))
        if key == self._drawn_for:
            return
        self._drawn_for = key
        room = self.width if self.wrap else float("inf")
        self.lines = wrapped(self.text, room, self.measure, int(self.most_lines) or None) if self.text else []
        if not self.lines:
            self._rectangle.texture, self._rectangle.size = None, (0, 0)
            self.size = (self.width if self.wrap else 0, 0)
            return
        otherwise = words.is_right_to_left()
        shaped = []
        for paragraph in self.lines:
            shaped.append(drawn(paragraph, reads_right_to_left(self.text, otherwise)))
        drawing = Drawing(font_name=self.font, font_size=self.size_px, halign=self._side(), line_height=1.0)
        drawing.text = "\n".join(shaped)
        drawing.refresh()
        self._rectangle.texture = drawing.texture
        self._rectangle.size = drawing.texture.size
        if not self.wrap:
            self.width = drawing.texture.width
        self.height = max(drawing.texture.height, self.minimum_px)
        self._place()

    minimum_px = 0

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
