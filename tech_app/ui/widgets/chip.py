"""A state in a word or two."""

from __future__ import annotations

from typing import Any

from kivy.graphics import Color, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import OptionProperty, StringProperty

from tech_app.ui.theme import theme
from tech_app.ui.widgets.icon import Icon
from tech_app.ui.widgets.row import Row
from tech_app.ui.widgets.text import Text

KINDS = ("good", "warn", "bad", "calm", "accent")


class Chip(Row):
    """`kind` is good, warn, bad, calm or accent. Says it in words too: colour alone is not seen by everybody."""

    text = StringProperty("")
    kind = OptionProperty("calm", options=KINDS)

    def __init__(self, text: str = "", *, kind: str = "calm", icon: str = "", **kwargs: Any) -> None:
        super().__init__(text=text, kind=kind, size_hint_x=None, spacing=dp(4), padding=(dp(10), dp(3)), **kwargs)
        with self.canvas.before:
            self._ground = Color()
            self._shape = RoundedRectangle()
        self.words = Text(text, role="small", wrap=False)
        self.sign = Icon(icon, role="small") if icon else None
        for part in (self.sign, self.words):
            if part is not None:
                self.add_widget(part)
        self.bind(
            minimum_width=self.setter("width"), x=self._place, y=self._place, width=self._place, height=self._place
        )
        self.bind(text=lambda _, text: setattr(self.words, "text", text), kind=self.paint)
        theme.paints(self)
        self.paint()

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size, self._shape.radius = self.pos, self.size, [self.height / 2]

    def paint(self, *_: object) -> None:
        ground, ink = (
            ("accent", "ink_on_accent") if self.kind == "accent" else (f"{self.kind}_paper", f"{self.kind}_ink")
        )
        self._ground.rgba = getattr(theme, ground)
        self.words.tone = ink
        if self.sign is not None:
            self.sign.tone = ink
