"""What is recorded, when, who sees it, for how long: told before the first shift, and to be read again at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.ui.screens.screen import Screen
from tech_app.ui.views.pairing import notice
from tech_app.ui.widgets import Card, PushButton, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


class PrivacyScreen(Screen):
    """`accepted` is called when the technician has agreed; without it there is only to read."""

    def __init__(self, app: DoorstepApp, accepted: Callable[[], None] | None = None) -> None:
        super().__init__(app)
        self._accepted = accepted

    def view(self) -> tuple[tuple[str, str], ...]:
        return notice()

    def draw(self, view: tuple[tuple[str, str], ...]) -> None:
        self.bar(_("Your privacy"))
        cards: list[Widget] = [Card(Text(head, role="heading"), Text(text)) for head, text in view]
        if self._accepted is None:
            self.show(cards)
        else:
            self.show(
                cards, [PushButton(_("I have read this: start"), icon="check", kind="primary", on_tap=self._accept)]
            )

    def _accept(self) -> None:
        if self._accepted is not None and self.app.screen is self:
            self.app.back()
            self._accepted()
