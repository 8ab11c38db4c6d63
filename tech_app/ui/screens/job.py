"""One visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kivy.metrics import dp
from kivy.uix.widget import Widget

from tech_app.core.tap import TapKind
from tech_app.ui.screens.map import MapScreen
from tech_app.ui.screens.notes import NotesScreen, note_card
from tech_app.ui.screens.proof import ProofScreen
from tech_app.ui.screens.screen import Screen, pending_chip, state_chip
from tech_app.ui.views.job import JobView, ProofLine, job_view
from tech_app.ui.widgets import ButtonRow, Card, Chip, Icon, PushButton, Row, Text, TouchCard
from tech_app.ui.widgets.wrapped_row import WrappedRow
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp

MOST_NOTES = 2


class JobScreen(Screen):
    """Whatever is known of it, and what can be done. Opening it is reading the news about it."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        for untold in app.desk.tidings():
            if untold.tiding.job.id == job_id:
                app.desk.told(untold)

    def view(self) -> JobView | None:
        app = self.app
        job = app.job(self.job_id)
        if job is None:
            return None
        pending = app.desk.waits_to_be_told(job.id)
        return job_view(job, app.drafts.pictures(job.id), app.today(), app.now(), pending=pending)

    def draw(self, view: JobView | None) -> None:
        if view is None:
            self.bar(_("Visit"))
            self.show_gone()
            return
        self.bar(view.title)
        chips = [state_chip(view.state, view.state_word), *([pending_chip()] if view.pending else [])]
        self.show(
            [
                WrappedRow(*chips),
                *([self._waiting(view)] if view.waiting else []),
                self._where(view),
                self._ways(view),
                *([self._access(view)] if view.access else []),
                *self._proof(view),
                *self._notes(view),
                *self._menu(view),
            ],
            self._main(view),
        )

    def _where(self, view: JobView) -> Widget:
        lines = [
            Text(view.address or view.customer, role="title"),
            Text(view.window, role="heading"),
            Text(view.customer if view.address else ""),
            Text(view.summary, tone="soft"),
        ]
        return Card(*[line for line in lines if line.text])

    def _ways(self, view: JobView) -> Widget:
        """Navigate and the map side by side; call and message below, where there is a number."""
        job, flow = self.app.job(self.job_id), self.app.flow
        first = ButtonRow(
            PushButton(_("Navigate"), icon="navigate", on_tap=lambda: job and flow.navigate(job)),
            PushButton(_("Map"), icon="map", on_tap=lambda: self.app.open(MapScreen(self.app, self.job_id))),
        )
        others = []
        if view.can_call:
            others.append(PushButton(_("Call"), icon="call", on_tap=lambda: job and flow.call(job)))
        if view.can_message:
            others.append(PushButton(_("Message"), icon="message", on_tap=lambda: job and flow.message(job)))
        rows = [first, ButtonRow(*others)] if others else [first]
        return Card(*rows, padding=(0, 0), paper="paper", border="paper")

    def _access(self, view: JobView) -> Widget:
        head = Row(Icon("key", tone="warn_ink"), Text(_("How to get in"), role="strong", tone="warn_ink"))
        return Card(head, Text(view.access, tone="warn_ink"), paper="warn_paper", border="warn_paper")

    def _waiting(self, view: JobView) -> Widget:
        line = Row(Icon("timer", tone="warn_ink"), Text(view.waiting, role="strong", tone="warn_ink"))
        return Card(line, paper="warn_paper", border="warn_paper")

    def _proof(self, view: JobView) -> list[Widget]:
        if not view.proof:
            return []
        lines = [proof_row(line) for line in view.proof]
        return [Text(_("Proof of the visit"), role="heading"), TouchCard(*lines, on_tap=self._open_proof)]

    def _notes(self, view: JobView) -> list[Widget]:
        cards = [note_card(note) for note in view.notes[-MOST_NOTES:]]
        label = _("All notes") if len(view.notes) > MOST_NOTES else _("Write a note")
        button = PushButton(label, icon="edit", on_tap=lambda: self.app.open(NotesScreen(self.app, self.job_id)))
        if not cards and not view.can_write:
            return []
        return [Text(_("Notes"), role="heading"), *cards, *([button] if view.can_write or view.notes else [])]

    def _menu(self, view: JobView) -> list[Widget]:
        flow = self.app.flow
        buttons = [
            PushButton(
                action.label,
                icon=action.icon,
                kind="danger_quiet" if action.kind is TapKind.no_access else "quiet",
                on_tap=lambda kind=action.kind: flow.do(kind, self.job_id),
            )
            for action in view.menu
        ]
        return [Text(_("Something else"), role="heading"), *buttons] if buttons else []

    def _main(self, view: JobView) -> list[Widget]:
        """The one thing to tap next, with what is missing for it."""
        if view.action is None:
            return []
        action, flow = view.action, self.app.flow
        button = PushButton(
            action.label, icon=action.icon, kind="primary", on_tap=lambda: flow.do(action.kind, self.job_id)
        )
        if not view.hint:
            return [button]
        return [Row(Icon("warning", tone="warn_ink"), Text(view.hint, tone="warn_ink")), button]

    def _open_proof(self) -> None:
        self.app.open(ProofScreen(self.app, self.job_id))


def proof_row(line: ProofLine) -> Widget:
    """A kind of proof and how it stands."""
    icon, tone = ("done", "good_ink") if line.there else ("open", "warn_ink" if line.missing else "soft")
    chip = Chip(line.there or line.rule, kind="good" if line.there else "warn" if line.missing else "calm")
    return Row(Icon(icon, tone=tone), Text(line.label, role="strong"), chip, size_hint_min_y=dp(40))
