"""A time that counts."""

from __future__ import annotations

from typing import Any

from kivy.properties import NumericProperty

from tech_app.ui import words
from tech_app.ui.widgets.text import Text


class Timer(Text):
    """Minutes and seconds since something began; the screen sets `seconds` from its clock once a second."""

    seconds = NumericProperty(0)

    def __init__(self, seconds: float = 0.0, **kwargs: Any) -> None:
        kwargs.setdefault("role", "number")
        super().__init__(words.timer(seconds), **kwargs)
        self.fbind("seconds", self._count)
        self.seconds = seconds

    def _count(self, *_: object) -> None:
        self.text = words.timer(self.seconds)
