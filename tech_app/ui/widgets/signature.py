"""Where a customer signs with a finger."""

from __future__ import annotations

from typing import Any

from kivy.graphics import Color, InstructionGroup, Line, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import NumericProperty
from kivy.uix.widget import Widget

from tech_app.core.proof import signature_png
from tech_app.ui.theme import ROUND_DP, theme

INK = (0.06, 0.1, 0.14, 1)
PICTURE_WIDTH = 800  # pixels: as sharp on every phone


class Signature(Widget):
    """Always dark on white, as the picture will be. `count` is how many strokes there are.

    A stroke that leaves the field goes on at its edge. Not for the inside of what scrolls, which would take the stroke.
    """

    count = NumericProperty(0)

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("size_hint_y", None)
        kwargs.setdefault("height", dp(220))
        super().__init__(**kwargs)
        self.strokes: list[list[tuple[float, float]]] = []  # in parts of the width, from the top left
        with self.canvas:
            Color(1, 1, 1, 1)
            self._paper = RoundedRectangle(radius=[dp(ROUND_DP)])
            self._edge_colour = Color(*theme.edge)
            self._edge = Line(width=dp(1.2))
            Color(*INK[:3], 0.35)
            self._base = Line(width=dp(1))
            Color(*INK)
            self._ink = InstructionGroup()
            self.canvas.add(self._ink)
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        theme.paints(self)
        self._place()

    @property
    def empty(self) -> bool:
        return not self.strokes

    def clear(self) -> None:
        self.strokes = []
        self._changed()

    def undo(self) -> None:
        """Take the last stroke back."""
        self.strokes = self.strokes[:-1]
        self._changed()

    def png(self) -> bytes:
        """The picture of it; see `core.proof`."""
        height = max(1, round(PICTURE_WIDTH * self.height / self.width))
        strokes = [[(x * PICTURE_WIDTH, y * PICTURE_WIDTH) for x, y in stroke] for stroke in self.strokes]
        return signature_png(strokes, PICTURE_WIDTH, height)

    def on_touch_down(self, touch: Any) -> bool:
        if not self.collide_point(*touch.pos) or self.disabled or touch.is_mouse_scrolling:
            return bool(super().on_touch_down(touch))
        touch.grab(self)
        self.strokes.append([self._point(touch)])
        self._changed()
        return True

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return bool(super().on_touch_move(touch))
        point = self._point(touch)
        if point != self.strokes[-1][-1]:
            self.strokes[-1].append(point)
            self._draw()
        return True

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return bool(super().on_touch_up(touch))
        touch.ungrab(self)
        return True

    def _point(self, touch: Any) -> tuple[float, float]:
        x = min(max(touch.x, self.x), self.right)
        y = min(max(touch.y, self.y), self.top)
        return (x - self.x) / self.width, (self.top - y) / self.width

    def _changed(self) -> None:
        self.count = len(self.strokes)
        self._draw()

    def _draw(self) -> None:
        self._ink.clear()
        top = self.y + self.height
        for stroke in self.strokes:
            points = [at for x, y in stroke for at in (self.x + x * self.width, top - y * self.width)]
            if len(stroke) == 1:
                points += [points[0] + dp(1), points[1]]
            self._ink.add(Line(points=points, width=dp(1.8), joint="round", cap="round"))

    def _place(self, *_: object) -> None:
        self._paper.pos, self._paper.size = self.pos, self.size
        self._edge.rounded_rectangle = (*self.pos, *self.size, dp(ROUND_DP))
        level = self.y + self.height * 0.25
        self._base.points = [self.x + dp(24), level, self.x + self.width - dp(24), level]
        self._draw()

    def paint(self, *_: object) -> None:
        self._edge_colour.rgba = theme.edge
