"""What customers, the office and the technician wrote on a visit, and a line of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.core.tap import TapKind
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views.job import LONGEST_NOTE, NoteLine, note_line
from tech_app.ui.widgets import Card, Field, PushButton, Row, Text
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


FIELD = "note"


class NotesScreen(Screen):
    """The newest last, beside the field."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        self._typed[FIELD] = app.begun_notes.get(job_id, "")

    def view(self) -> tuple[NoteLine, ...] | None:
        job = self.app.job(self.job_id)
        return None if job is None else tuple(note_line(note) for note in job.notes)

    def draw(self, view: tuple[NoteLine, ...] | None) -> None:
        self.bar(_("Notes"))
        if view is None:
            self.show_gone()
            return
        cards: list[Widget] = [note_card(note) for note in view]
        if not cards:
            cards = [Text(_("Nobody wrote anything yet."), tone="soft")]
        button = PushButton(_("Keep the note"), icon="check", kind="primary", on_tap=self._keep)
        self.show([*cards, self._field()], [button])

    def close(self) -> None:
        self.app.begun_notes[self.job_id] = self._field().text

    def _field(self) -> Field:
        return self.field(FIELD, _("For the office and the next visit"), multiline=True)

    def _keep(self) -> None:
        field = self._field()
        text = field.text.strip()
        if not text:
            field.error = _("Write something first.")
        elif len(text) > LONGEST_NOTE:
            field.error = _("At most %(count)s characters.") % {"count": LONGEST_NOTE}
        elif self.app.flow.tap(TapKind.note, self.job_id, text=text):
            field.text = ""


def note_card(note: NoteLine) -> Widget:
    """A note with who wrote it, and when."""
    head = Row(Text(note.who, role="small", tone="soft"), Text(note.time, role="small", tone="soft", align="end"))
    return Card(head, Text(note.text), paper="calm_paper" if note.mine else "card")
