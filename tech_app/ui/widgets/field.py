"""Where one types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.graphics import Color, Line
from kivy.metrics import dp, sp
from kivy.properties import StringProperty

from tech_app.ui import words
from tech_app.ui.theme import BODY_SP, REGULAR, TARGET_DP, theme
from tech_app.ui.widgets.entry import Entry
from tech_app.ui.widgets.row import Column
from tech_app.ui.widgets.text import Text


class Field(Column):
    """A label above, the text that is typed, and below it what is wrong with it.

    `input_type` is text, url, number or tel: which keyboard comes up.
    """

    text = StringProperty("")
    error = StringProperty("")

    def __init__(
        self,
        label: str,
        *,
        text: str = "",
        hint: str = "",
        multiline: bool = False,
        input_type: str = "text",
        on_enter: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(spacing=dp(4), **kwargs)
        self.label = Text(label, role="small", tone="soft")
        self.input = Entry(
            text=text,
            hint_text=hint,
            multiline=multiline,
            input_type=input_type,
            write_tab=False,
            size_hint_y=None,
            font_name=REGULAR,
            font_size=sp(BODY_SP),
            background_normal="",
            background_active="",
            cursor_width=dp(2),
            halign="right" if words.is_right_to_left() else "left",
        )
        with self.input.canvas.after:
            self._edge_colour = Color()
            self._edge = Line()
        self.wrong = Text("", role="small", tone="bad_ink")
        for part in (self.label, self.input):
            self.add_widget(part)
        self.input.bind(text=self._typed, minimum_height=self._fit, focus=self.paint)
        for name in ("x", "y", "width", "height"):
            self.input.fbind(name, self._place)
        self.bind(text=self._said, error=self._complain)
        if on_enter is not None:
            self.input.bind(on_text_validate=lambda *_: on_enter())
        theme.paints(self)
        self.paint()
        self.text = text
        self._fit()

    def _typed(self, _: object, text: str) -> None:
        self.text = text
        self.error = ""

    def _said(self, _: object, text: str) -> None:
        if self.input.text != text:
            self.input.text = text

    def _complain(self, _: object, error: str) -> None:
        self.wrong.text = error
        if error and self.wrong.parent is None:
            self.add_widget(self.wrong)
        elif not error and self.wrong.parent is not None:
            self.remove_widget(self.wrong)

    def _fit(self, *_: object) -> None:
        space = max(0.0, (dp(TARGET_DP) - self.input.line_height) / 2)
        self.input.padding = (dp(12), space, dp(12), space)
        least = 3 if self.input.multiline else 1
        self.input.height = max(self.input.minimum_height, 2 * space + least * self.input.line_height)

    def _place(self, *_: object) -> None:
        self._edge.rounded_rectangle = (*self.input.pos, *self.input.size, dp(3))

    def paint(self, *_: object) -> None:
        self._edge_colour.rgba = theme.accent_ink if self.input.focus else theme.edge
        self._edge.width = dp(2 if self.input.focus else 1.1)
        self.input.background_color = theme.card
        self.input.foreground_color = theme.ink
        self.input.hint_text_color = theme.soft
        self.input.cursor_color = theme.accent_ink
        self.input.selection_color = (*theme.accent[:3], 0.35)
