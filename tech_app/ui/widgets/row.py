"""Boxes that know from which side one reads, and are as high as what they hold."""

from __future__ import annotations

from typing import Any

from kivy.metrics import dp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from tech_app.ui import words
from tech_app.ui.theme import GAP_DP


class Row(BoxLayout):
    """Children side by side from the side where one begins to read, each in the middle of the height."""

    def __init__(self, *children: Widget, **kwargs: Any) -> None:
        kwargs.setdefault("spacing", dp(GAP_DP))
        kwargs.setdefault("size_hint_y", None)
        super().__init__(orientation="horizontal", **kwargs)
        if self.size_hint_y is None:
            self.bind(minimum_height=self.setter("height"))
            self.height = 0  # and not Kivy's 100 while there is nothing in it
        for child in children:
            self.add_widget(child)

    def do_layout(self, *args: Any) -> None:
        super().do_layout(*args)
        _, above, _, below = self.padding
        middle = self.y + (self.height - above + below) / 2
        for child in self.children:
            if child.size_hint_y is None:
                child.center_y = middle
            if words.is_right_to_left():
                child.x = self.x + self.right - child.right


class Column(BoxLayout):
    """Children one under the other, as wide as the column."""

    def __init__(self, *children: Widget, **kwargs: Any) -> None:
        kwargs.setdefault("spacing", dp(GAP_DP))
        kwargs.setdefault("size_hint_y", None)
        super().__init__(orientation="vertical", **kwargs)
        if self.size_hint_y is None:
            self.bind(minimum_height=self.setter("height"))
            self.height = 0  # and not Kivy's 100 while there is nothing in it
        for child in children:
            self.add_widget(child)
