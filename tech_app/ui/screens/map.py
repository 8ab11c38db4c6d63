"""The map of a visit, on the whole screen: a finger drags it, nothing scrolls under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.core.fix import Fix
from tech_app.core.status import Seen
from tech_app.core.tap import TapKind
from tech_app.ui.map.job_map import JobMap
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views.job import JobView, job_view
from tech_app.ui.views.link import Line, gps_line
from tech_app.ui.widgets import Banner, ButtonRow, PushButton
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


class MapScreen(Screen):
    """Where the visit is, where one is, and the way; below it what one does on the way."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        self.map = JobMap(app.atlas)

    def view(self) -> tuple[JobView, Line | None] | None:
        """The visit, and why one's own place is not on the map."""
        app = self.app
        job = app.job(self.job_id)
        if job is None:
            return None
        shift = app.desk.shift
        gps = gps_line(app.desk.status(), tracked=shift.on and not shift.on_break)
        return job_view(job, app.drafts.pictures(job.id), app.today(), app.now(), pending=False), gps

    def draw(self, view: tuple[JobView, Line | None] | None) -> None:
        if view is None:
            self.bar(_("Map"))
            self._put(self.scroll, self.map)
            self.show_gone()
            return
        self._put(self.map, self.scroll)
        visit, gps = view
        self.bar(visit.address or visit.title)
        flow, job_id = self.app.flow, self.job_id
        buttons = [PushButton(_("Navigate"), icon="navigate", on_tap=self._navigate)]
        action = visit.action
        if action is not None and action.kind in (TapKind.en_route, TapKind.arrived):
            kind = action.kind
            main = PushButton(action.label, icon=action.icon, kind="primary", on_tap=lambda: flow.do(kind, job_id))
            buttons.append(main)
        banner = [] if gps is None else [Banner(gps.text, kind=gps.mood.value, icon=gps.icon)]
        self.show([], [*banner, ButtonRow(*buttons)])

    def refresh(self) -> None:
        super().refresh()
        job = self.app.job(self.job_id)
        if job is not None:
            self.map.look(job, a_fix(self.app.desk.status().seen), self.app.clock.since_boot())

    def close(self) -> None:
        self.map.close()

    def _put(self, seen: Widget, other: Widget) -> None:
        if seen.parent is None:
            self.remove_widget(other)
            self.add_widget(seen, index=1)

    def _navigate(self) -> None:
        job = self.app.job(self.job_id)
        if job is not None:
            self.app.flow.navigate(job)


def a_fix(seen: Seen | None) -> Fix | None:
    """The last fix, timed by the clock that is never set."""
    if seen is None:
        return None
    return Fix(
        seen.at_s,
        seen.lat,
        seen.lon,
        accuracy_m=seen.accuracy_m,
        speed_mps=seen.speed_mps,
        course_deg=seen.course_deg,
    )
