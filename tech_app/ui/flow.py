"""From a touch to a tap: what is asked before it counts, and what is said when it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tech_app.core.day import NotNow, ProofMissing
from tech_app.core.jobs import Job, Reason
from tech_app.core.navigation import Navigator, call_url, message_url, navigation_url
from tech_app.core.outbox import NoRoom
from tech_app.core.tap import TapKind
from tech_app.ui.views import ask, said
from tech_app.ui.views.ask import Ask, Doubt, doubts
from tech_app.ui.views.job import break_reasons, done_words, late_choices, missing, navigators, reasons
from tech_app.ui.widgets import Choice
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp

# A finger that trembles touches twice; by then another action stands in the same place.
DEAF_S = 0.7
ACCEPTED = "notice_accepted"


class Flow:
    """What the buttons call."""

    def __init__(self, app: DoorstepApp) -> None:
        self._app = app
        self._deaf_until_s = 0.0

    # ---- taps ----

    def do(self, kind: TapKind, job_id: str | None = None, *, settled: frozenset[Doubt] = frozenset()) -> None:
        """A button was touched. `settled` are the doubts that the technician was asked about."""
        if self._is_deaf():
            return
        app = self._app
        job = None if job_id is None else app.job(job_id)
        doubt = doubts(kind, job, app.desk.jobs, app.desk.shift)
        if doubt is not None and doubt.doubt not in settled:
            self._ask(doubt, kind, job_id, settled)
            return
        match kind:
            case TapKind.shift_start:
                self.start_shift()
            case TapKind.break_start:
                choices = [Choice(value, text) for value, text in break_reasons()]
                app.ask(_("Why a break?"), choices, lambda reason: self.tap(TapKind.break_start, reason=reason))
            case TapKind.late:
                choices = [Choice(n, text) for n, text in late_choices()]
                app.ask(
                    _("How late will you be?"),
                    choices,
                    lambda n: self.tap(TapKind.late, job_id, minutes=n),
                    text=_("The office is told, and the customer when the promised time cannot be kept."),
                )
            case TapKind.no_access if job is not None:
                self._ask_why_not(job)
            case TapKind.done if job is not None and missing(job, app.drafts.pictures(job.id)):
                from tech_app.ui.screens.proof import ProofScreen  # it opens this flow's own questions

                app.open(ProofScreen(app, job.id))
            case _:
                self.tap(kind, job_id)

    def tap(
        self,
        kind: TapKind,
        job_id: str | None = None,
        *,
        reason: str | None = None,
        text: str | None = None,
        minutes: int | None = None,
    ) -> bool:
        """Let it count, and say so with the way to take it back; returns whether it did."""
        app = self._app
        given = frozenset(app.drafts.pictures(job_id)) if job_id is not None else frozenset()
        try:
            if job_id is not None and kind in (TapKind.done, TapKind.no_access):
                app.drafts.hand_over(job_id)
            app.desk.tap(kind, job_id, reason=reason, text=text, minutes=minutes, proof=given)
        except (NotNow, ProofMissing, NoRoom) as error:
            app.refresh()
            app.say(ask.refusal(error))
            return False
        self._deaf_until_s = app.clock.since_boot() + DEAF_S
        app.hush()
        app.refresh()
        job = None if job_id is None else app.job(job_id)
        if job is not None:
            self._say_done(kind, job)
        return True

    def _say_done(self, kind: TapKind, job: Job) -> None:
        app = self._app
        can_undo = job.previous_state is not None and kind not in (TapKind.undo, TapKind.late, TapKind.not_home)
        if kind is TapKind.note or not can_undo:
            app.say(done_words(kind, job))
            return

        def undo() -> None:
            now = app.job(job.id)
            if now is not None and now.state is job.state:  # else it is another step that would be taken back
                self.tap(TapKind.undo, job.id)

        app.say(done_words(kind, job), action=_("Undo"), on_action=undo)

    def _is_deaf(self) -> bool:
        return self._app.clock.since_boot() < self._deaf_until_s

    def _ask(self, doubt: Ask, kind: TapKind, job_id: str | None, settled: frozenset[Doubt]) -> None:
        def go_on(_yes: object) -> None:
            match doubt.doubt:
                case Doubt.off_shift:
                    self.start_shift(lambda: self._again(kind, job_id, settled))
                    return
                case Doubt.on_break:
                    self.tap(TapKind.break_end)
            self._again(kind, job_id, settled | {doubt.doubt})

        self._app.ask(doubt.title, [Choice(True, doubt.yes, kind="primary")], go_on, text=doubt.text)

    def _again(self, kind: TapKind, job_id: str | None, settled: frozenset[Doubt]) -> None:
        self._deaf_until_s = 0.0  # it was this flow that tapped
        self.do(kind, job_id, settled=settled)

    def _ask_why_not(self, job: Job) -> None:
        def chosen(why: Reason) -> None:
            from tech_app.ui.screens.reason import ReasonScreen

            self._app.open(ReasonScreen(self._app, job.id, why))

        choices = [Choice(why, text) for why, text in reasons()]
        self._app.ask(_("Why can it not be done?"), choices, chosen)

    # ---- the shift ----

    def start_shift(self, then: Callable[[], None] = lambda: None) -> None:
        """The first time after the privacy notice; where the phone may not know its place, after asking for that."""
        app = self._app
        if app.desk.recall(ACCEPTED) is None:
            from tech_app.ui.screens.privacy import PrivacyScreen

            app.open(PrivacyScreen(app, lambda: self._accepted(then)))
        elif not app.system.permissions.location():
            from tech_app.ui.screens.location import LocationScreen

            app.open(LocationScreen(app, lambda: self._begin_shift(then)))
        else:
            self._begin_shift(then)

    def _accepted(self, then: Callable[[], None]) -> None:
        self._app.desk.remember(ACCEPTED, str(round(self._app.now())))
        self.start_shift(then)

    def _begin_shift(self, then: Callable[[], None]) -> None:
        if self.tap(TapKind.shift_start):
            then()

    # ---- other apps ----

    def navigate(self, job: Job, *, choose: bool = False) -> None:
        """Hand over to the app that leads the way: the one chosen before, unless another is wanted."""
        app = self._app
        label = said.name(job)

        def go(navigator: Navigator) -> None:
            if navigator is not app.preferences.navigator:
                app.choose(navigator=navigator)
            self._open(navigation_url(app.system.platform, navigator, job.lat, job.lon, label))

        if app.preferences.navigator is None or choose:
            choices = [Choice(which, name) for which, name in navigators(app.system.platform)]
            app.ask(_("Which app shall lead the way?"), choices, go, text=_("It is remembered."))
        else:
            go(app.preferences.navigator)

    def call(self, job: Job) -> None:
        self._open(call_url(job.phone or ""))

    def message(self, job: Job) -> None:
        self._open(message_url(job.phone or ""))

    def _open(self, url: str | None) -> None:
        opened: Any = url is not None and self._app.system.open_url(url)
        if opened is False:
            self._app.say(_("No app on this phone can do this."))
