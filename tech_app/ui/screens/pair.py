"""Making this phone a technician's: a code from the office, typed or photographed, and a look at where it leads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.core.session import Invitation, Refused, Why, read_invitation
from tech_app.ui import words
from tech_app.ui.camera import NoCamera, code_in
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views import pairing
from tech_app.ui.widgets import Banner, Choice, Field, PushButton, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


@dataclass(frozen=True, slots=True)
class PairView:
    """The first step, or, with an invitation, the question about it. `held` tells of what waits on this phone."""

    invitation: Invitation | None
    trouble: str
    busy: bool
    held: str


class PairScreen(Screen):
    """Step one reads the code, step two shows the host and asks."""

    def __init__(self, app: DoorstepApp, link: str | None = None) -> None:
        super().__init__(app)
        self._invitation: Invitation | None = None
        self._trouble = ""
        self._busy = False
        if link is not None:
            self._read(link)

    def view(self) -> PairView:
        session = self.app.session
        held = "" if session is None else pairing.held(session, self.app.desk.facts())
        return PairView(self._invitation, self._trouble, self._busy, held)

    def draw(self, view: PairView) -> None:
        if view.invitation is None:
            self._draw_code(view)
        else:
            self._draw_question(view, view.invitation)

    def _draw_code(self, view: PairView) -> None:
        self._title()
        content: list[Widget] = [
            Text(_("Connect this phone"), role="title"),
            Text(
                _("Your office gives you an address and a code. The code is good once, for ten minutes."), tone="soft"
            ),
        ]
        if view.trouble:
            content.append(Banner(view.trouble, kind="bad"))
        content += self._entries()
        if self.app.system.camera is not None:
            content.append(
                PushButton(_("Photograph the code instead"), icon="qr", disabled=view.busy, on_tap=self._scan)
            )
        self.show(content, [PushButton(_("Go on"), kind="primary", disabled=view.busy, on_tap=self._go_on)])

    def _draw_question(self, view: PairView, invitation: Invitation) -> None:
        self._title()
        asked = pairing.question(invitation)
        content: list[Widget] = [Text(asked.title, role="title"), Text(asked.text)]
        if asked.warning:
            content.append(Banner(asked.warning, kind="warn"))
        if view.held:
            content.append(Banner(view.held, kind="warn"))
        if view.trouble:
            content.append(Banner(view.trouble, kind="bad"))
        label = _("Connecting") if view.busy else _("Yes, connect")
        self.show(
            content,
            [
                PushButton(label, kind="primary", disabled=view.busy, on_tap=self._pair),
                PushButton(_("Use another code"), kind="quiet", disabled=view.busy, on_tap=self._begin_again),
            ],
        )

    def _title(self) -> None:
        """A phone that is paired anew can also go back to what it was."""
        self.bar("Doorstep", back=self.app.session is not None, actions=lambda: [self._language_button()])

    def _language_button(self) -> PushButton:
        button = PushButton(icon="language", kind="quiet", on_tap=self._choose_language, size_hint_x=None)
        button.name = _("Language")
        return button

    def _choose_language(self) -> None:
        choices = [Choice(code, words.OWN_NAMES[code]) for code in words.LANGUAGES]
        self.app.ask(_("Language"), choices, lambda language: self.app.choose(language=language))

    def _entries(self) -> list[Field]:
        label = _("Address of your office's Doorstep")
        return [
            self.field("address", label, input_type="url"),
            self.field("code", _("Code"), on_enter=self._go_on),
        ]

    def _go_on(self) -> None:
        self._read(*(field.text for field in self._entries()))
        self.refresh()

    def step_back(self) -> bool:
        if self._busy:
            return True
        if self._invitation is None or self.app.session is not None:
            return False
        self._begin_again()
        return True

    def _begin_again(self) -> None:
        self._invitation, self._trouble = None, ""
        self.refresh()

    def _read(self, address: str, code: str = "") -> None:
        try:
            self._invitation, self._trouble = read_invitation(address, code), ""
        except Refused as refused:
            self._invitation, self._trouble = None, pairing.refusal(refused)

    def _scan(self) -> None:
        self._busy = True
        self.refresh()
        self.app.soon(self._read_picture())

    async def _read_picture(self) -> None:
        try:
            camera = self.app.system.camera
            picture = await camera.take() if camera is not None else None
            said = await asyncio.to_thread(code_in, picture) if picture is not None else None
            if said is not None:
                self._read(said)
            elif picture is not None:
                self._trouble = _("There is no code in this picture that can be read. Go closer, or type it.")
        except NoCamera:
            self._trouble = _("There is no camera, or Doorstep may not use it: allow it in this phone's settings.")
        finally:
            self._busy = False
            self.refresh()

    def _pair(self) -> None:
        if not self._busy and self._invitation is not None:
            self._busy = True
            self.refresh()
            self.app.soon(self._pair_now(self._invitation))

    async def _pair_now(self, invitation: Invitation) -> None:
        try:
            await self.app.pair(invitation)
        except Refused as refused:
            self._trouble = pairing.refusal(refused)
            if refused.why not in (Why.away, Why.later):
                # The code may have been used up: the technician begins again, with what was typed.
                self._invitation = None
        except OSError:
            self._invitation, self._trouble = None, _("This phone is full: delete something on it, then try again.")
        finally:
            self._busy = False
            self.refresh()
