"""What comes up from the bottom to ask one thing: a choice, or a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kivy.core.window import Window
from kivy.graphics import Color, RoundedRectangle
from kivy.metrics import dp
from kivy.uix.modalview import ModalView
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from tech_app.ui.insets import insets
from tech_app.ui.theme import EDGE_DP, GAP_DP, ROUND_DP, theme
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Column
from tech_app.ui.widgets.text import Text
from tech_app.ui.words import _


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several; `value` is what `on_choice` is called with."""

    value: Any
    text: str
    icon: str = ""
    kind: str = "secondary"


class Sheet(ModalView):
    """A title, `content`, and a list of choices. A touch beside it, or the phone's back, closes it."""

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice] = (),
        on_choice: Callable[[Any], Any] | None = None,
        *,
        text: str = "",
        content: Sequence[Widget] = (),
        cancel: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            size_hint=(1, None),
            pos_hint={"x": 0, "y": 0},
            background="",
            background_color=(0, 0, 0, 0),
            overlay_color=(0, 0, 0, 0.6),
            **kwargs,
        )
        self._on_choice = on_choice
        edge = dp(EDGE_DP)
        self.column = Column(padding=(edge, edge, edge, edge + insets.bottom), spacing=dp(GAP_DP))
        self.column.add_widget(Text(title, role="heading"))
        if text:
            self.column.add_widget(Text(text, tone="soft"))
        for widget in content:
            self.column.add_widget(widget)
        for choice in choices:
            button = PushButton(choice.text, icon=choice.icon, kind=choice.kind, on_tap=self._chooser(choice.value))
            self.column.add_widget(button)
        self.column.add_widget(PushButton(cancel or _("Cancel"), kind="quiet", on_tap=self.dismiss))
        self.scroll = ScrollView(do_scroll_x=False, bar_width=dp(4))
        with self.scroll.canvas.before:  # over what dims the screen, which ModalView draws last
            Color(*theme.card)
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP * 1.5)] * 2 + [0, 0])
        self.scroll.add_widget(self.column)
        self.add_widget(self.scroll)
        self.column.bind(height=self._fit)
        Window.bind(size=self._fit)
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        self._fit()

    def _chooser(self, value: Any) -> Callable[[], None]:
        def choose() -> None:
            self.dismiss(animation=False)  # while it fades it could be chosen from once more
            if self._on_choice is not None:
                self._on_choice(value)

        return choose

    def _fit(self, *_: object) -> None:
        self.height = min(self.column.height, Window.height * 0.92 - insets.top)

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size
