"""A sign beside the words."""

from __future__ import annotations

from typing import Any

from kivy.properties import StringProperty

from tech_app.ui import icons, words
from tech_app.ui.widgets.text import Text


class Icon(Text):
    """`icon` is a name of `icons.ICONS`. Never alone where its meaning matters: there are words beside it."""

    icon = StringProperty("")

    def __init__(self, icon: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("role", "icon")
        super().__init__(wrap=False, icon=icon, **kwargs)
        self.fbind("icon", self._name)
        self._name()

    def _name(self, *_: object) -> None:
        self.text = icons.glyph(self.icon, words.is_right_to_left()) if self.icon else ""
