"""News across the whole width: what changed, what is wrong, what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tech_app.ui.widgets.card import Card
from tech_app.ui.widgets.icon import Icon
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Row
from tech_app.ui.widgets.text import Text
from tech_app.ui.words import _

ICONS = {"good": "done", "warn": "warning", "bad": "error", "calm": "info"}


class Banner(Card):
    """`kind` is good, warn, bad or calm. `on_dismiss` gives it a cross, `action` a button that calls `on_action`."""

    def __init__(
        self,
        text: str,
        *,
        kind: str = "calm",
        icon: str = "",
        action: str = "",
        on_action: Callable[[], Any] | None = None,
        on_dismiss: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(paper=f"{kind}_paper", border=f"{kind}_paper", **kwargs)
        self.text = text
        line = Row(Icon(icon or ICONS[kind], tone=f"{kind}_ink"), Text(text, tone=f"{kind}_ink"))
        if on_dismiss is not None:
            cross = PushButton(icon="close", kind="quiet", on_tap=on_dismiss, size_hint_x=None)
            cross.name = _("Close")
            line.add_widget(cross)
        self.add_widget(line)
        if action:
            self.add_widget(PushButton(action, on_tap=on_action))
