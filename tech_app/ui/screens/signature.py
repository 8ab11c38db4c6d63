"""The customer signs, on a screen of their own: the technician hands the phone over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kivy.core.window import Window
from kivy.metrics import dp

from tech_app.core.jobs import Proof
from tech_app.core.outbox import NoRoom
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views import ask, said
from tech_app.ui.widgets import ButtonRow, PushButton, Signature, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


HEIGHT = 0.32  # of the window


class SignatureScreen(Screen):
    """What is signed stands above the line."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        self.pad = Signature(height=min(dp(280), Window.height * HEIGHT))
        self.pad.bind(count=lambda *_: self.refresh())

    def view(self) -> tuple[str, str, bool] | None:
        job = self.app.job(self.job_id)
        return None if job is None else (said.name(job), job.summary, not self.pad.empty)

    def draw(self, view: tuple[str, str, bool] | None) -> None:
        self.bar(_("Signature"))
        if view is None:
            self.show_gone()
            return
        customer, summary, signed = view
        tools = ButtonRow(
            PushButton(_("Clear"), icon="delete", disabled=not signed, on_tap=self.pad.clear),
            PushButton(_("Last stroke"), icon="undo", disabled=not signed, on_tap=self.pad.undo),
        )
        texts = [Text(customer, role="title"), Text(summary, tone="soft"), Text(_("Please sign here:"), role="strong")]
        keep = PushButton(_("Keep the signature"), icon="check", kind="primary", disabled=not signed, on_tap=self._keep)
        # The field stands where nothing scrolls, or a stroke would be taken for a drag.
        self.show([text for text in texts if text.text], [self.pad, tools, keep])

    def _keep(self) -> None:
        if self.pad.empty or self.app.screen is not self:
            return
        try:
            self.app.drafts.add(self.job_id, Proof.signature, self.pad.png(), self.app.now())
        except NoRoom as error:
            self.app.say(ask.refusal(error))
            return
        self.app.back()
