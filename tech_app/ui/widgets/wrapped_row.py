"""Small things side by side, on as many lines as they need."""

from __future__ import annotations

from typing import Any

from kivy.metrics import dp
from kivy.uix.stacklayout import StackLayout
from kivy.uix.widget import Widget

from tech_app.ui import words


class WrappedRow(StackLayout):
    """From the side where one begins to read."""

    def __init__(self, *children: Widget, **kwargs: Any) -> None:
        orientation = "rl-tb" if words.is_right_to_left() else "lr-tb"
        super().__init__(orientation=orientation, size_hint_y=None, spacing=dp(6), **kwargs)
        self.bind(minimum_height=self.setter("height"))
        for child in children:
            self.add_widget(child)
