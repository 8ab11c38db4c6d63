"""Why the app wants to know where the phone is, before the system asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tech_app.ui.screens.screen import Screen
from tech_app.ui.widgets import Card, Icon, PushButton, Row, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


class LocationScreen(Screen):
    """`then` goes on, with the permission or, if the technician so chooses, without."""

    def __init__(self, app: DoorstepApp, then: Callable[[], None]) -> None:
        super().__init__(app)
        self._then = then
        self._refused = False

    def view(self) -> bool:
        return self._refused

    def draw(self, view: bool) -> None:
        self.bar(_("Your position"))
        why = [
            Row(
                Icon("gps", tone="accent_ink"), Text(_("Customers see when you will be at their door."), role="strong")
            ),
            Text(_("For this Doorstep needs the position of this phone, exactly, while you are on shift.")),
            Text(_("Off shift and on a break the GPS is off.")),
        ]
        if not view:
            text = _("Choose “While using the app” and “Precise” when the phone asks.")
            self.show([Card(*why, Text(text, tone="soft"))], [self._button(_("Go on"), self._ask)])
            return
        refused = _("The phone did not allow it. You can allow it in the settings, or work without it.")
        self.show(
            [Card(*why), Card(Text(refused, tone="warn_ink"), paper="warn_paper", border="warn_paper")],
            [
                self._button(_("Open settings"), self.app.system.permissions.open_settings),
                PushButton(_("Start without a position"), kind="quiet", on_tap=self._go_on),
            ],
        )

    def _button(self, label: str, on_tap: Callable[[], None]) -> PushButton:
        return PushButton(label, kind="primary", on_tap=on_tap)

    def _ask(self) -> None:
        self.app.soon(self._ask_one_by_one())

    async def _ask_one_by_one(self) -> None:
        permissions = self.app.system.permissions
        allowed = await permissions.ask_location()
        await permissions.ask_notices()
        if allowed:
            self._go_on()
        else:
            self._refused = True
            self.app.refresh()

    def _go_on(self) -> None:
        if self.app.screen is self:
            self.app.back()
            self._then()
