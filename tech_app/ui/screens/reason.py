"""Why a visit could not be done, in the technician's own words if they like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tech_app.core.jobs import Reason
from tech_app.core.tap import TapKind
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views import said
from tech_app.ui.views.job import LONGEST_NOTE
from tech_app.ui.widgets import Field, PushButton, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


class ReasonScreen(Screen):
    """The reason is chosen already; a word about it is optional."""

    def __init__(self, app: DoorstepApp, job_id: str, why: Reason) -> None:
        super().__init__(app)
        self.job_id, self.why = job_id, why

    def view(self) -> str | None:
        """Whom the visit is for."""
        job = self.app.job(self.job_id)
        return None if job is None else said.name(job)

    def draw(self, view: str | None) -> None:
        self.bar(_("Cannot be done"))
        if view is None:
            self.show_gone()
            return
        told = _("The office is told, and the customer sees it on their page. You can undo it.")
        self.show(
            [
                Text(view, role="strong"),
                Text(said.reason(self.why), role="title"),
                Text(told, tone="soft"),
                self._field(),
            ],
            [PushButton(_("Cannot be done"), icon="warning", kind="danger", on_tap=self._keep)],
        )

    def _field(self) -> Field:
        return self.field("words", _("In your words (optional)"), multiline=True)

    def _keep(self) -> None:
        text = self._field().text.strip()[:LONGEST_NOTE]
        if self.app.screen is not self:
            return
        if self.app.flow.tap(TapKind.no_access, self.job_id, reason=self.why.value, text=text or None):
            self.app.back()
