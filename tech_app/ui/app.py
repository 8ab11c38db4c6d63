"""The app: one window, a stack of screens, and the phone's file behind them.

Nothing here waits for the service. A screen says what the file says, and a tap is in the file before it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from kivy.app import App
from kivy.base import EventLoop
from kivy.clock import Clock as Frames
from kivy.core.window import Window
from kivy.graphics import Color, Rectangle
from kivy.uix.floatlayout import FloatLayout

from tech_app.core.atlas import Atlas
from tech_app.core.desk import Desk
from tech_app.core.drafts import Drafts
from tech_app.core.home import Home
from tech_app.core.jobs import Job
from tech_app.core.phone import folder_of
from tech_app.core.preferences import Preferences, load_preferences, save_preferences
from tech_app.core.session import Invitation, Session, pair
from tech_app.ui import words
from tech_app.ui.flow import Flow
from tech_app.ui.insets import insets
from tech_app.ui.screens.pair import PairScreen
from tech_app.ui.screens.screen import Screen
from tech_app.ui.screens.today import TodayScreen
from tech_app.ui.system import System, this_system
from tech_app.ui.theme import theme
from tech_app.ui.views import said
from tech_app.ui.widgets import Choice, Sheet, Snackbar
from tech_app.ui.words import _

LOOK_EVERY_S = 1.0
AFTER_TOUCH_S = 0.05
ESCAPE_KEY = 27  # also Android's back
PHONE_NAME = "Doorstep phone"


class DoorstepApp(App):
    """`home` is the app's folder. `invitation` is a pairing link that the app was opened by."""

    title = "Doorstep"

    def __init__(
        self, home: Home, *, invitation: str | None = None, system: System | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.home = home
        self.clock = home.clock
        self.system = system or this_system()
        self.session: Session | None = None
        self.flow = Flow(self)
        self.begun_notes: dict[str, str] = {}  # by job: typed, and not kept yet
        self._invitation = invitation
        self._desk: Desk | None = None
        self._drafts: Drafts | None = None
        self._atlas: Atlas | None = None
        self._stack: list[Screen] = []
        self._sheet: Sheet | None = None
        self._tick: Any = None
        self._saying: Any = None
        self._touched: tuple[Any, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- what Kivy calls ----

    def build(self) -> FloatLayout:
        self.preferences = load_preferences(self.home.data / "preferences.json")
        self._dress()
        self.stage = Stage()
        Window.softinput_mode = "below_target"  # the keyboard never covers the field
        Window.bind(on_keyboard=self._on_key, on_touch_down=self._on_touch)
        self.session = self.home.session()
        if self.session is not None:
            self._take_desk(self.session)
        self.begin()
        if invitation := self._invitation or self.system.invitation():
            self.invite(invitation)
        return self.stage

    def on_start(self) -> None:
        insets.read()
        self._watch()

    def on_pause(self) -> bool:
        """In the background nothing is looked at; the phone itself goes on."""
        self._unwatch()
        return True

    def on_resume(self) -> None:
        if self._desk is not None:
            self._desk.refresh()
        self._watch()

    def on_stop(self) -> None:
        self._unwatch()
        Window.unbind(on_keyboard=self._on_key, on_touch_down=self._on_touch)
        for task in self._tasks:
            task.cancel()

    async def async_run(self, async_lib: str | None = None) -> None:
        """Until the window is closed; the phone stops with it, unless a tracker runs it."""
        try:
            await super().async_run(async_lib=async_lib)
        finally:
            await self._put_away()

    # ---- what the screens use ----

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            raise LookupError("this phone is not paired")
        return self._desk

    @property
    def drafts(self) -> Drafts:
        if self._drafts is None:
            raise LookupError("this phone is not paired")
        return self._drafts

    @property
    def atlas(self) -> Atlas:
        if self._atlas is None:
            raise LookupError("this phone is not paired")
        return self._atlas

    @property
    def screen(self) -> Screen:
        """The one that is seen."""
        return self._stack[-1]

    def job(self, job_id: str) -> Job | None:
        """A job as it is now; None when it is not this technician's any more."""
        return next((job for job in self.desk.jobs if job.id == job_id), None)

    def pending(self) -> set[str]:
        """The jobs of which the service has yet to hear something."""
        outbox = self.desk.outbox
        waiting = {tap.job for tap in outbox.pending_taps()} | {file.job for file in outbox.pending_files()}
        return {job_id for job_id in waiting if job_id is not None}

    def now(self) -> float:
        return self.clock.now()

    def today(self) -> str:
        """The date at the door, by the service's clock where the phone's is wrong."""
        skew = self.desk.status().skew
        now_s = self.now() + (skew.seconds if skew is not None else 0.0)
        return datetime.fromtimestamp(now_s).date().isoformat()  # noqa: DTZ006 - the phone's own zone is the door's

    def begin(self) -> None:
        """The first screen, alone: today, or pairing."""
        for screen in self._stack:
            screen.close()
        self._stack = [PairScreen(self) if self.session is None else TodayScreen(self)]
        self._show()

    def invite(self, link: str) -> None:
        """The app was opened by a pairing link: ask about it, and go on as before when the answer is no."""
        if self.session is None:
            self._stack = []
        self.open(PairScreen(self, link))

    def open(self, screen: Screen) -> None:
        """Put a screen over the one that is seen."""
        self.hush()
        self._stack.append(screen)
        self._show()

    def back(self) -> None:
        """To the screen before, or out of the app."""
        if self.screen.step_back():
            return
        if len(self._stack) > 1:
            self._stack.pop().close()
            self._show()
        else:
            self.system.leave()

    def refresh(self, *_: object) -> None:
        """Say what is the case now; as soon as no finger is down, or what it is on would be drawn anew under it."""
        if EventLoop.touches:
            Frames.schedule_once(self.refresh, AFTER_TOUCH_S)
        elif self._stack and (self._desk is not None or self.session is None):
            self.screen.refresh()

    def ask(
        self,
        title: str,
        choices: Sequence[Choice],
        on_choice: Callable[[Any], Any],
        *,
        text: str = "",
        **more: Any,
    ) -> None:
        """A question from the bottom of the screen, one at a time."""
        self.close_sheet()
        self._sheet = Sheet(title, choices, on_choice, text=text, **more)
        self._sheet.open(animation=False)

    def close_sheet(self) -> bool:
        """Returns whether there was one."""
        sheet, self._sheet = self._sheet, None
        if sheet is None or sheet.parent is None:
            return False
        sheet.dismiss(animation=False)
        return True

    def say(self, text: str, *, action: str = "", on_action: Callable[[], Any] | None = None) -> None:
        """A sentence over the actions at the bottom, for some seconds."""

        def show(*_: object) -> None:  # on the screen that is seen by then
            Snackbar(text, action=action, on_action=on_action).show(self.stage)
            self.stage.lift()

        self.hush()
        self._saying = Frames.schedule_once(show, 0)

    def hush(self) -> None:
        """Take back what is said, as one goes on to something else."""
        if self._saying is not None:
            self._saying.cancel()
        for child in [child for child in self.stage.children if isinstance(child, Snackbar)]:
            child.hide()

    def soon(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something that takes a while; the screens go on."""
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def choose(self, **choices: Any) -> None:
        """Keep a preference and wear it at once; everything is drawn anew."""
        self.preferences: Preferences = replace(self.preferences, **choices)
        save_preferences(self.home.data / "preferences.json", self.preferences)
        self._dress()
        for screen in self._stack:
            screen.forget()
        self._show()

    async def pair(self, invitation: Invitation) -> None:
        """Make this phone a technician's. Raises `Refused`, or OSError when the phone is full."""
        session = await pair(invitation, PHONE_NAME, self.home.earlier())
        await self._put_away()
        try:
            self.home.pair(session)
            self.session = session
        finally:  # on a full phone it goes on as what it was
            if self.session is not None:
                self._take_desk(self.session)
        self.begin()
        who = said.technician(session) or invitation.host
        self.say(_("This phone now belongs to %(who)s.") % {"who": who})

    def unpair(self) -> None:
        """Make this phone nobody's."""
        self.soon(self._unpair())

    def run_phone(self) -> None:
        """Have the phone run, and its map kept fresh, for as long as the app does."""
        self.home.start()
        self.atlas.start()

    # ---- inside ----

    async def _unpair(self) -> None:
        self._unwatch()
        await self._put_away()
        self.home.unpair()
        self.session = None
        self.begin()
        self._watch()

    def _take_desk(self, session: Session) -> None:
        folder = folder_of(self.home.data, session)
        self._desk = self.home.desk()
        self._drafts = Drafts(self._desk.outbox, folder / "drafts")
        self._drafts.clear([job.id for job in self._desk.jobs], self.now())
        self._atlas = Atlas(folder, session, self.clock)
        self.run_phone()

    async def _put_away(self) -> None:
        """Stop the phone, and close its file."""
        await self.home.stop()
        if self._atlas is not None:
            await self._atlas.stop()
        if self._desk is not None:
            self._desk.close()
        self._desk = self._drafts = self._atlas = None

    def _dress(self) -> None:
        words.use(self.preferences.language or words.system_language())
        theme.use(self.preferences.look.value)

    def _show(self) -> None:
        self.close_sheet()
        screen = self.screen
        screen.refresh()
        self.stage.put(screen)

    def _watch(self) -> None:
        self._unwatch()
        self._tick = Frames.schedule_interval(self._look, LOOK_EVERY_S)
        self._look()

    def _unwatch(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _look(self, *_: object) -> None:
        if self._desk is not None:
            self._desk.changed()
        self.refresh()

    def _on_key(self, _: object, key: int, *__: object) -> bool:
        if key != ESCAPE_KEY:
            return False
        if not self.close_sheet():
            self.back()
        return True

    def _on_touch(self, _: object, touch: Any) -> bool:
        """A finger that trembles touches twice: the second reaches nothing that was not there for the first."""
        there = (Window.children[0], *self.stage.children)
        if touch.is_double_tap and there != self._touched:
            return True
        self._touched = there
        return False


class Stage(FloatLayout):
    """The whole window: one screen, and what is said over it."""

    def __init__(self) -> None:
        super().__init__()
        with self.canvas.before:
            self._colour = Color(*theme.paper)
            self._ground = Rectangle()
        self._screen: Screen | None = None
        self.bind(pos=self._place, size=self._place)
        theme.paints(self)

    def put(self, screen: Screen) -> None:
        """Show this screen in place of the one that is there."""
        if self._screen is screen:
            return
        if self._screen is not None:
            self._screen.actions.unbind(height=self.lift)
            self.remove_widget(self._screen)
        self._screen = screen
        self.add_widget(screen, index=len(self.children))
        screen.actions.bind(height=self.lift)
        self.lift()

    def lift(self, *_: object) -> None:
        """What is said stands on the actions of the screen, however high they are."""
        above = self._screen.actions.height - insets.bottom if self._screen is not None else 0.0
        for bar in [child for child in self.children if isinstance(child, Snackbar)]:
            bar.lift(above)

    def paint(self, *_: object) -> None:
        self._colour.rgba = theme.paper

    def _place(self, *_: object) -> None:
        self._ground.pos, self._ground.size = self.pos, self.size
