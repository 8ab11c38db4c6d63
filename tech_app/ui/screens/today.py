"""Home: the shift, who can see one, and the visits in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.ui.screens.diagnostics import DiagnosticsScreen
from tech_app.ui.screens.job import JobScreen
from tech_app.ui.screens.pair import PairScreen
from tech_app.ui.screens.screen import Screen, changed_chip, pending_chip, state_chip
from tech_app.ui.views import said
from tech_app.ui.views.link import Line, gps_line, link_line
from tech_app.ui.views.today import TodayView, Visit, today_view
from tech_app.ui.widgets import Banner, ButtonRow, Card, Chip, Icon, PushButton, Row, Text, TouchCard
from tech_app.ui.widgets.wrapped_row import WrappedRow
from tech_app.ui.words import _, ngettext

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp

MOST_NOTICES = 3


@dataclass(frozen=True, slots=True)
class HomeView:
    """All that the screen says. `notices` are news; `more` is how many there are besides."""

    today: TodayView
    link: Line
    gps: Line | None
    notices: tuple[str, ...]
    more: int
    removed: bool


class TodayScreen(Screen):
    """The one that the app begins with."""

    def __init__(self, app: DoorstepApp) -> None:
        super().__init__(app)
        self._cards: dict[Visit, Widget] = {}  # of a long day most stay as they are when one changes

    def forget(self) -> None:
        super().forget()
        self._cards = {}

    def view(self) -> HomeView:
        desk, app = self.app.desk, self.app
        status = desk.status()
        self._untold, self._dead = desk.tidings(), desk.dead_taps()
        notices = [
            *(said.dead(dead, desk.jobs) for dead in self._dead),
            *(said.tiding(untold.tiding) for untold in self._untold),
        ]
        changed = {untold.tiding.job.id for untold in self._untold}
        return HomeView(
            today_view(
                desk.jobs,
                desk.shift,
                app.today(),
                pending=app.pending(),
                changed=changed,
                paired=status.paired,
                fetched=desk.has_jobs,
            ),
            link_line(status, desk.facts()),
            gps_line(status, tracked=desk.shift.on and not desk.shift.on_break),
            tuple(notices[:MOST_NOTICES]),
            max(0, len(notices) - MOST_NOTICES),
            not status.paired,
        )

    def draw(self, view: HomeView) -> None:
        today = view.today
        self.bar(_("Today"), back=False, actions=lambda: [self._help_button()])
        content: list[Widget] = []
        content += [
            Banner(text, kind="warn", on_dismiss=lambda n=n: self._told(n)) for n, text in enumerate(view.notices)
        ]
        if view.more:
            text = ngettext("%(count)s more change.", "%(count)s more changes.", view.more) % {"count": view.more}
            content.append(Banner(text, kind="warn", on_dismiss=self._told_all))
        if view.removed:
            again = PushButton(_("Connect again"), kind="primary", icon="sync", on_tap=self._pair_again)
            content.append(Card(again, padding=(0, 0), paper="paper", border="paper"))
        if view.gps is not None:
            content.append(Banner(view.gps.text, kind=view.gps.mood.value, icon=view.gps.icon))
        content.append(self._state_card(view))
        if today.next is not None:
            content.append(self._next_card(today.next))
        else:
            content.append(Text(today.empty, role="heading", tone="soft"))
        before, self._cards = self._cards, {}
        for group in today.groups:
            content.append(Text(group.heading, role="heading"))
            for visit in group.visits:
                self._cards[visit] = before.get(visit) or self._card(visit)
                content.append(self._cards[visit])
        flow = self.app.flow
        main = len(today.shift_actions) == 1
        buttons = [
            PushButton(
                action.label,
                icon=action.icon,
                kind="primary" if main or (today.is_paused and not n) else "secondary",
                on_tap=lambda kind=action.kind: flow.do(kind),
            )
            for n, action in enumerate(today.shift_actions)
        ]
        self.show(content, [buttons[0] if main else ButtonRow(*buttons)])

    def _help_button(self) -> PushButton:
        button = PushButton(icon="settings", kind="quiet", on_tap=self._open_diagnostics, size_hint_x=None)
        button.name = _("Diagnostics and settings")
        return button

    def _open_diagnostics(self) -> None:
        self.app.open(DiagnosticsScreen(self.app))

    def _state_card(self, view: HomeView) -> Widget:
        link = view.link
        eye = "eye" if view.today.is_seen else "eye_off"
        return Card(
            Text(view.today.shift_line, role="strong"),
            Row(Icon(eye, tone="accent_ink"), Text(view.today.seen)),
            Row(Icon(link.icon, tone=f"{link.mood.value}_ink"), Text(link.text, tone=f"{link.mood.value}_ink")),
        )

    def _next_card(self, visit: Visit) -> Widget:
        parts = [
            _chips(visit),
            Text(visit.window, role="heading"),
            Text(visit.address, role="title"),
            *_about(visit),
        ]
        if visit.action is not None:
            action, flow = visit.action, self.app.flow
            button = PushButton(
                action.label, icon=action.icon, kind="primary", on_tap=lambda: flow.do(action.kind, visit.id)
            )
            parts.append(button)
        return TouchCard(*[part for part in parts if _says(part)], on_tap=lambda: self._open(visit.id))

    def _card(self, visit: Visit) -> Widget:
        parts = [_chips(visit), Text(visit.window, role="strong"), Text(visit.address, role="strong"), *_about(visit)]
        return TouchCard(*[part for part in parts if _says(part)], on_tap=lambda: self._open(visit.id))

    def _open(self, job_id: str) -> None:
        self.app.open(JobScreen(self.app, job_id))

    def _pair_again(self) -> None:
        self.app.open(PairScreen(self.app))

    def _told(self, n: int) -> None:
        desk = self.app.desk
        if n < len(self._dead):
            desk.told_dead(self._dead[n])
        else:
            desk.told(self._untold[n - len(self._dead)])
        self.refresh()

    def _told_all(self) -> None:
        for dead in self._dead:
            self.app.desk.told_dead(dead)
        for untold in self._untold:
            self.app.desk.told(untold)
        self.refresh()


def _chips(visit: Visit) -> Widget:
    chips = [Chip(visit.stop, kind="calm")] if visit.stop else []
    chips.append(state_chip(visit.state, visit.state_word))
    if visit.pending:
        chips.append(pending_chip())
    if visit.changed:
        chips.append(changed_chip())
    return WrappedRow(*chips)


def _about(visit: Visit) -> list[Widget]:
    return [Text(visit.customer), Text(visit.summary, tone="soft")]


def _says(part: Widget) -> bool:
    return not isinstance(part, Text) or bool(part.text)
