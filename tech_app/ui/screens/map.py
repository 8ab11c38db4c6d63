"""The map of a visit, on the whole screen: a finger drags it, nothing scrolls under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tech_app.ui.screens.screen import Screen
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


class MapScreen(Screen):
    """Where the visit is, where one is, and the way."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        self.remove_widget(self.scroll)

    def view(self) -> str:
        job = self.app.job(self.job_id)
        return "" if job is None else job.address

    def draw(self, view: str) -> None:
        self.bar(view or _("Map"))
