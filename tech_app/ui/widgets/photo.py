"""A photo that was taken, small, with what can be done about it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from kivy.core.image import Image as Picture
from kivy.graphics import Color, RoundedRectangle
from kivy.metrics import dp
from kivy.uix.widget import Widget

from tech_app.ui.theme import ROUND_DP
from tech_app.ui.widgets.card import Card
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.words import _


class Photo(Card):
    """`jpeg` is the picture. With `on_remove` it can be thrown away, as long as it was not sent."""

    def __init__(self, jpeg: bytes, *, on_remove: Callable[[], Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.view = Thumbnail(jpeg)
        self.add_widget(self.view)
        if on_remove is not None:
            self.add_widget(PushButton(_("Remove photo"), icon="delete", kind="danger_quiet", on_tap=on_remove))


class Thumbnail(Widget):
    """As wide as it is allowed, its height in proportion up to `most_dp`."""

    def __init__(self, jpeg: bytes, *, most_dp: float = 240, **kwargs: Any) -> None:
        super().__init__(size_hint_y=None, **kwargs)
        self._texture = Picture(io.BytesIO(jpeg), ext="jpg").texture
        self._most = dp(most_dp)
        with self.canvas:
            Color(1, 1, 1, 1)
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP / 2)], texture=self._texture)
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        self._place()

    def _place(self, *_: object) -> None:
        width, height = self._texture.size
        scale = min(self.width / width, self._most / height)
        self.height = height * scale
        self._shape.size = (width * scale, height * scale)
        self._shape.pos = (self.x + (self.width - width * scale) / 2, self.y)
