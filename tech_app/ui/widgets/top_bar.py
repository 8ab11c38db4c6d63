"""The bar at the top of a screen: where one is, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kivy.graphics import Color, Rectangle
from kivy.metrics import dp
from kivy.uix.widget import Widget

from tech_app.ui.insets import insets
from tech_app.ui.theme import EDGE_DP, GAP_DP, TARGET_DP, theme
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Row
from tech_app.ui.widgets.text import Text
from tech_app.ui.words import _


class TopBar(Row):
    """`actions` are small widgets at the end of the bar. It keeps clear of the phone's own bar above it."""

    def __init__(
        self, title: str, *, on_back: Callable[[], Any] | None = None, actions: Sequence[Widget] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._begin = dp(GAP_DP / 2) if on_back is not None else dp(EDGE_DP)
        with self.canvas.before:
            self._ground = Color(*theme.bar)
            self._shape = Rectangle()
            self._line_colour = Color(*theme.line)
            self._line = Rectangle()
        self.title = Text(title, role="heading", most_lines=2)
        if on_back is not None:
            self.back = PushButton(icon="back", kind="quiet", on_tap=on_back, size_hint_x=None)
            self.back.name = _("Back")
            self.add_widget(self.back)
        self.add_widget(self.title)
        for action in actions:
            self.add_widget(action)
        if on_back is None and not actions:
            self.add_widget(Widget(size_hint=(None, None), size=(0, dp(TARGET_DP))))
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        theme.paints(self)
        insets.follow(self)
        self.keep_clear()

    def keep_clear(self) -> None:
        self.padding = (self._begin, dp(4) + insets.top, dp(GAP_DP), dp(4))

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size
        self._line.pos, self._line.size = self.pos, (self.width, dp(1))

    def paint(self, *_: object) -> None:
        self._ground.rgba, self._line_colour.rgba = theme.bar, theme.line
