"""What was done just now, and a way to take it back, for a few seconds at the bottom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.clock import Clock
from kivy.graphics import Color, RoundedRectangle
from kivy.metrics import dp
from kivy.uix.floatlayout import FloatLayout

from tech_app.ui.insets import insets
from tech_app.ui.theme import EDGE_DP, GAP_DP, ROUND_DP, theme
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Row
from tech_app.ui.widgets.text import Text

SHOWN_S = 6.0


class Snackbar(Row):
    """`show` puts it over a layout, in place of the one that is there."""

    def __init__(
        self,
        text: str,
        *,
        action: str = "",
        on_action: Callable[[], Any] | None = None,
        seconds: float = SHOWN_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            size_hint_x=None, padding=(dp(EDGE_DP), dp(GAP_DP / 2), dp(GAP_DP / 2), dp(GAP_DP / 2)), **kwargs
        )
        with self.canvas.before:
            self._ground = Color()
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP)])
        self.text = text
        self._on_action = on_action
        self._seconds = seconds
        self._above = 0.0
        self.words = Text(text, tone="paper")
        self.add_widget(self.words)
        self.button = PushButton(action, kind="inverse", size_hint_x=None, on_tap=self._act) if action else None
        if self.button is not None:
            self.add_widget(self.button)
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        theme.paints(self)
        self.paint()

    def show(self, over: FloatLayout) -> None:
        """At its lower edge, until `lift`."""
        for other in [child for child in over.children if isinstance(child, Snackbar)]:
            over.remove_widget(other)
        over.add_widget(self)
        over.bind(size=self._stand, pos=self._stand)
        self.bind(height=self._stand)
        self._stand()
        if self._seconds:
            Clock.schedule_once(self.hide, self._seconds)

    def lift(self, above: float) -> None:
        """So many pixels over the lower edge, so that the actions there stay free."""
        self._above = above
        self._stand()

    def hide(self, *_: object) -> None:
        if self.parent is not None:
            self.parent.unbind(size=self._stand, pos=self._stand)
            self.parent.remove_widget(self)

    def on_touch_down(self, touch: Any) -> bool:
        """Beside its button it goes, and what lies below is not touched through it."""
        if super().on_touch_down(touch):
            return True
        if not self.collide_point(*touch.pos):
            return False
        self.hide()
        return True

    def _act(self) -> None:
        self.hide()
        if self._on_action is not None:
            self._on_action()

    def _stand(self, *_: object) -> None:
        if self.parent is not None:
            self.width = self.parent.width - 2 * dp(GAP_DP)
            self.pos = (self.parent.x + dp(GAP_DP), self.parent.y + dp(GAP_DP) + insets.bottom + self._above)

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size

    def paint(self, *_: object) -> None:
        self._ground.rgba = theme.ink
