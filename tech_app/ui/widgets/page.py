"""A whole screen: a bar, what scrolls, and the actions at the bottom, where one hand reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kivy.graphics import Color, Rectangle
from kivy.metrics import dp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from tech_app.ui.insets import insets
from tech_app.ui.theme import EDGE_DP, GAP_DP, theme
from tech_app.ui.widgets.row import Column


class Page(BoxLayout):
    """`show` puts new content in; where one had scrolled to stays."""

    def __init__(self, bar: Widget | None = None, **kwargs: Any) -> None:
        super().__init__(orientation="vertical", **kwargs)
        with self.canvas.before:
            self._ground = Color(*theme.paper)
            self._shape = Rectangle()
        self.content = Column(padding=(dp(EDGE_DP), dp(EDGE_DP * 0.75)), spacing=dp(GAP_DP * 1.25))
        self.scroll = ScrollView(do_scroll_x=False, bar_width=dp(4), scroll_type=["bars", "content"])
        self.scroll.add_widget(self.content)
        self.actions = Column(padding=(dp(EDGE_DP), dp(GAP_DP)), spacing=dp(GAP_DP))
        if bar is not None:
            self.add_widget(bar)
        self.add_widget(self.scroll)
        self.add_widget(self.actions)
        self.bind(x=self._place, y=self._place, width=self._place, height=self._place)
        theme.paints(self)
        insets.follow(self)
        self.show([])

    def show(self, content: Sequence[Widget], actions: Sequence[Widget] = ()) -> None:
        """Put these in place of what is there."""
        self.content.clear_widgets()
        for widget in content:
            self.content.add_widget(widget)
        self.actions.clear_widgets()
        for widget in actions:
            self.actions.add_widget(widget)
        self.keep_clear()

    def keep_clear(self) -> None:
        gap = dp(GAP_DP) if self.actions.children else 0
        self.actions.padding = (dp(EDGE_DP), gap, dp(EDGE_DP), gap + insets.bottom)

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size

    def paint(self, *_: object) -> None:
        self._ground.rgba = theme.paper
