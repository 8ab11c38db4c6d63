"""A sheet of paper with what belongs together."""

from __future__ import annotations

from typing import Any

from kivy.graphics import Color, Line, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import StringProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.widget import Widget

from tech_app.ui.theme import EDGE_DP, GAP_DP, ROUND_DP, theme
from tech_app.ui.widgets.row import Column


class Card(Column):
    """`paper` and `border` are names of colours of the theme."""

    paper = StringProperty("card")
    border = StringProperty("line")

    def __init__(self, *children: Widget, **kwargs: Any) -> None:
        kwargs.setdefault("padding", (dp(EDGE_DP), dp(EDGE_DP * 0.75)))
        kwargs.setdefault("spacing", dp(GAP_DP * 0.75))
        super().__init__(**kwargs)
        with self.canvas.before:
            self._paper = Color()
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP)])
            self._border = Color()
            self._outline = Line(width=dp(1))
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        for name in ("paper", "border"):
            self.fbind(name, self.paint)
        theme.paints(self)
        self.paint()
        self._place()
        for child in children:
            self.add_widget(child)

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size
        self._outline.rounded_rectangle = (*self.pos, *self.size, dp(ROUND_DP))

    def paint(self, *_: object) -> None:
        self._paper.rgba = getattr(theme, self.paper)
        self._border.rgba = getattr(theme, self.border)


class TouchCard(ButtonBehavior, Card):
    """A card that is touched as a whole: `on_tap` is called then."""

    def __init__(self, *children: Widget, on_tap: Any = None, **kwargs: Any) -> None:
        kwargs.setdefault("border", "edge")
        super().__init__(**kwargs)  # Kivy's behaviour takes nothing but names
        self._on_tap = on_tap
        for child in children:
            self.add_widget(child)

    def on_state(self, _: object, state: str) -> None:
        self.paper = "calm_paper" if state == "down" else "card"

    def on_release(self) -> None:
        if self._on_tap is not None:
            self._on_tap()
