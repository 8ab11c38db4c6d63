"""Buttons side by side where their words fit, and else one under the other."""

from __future__ import annotations

from typing import Any

from kivy.metrics import dp
from kivy.properties import BooleanProperty
from kivy.uix.boxlayout import BoxLayout

from tech_app.ui.theme import GAP_DP
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Row


class ButtonRow(Row):
    """As wide as its parent; large text and narrow phones make a column of it."""

    stacked = BooleanProperty(False)

    def __init__(self, *buttons: PushButton, **kwargs: Any) -> None:
        super().__init__(*buttons, spacing=dp(GAP_DP), **kwargs)
        self.fbind("width", self._stack)
        self.fbind("children", self._stack)

    def _stack(self, *_: object) -> None:
        if not self.children:
            return
        share = (self.width - self.spacing * (len(self.children) - 1)) / len(self.children)
        self.stacked = any(button.natural_width > share for button in self.children)
        self.orientation = "vertical" if self.stacked else "horizontal"

    def do_layout(self, *args: Any) -> None:
        if self.stacked:
            BoxLayout.do_layout(self, *args)
        else:
            super().do_layout(*args)
