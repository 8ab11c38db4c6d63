"""How the screens behave under a hand: twice touched, held, undone, refused, chosen, gone back from."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.app_tour import a_phone, a_photo, good_status, news  # before any Kivy
from tests.support.window import PHONE, Driver, Touch, box, middle

# isort: split
from kivy.uix.textinput import TextInput

from tech_app.core.day import Day
from tech_app.core.drafts import Drafts
from tech_app.core.jobs import Job, Reason, State, write_jobs
from tech_app.core.navigation import Navigator
from tech_app.core.outbox import NoRoom
from tech_app.core.preferences import Look, load_preferences
from tech_app.core.session import Refused, Why
from tech_app.core.status import Status
from tech_app.core.tap import TapKind
from tech_app.ui.app import DoorstepApp
from tech_app.ui.flow import ACCEPTED, DEAF_S
from tech_app.ui.screens.job import JobScreen
from tech_app.ui.screens.map import MapScreen
from tech_app.ui.screens.notes import NotesScreen
from tech_app.ui.screens.proof import ProofScreen
from tech_app.ui.screens.reason import ReasonScreen
from tech_app.ui.screens.signature import SignatureScreen
from tech_app.ui.screens.today import TodayScreen
from tech_app.ui.system import System
from tech_app.ui.widgets import Text
from tests.support.phone_clock import SetPhoneClock


def kinds(app: DoorstepApp) -> list[TapKind]:
    """What was tapped, as the queue has it."""
    return [tap.kind for tap in app.desk.outbox.pending_taps()]


def first(app: DoorstepApp) -> Job:
    job = app.job("job-1")
    assert job is not None
    return job


def pass_time(app: DoorstepApp, seconds: float) -> None:
    assert isinstance(app.clock, SetPhoneClock)
    app.clock.pass_time(seconds)


async def step(app: DoorstepApp, driver: Driver, *texts: str) -> None:
    """Touch these one after the other, as slowly as a hand does."""
    for text in texts:
        await driver.until(lambda text=text: driver.sees(text), text)
        for bar in driver.of("Snackbar"):
            if text not in ("Undo",):
                bar.hide()
        await driver.tap(text)
        pass_time(app, DEAF_S)


async def test_touched_twice_is_done_once(tmp_path: Path) -> None:
    """A finger that trembles: another action stands in the same place by then, and does not happen."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift")
        await driver.tap("I am on my way")
        await driver.tap("I am here")
        assert kinds(app) == [TapKind.shift_start, TapKind.en_route]
        pass_time(app, DEAF_S)
        await driver.tap("I am here")
        assert kinds(app)[-1] is TapKind.arrived


async def test_a_finger_that_is_down_keeps_what_it_is_on(tmp_path: Path) -> None:
    """News come while it is held: the button under it still counts, and the news are shown when it is lifted."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        button = driver.find("Start shift")
        touch = Touch(*middle(button))
        touch.down()
        app.desk.outbox.remember({"status": Status(paired=False).to_json()})
        app.refresh()
        await driver.frames(3)
        assert not driver.sees("The office has removed this phone.")
        touch.up()
        await driver.until(lambda: driver.sees("On shift since"))
        await driver.until(lambda: driver.sees("The office has removed this phone."))


async def test_what_was_tapped_can_be_taken_back(tmp_path: Path) -> None:
    """By the bar below, and later by the menu; the bar's undo never takes back another step than its own."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift", "I am on my way", "Undo")
        assert first(app).state is State.assigned
        await step(app, driver, "I am on my way")
        app.desk.tap(TapKind.arrived, "job-1")
        await step(app, driver, "Undo")
        assert first(app).state is State.arrived
        app.open(JobScreen(app, "job-1"))
        await step(app, driver, "Undo the last step")
        assert first(app).state is State.en_route


async def test_the_notice_stands_before_the_first_shift(tmp_path: Path) -> None:
    """Accepted once, it is not shown again; going back from it starts nothing."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.desk.outbox._db.execute("DELETE FROM memory WHERE name = ?", (f"screen.{ACCEPTED}",))
        await step(app, driver, "Start shift")
        assert driver.sees("Who sees it")
        await driver.back()
        assert kinds(app) == []
        await step(app, driver, "Start shift", "I have read this: start")
        assert kinds(app) == [TapKind.shift_start]
        await step(app, driver, "End shift", "Start shift")
        assert kinds(app)[-1] is TapKind.shift_start


async def test_off_shift_nobody_drives_unasked(tmp_path: Path) -> None:
    """The shift is offered first; a no leaves everything as it was."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "I am on my way")
        assert driver.sees("You are off shift")
        await step(app, driver, "Cancel")
        assert kinds(app) == []
        await step(app, driver, "I am on my way", "Start shift and go")
        assert kinds(app) == [TapKind.shift_start, TapKind.en_route]


async def test_a_stop_left_out_is_warned_of_and_allowed(tmp_path: Path) -> None:
    """The third before the second: asked once, and done."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift", "7 Chapel Street", "I am on my way")
        assert driver.sees("comes before this one")
        await step(app, driver, "Go to stop 3 now")
        third = app.job("job-2")
        assert third is not None
        assert third.state is State.en_route


async def test_late_and_breaks_are_told_with_their_words(tmp_path: Path) -> None:
    """How late, why a break, and back to work."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift", "Take a break", "Meal")
        await driver.until(lambda: driver.sees("Nobody can see where you are: you are on a break."))
        await step(app, driver, "Back to work", "The Old Mill", "I am running late", "20 min")
        taps = app.desk.outbox.pending_taps()
        assert [(tap.kind, tap.reason, tap.minutes) for tap in taps[1:]] == [
            (TapKind.break_start, "meal", None),
            (TapKind.break_end, None, None),
            (TapKind.late, None, 20),
        ]


async def test_what_was_said_goes_when_it_is_not_so_any_more(tmp_path: Path) -> None:
    """On a break nobody sees one coming, and the break is not what "Undo" would take back."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.desk.tap(TapKind.shift_start)
        app.flow.tap(TapKind.en_route, "job-1")
        await driver.until(lambda: driver.sees("can see you coming"))
        app.flow.tap(TapKind.break_start, reason="meal")
        await driver.frames(3)
        assert not driver.sees("can see you coming")
        assert not driver.sees("Undo")


async def test_a_note_is_written(tmp_path: Path) -> None:
    """An empty one is refused in words; a whole one stands among the others, and the field is empty again."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "The Old Mill", "Write a note", "Keep the note")
        assert driver.sees("Write something first.")
        await driver.type("For the office and the next visit", "valve behind the fridge")
        await step(app, driver, "Keep the note")
        assert first(app).notes[-1].text == "valve behind the fridge"
        assert driver.sees("valve behind the fridge")
        (entry,) = driver.of(TextInput)
        assert entry.text == ""


async def test_a_photo_is_retaken(tmp_path: Path) -> None:
    """The one that was removed is gone from the disk, and none is sent before the visit is ended."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.open(ProofScreen(app, "job-1"))
        await step(app, driver, "Take a photo", "Remove photo", "Take a photo", "Take another photo")
        await driver.until(lambda: len(app.drafts.of("job-1")) == 2)
        assert app.desk.facts().files == 0
        assert len(await asyncio.to_thread(lambda: list(tmp_path.rglob("*.jpg")))) == 2


async def test_a_broken_picture_is_told(tmp_path: Path) -> None:
    """And no camera, and one that the technician turned away from."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.open(ProofScreen(app, "job-1"))
        app.system = System(camera=Shows(b"no picture"))
        await step(app, driver, "Take a photo")
        await driver.until(lambda: driver.sees("take another."))
        app.system = System(camera=None)
        await step(app, driver, "Take a photo")
        await driver.until(lambda: driver.sees("There is no camera"))
        app.system = System(camera=Shows(None))
        await step(app, driver, "Take a photo")
        await driver.until(lambda: driver.sees("Take a photo"))
        assert app.drafts.of("job-1") == ()


async def test_a_full_phone_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown as done that was not kept."""
    async with a_phone(tmp_path, PHONE) as (app, driver):

        def full(*_: object, **__: object) -> None:
            raise NoRoom(NoRoom.__doc__)

        monkeypatch.setattr(app.desk, "tap", full)
        monkeypatch.setattr(Drafts, "add", full)
        await step(app, driver, "Start shift")
        await driver.until(lambda: driver.sees("This phone is full"))
        assert driver.sees("Off shift")
        app.open(ProofScreen(app, "job-1"))
        await step(app, driver, "Take a photo")
        await driver.until(lambda: driver.sees("This phone is full"))


async def test_back_leads_out_step_by_step(tmp_path: Path) -> None:
    """A sheet first, then the screens, then out of the app."""
    left = []
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.system = System(leave=lambda: left.append(True))
        await step(app, driver, "Start shift", "The Old Mill", "I am running late")
        await driver.back()
        await driver.until(lambda: not driver.sees("20 min"))
        assert isinstance(app.screen, JobScreen)
        await driver.back()
        assert isinstance(app.screen, TodayScreen)
        assert left == []
        await driver.back()
        assert left == [True]


async def test_language_and_look_change_at_once_and_are_kept(tmp_path: Path) -> None:
    """In Arabic everything stands on the other side."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await driver.tap("Diagnostics and settings")
        before = box(driver.find("Diagnostics"))
        await step(app, driver, "Light or dark", "Dark", "Language", "العربية")
        after = box(driver.find("التشخيص"))
        assert before[0] == pytest.approx(PHONE.width - after[2])
        chosen = load_preferences(tmp_path / "preferences.json")
        assert (chosen.language, chosen.look) == ("ar", Look.dark)


async def test_the_navigator_is_asked_for_once(tmp_path: Path) -> None:
    """And its address handed over; a phone without an app for calls says so."""
    opened: list[str] = []
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.system = System(open_url=lambda url: opened.append(url) or not url.startswith("tel:"))
        await step(app, driver, "The Old Mill", "Navigate", "Waze", "Navigate")
        assert [url.partition("?")[0] for url in opened] == ["https://waze.com/ul"] * 2
        assert app.preferences.navigator is Navigator.waze
        await step(app, driver, "Call")
        assert opened[-1] == "tel:+358401234567"
        await driver.until(lambda: driver.sees("No app on this phone can do this."))


async def test_a_phone_is_given_back_only_after_the_shift(tmp_path: Path) -> None:
    """And it says what would be lost."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift")
        await driver.tap("Diagnostics and settings")
        await step(app, driver, "Give this phone back")
        await driver.until(lambda: driver.sees("End your shift first."))
        app.desk.tap(TapKind.shift_end)
        await step(app, driver, "Give this phone back")
        assert driver.sees("2 things are not sent yet")
        await driver.tap(driver.of("Sheet")[0].column.children[1])
        await driver.until(lambda: driver.sees("Connect this phone"))
        assert app.home.session() is None


async def test_news_are_told_until_they_are_read(tmp_path: Path) -> None:
    """Three at a time; the changed visit is marked until it was opened or its news put away."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await news(app)
        await driver.until(lambda: driver.sees("New time for Amara Okafor: 14:00"))
        assert driver.sees("The visit to Wei Zhang is not yours any more")
        assert driver.sees("Changed")
        await step(app, driver, "7 Chapel Street")
        await driver.back()
        assert not driver.sees("Changed")
        await driver.tap("Close")
        assert app.desk.tidings() == []


class Shows:
    """A camera that shows this."""

    def __init__(self, picture: bytes | None) -> None:
        self._picture = picture

    async def take(self) -> bytes | None:
        await asyncio.sleep(0)
        return self._picture


class Slow(Shows):
    """A camera whose picture comes when it is `ready`."""

    def __init__(self, picture: bytes) -> None:
        super().__init__(picture)
        self.ready = asyncio.Event()

    async def take(self) -> bytes | None:
        await self.ready.wait()
        return await super().take()


class Stubborn:
    """Permissions that are refused until somebody goes to the settings."""

    def __init__(self) -> None:
        self.allowed = False
        self.asked: list[str] = []

    def location(self) -> bool:
        return self.allowed

    async def ask_location(self) -> bool:
        self.asked.append("location")
        return self.allowed

    async def ask_notices(self) -> None:
        self.asked.append("notices")

    def open_settings(self) -> None:
        self.asked.append("settings")
        self.allowed = True


async def test_the_position_is_asked_for_with_its_reason(tmp_path: Path) -> None:
    """First why, then the system's questions one after the other; refused, the settings, or a shift without."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        stubborn = Stubborn()
        app.system = System(permissions=stubborn)
        await step(app, driver, "Start shift")
        assert driver.sees("Customers see when you will be at their door.")
        await step(app, driver, "Go on", "Open settings")
        assert stubborn.asked == ["location", "notices", "settings"]
        assert kinds(app) == []
        await driver.back()
        await step(app, driver, "Start shift")
        assert kinds(app) == [TapKind.shift_start]
        stubborn.allowed = False
        await step(app, driver, "End shift", "Start shift", "Go on", "Start without a position")
        assert kinds(app)[1:] == [TapKind.shift_end, TapKind.shift_start]


async def test_what_is_being_typed_stays_when_news_come(tmp_path: Path) -> None:
    """The same field, with the keyboard at it."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "The Old Mill", "Write a note")
        await driver.type("For the office and the next visit", "half a sen")
        (entry,) = driver.of(TextInput)
        app.desk.tap(TapKind.note, "job-1", text="from the other process")
        app.refresh()
        await driver.until(lambda: driver.sees("from the other process"))
        assert driver.of(TextInput) == [entry]
        assert (entry.text, entry.focus) == ("half a sen", True)


async def test_a_note_that_was_not_kept_waits(tmp_path: Path) -> None:
    """Whoever goes back to look something up finds what they had begun; once it is kept it is gone."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.open(NotesScreen(app, "job-1"))
        await driver.type("For the office and the next visit", "half a sen")
        await driver.back()
        app.open(NotesScreen(app, "job-2"))
        await driver.frames(2)
        assert driver.of(TextInput)[0].text == ""
        await driver.back()
        app.open(NotesScreen(app, "job-1"))
        await driver.frames(2)
        assert driver.of(TextInput)[0].text == "half a sen"
        await driver.tap("Keep the note")
        await driver.back()
        app.open(NotesScreen(app, "job-1"))
        await driver.frames(2)
        assert driver.of(TextInput)[0].text == ""


async def test_a_link_asks_also_on_a_phone_that_is_somebody_s(tmp_path: Path) -> None:
    """A no leaves everything as it is."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.invite("https://other.example/#ABCD2345")
        await driver.until(lambda: driver.sees("Connect to other.example?"))
        await driver.back()
        assert isinstance(app.screen, TodayScreen)
        assert app.session is not None


async def test_screens_that_were_drawn_anew_are_forgotten(tmp_path: Path) -> None:
    """A shift of eight hours redraws thousands of times."""
    async with a_phone(tmp_path, PHONE) as (app, driver):

        async def redraw(times: int) -> int:
            for _ in range(times):
                app.screen.forget()
                app.refresh()
                await driver.frames(1)
            await driver.frames(3)
            gc.collect()
            return sum(type(thing) is Text for thing in gc.get_objects())

        before = await redraw(3)
        assert await redraw(10) <= before


async def twice(x: float, y: float, frames: int, driver: Driver) -> None:
    """Two touches of a trembling finger, as Kivy's own eye for double taps marks the second."""
    for second in (False, True):
        touch = Touch(x, y)
        touch.is_double_tap = second
        touch.down()
        touch.up()
        await driver.frames(frames)


async def test_the_second_of_two_touches_reaches_nothing_new(tmp_path: Path) -> None:
    """Neither a choice of the question that the first has opened, nor the question again, nor what lies below it."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        await step(app, driver, "Start shift", "The Old Mill")
        await driver.frames(2)
        late = driver.find("I am running late")
        await driver.scroll_to(late)
        await twice(*middle(late), 4, driver)
        assert driver.sees("How late will you be?")
        assert kinds(app) == [TapKind.shift_start]
        await twice(*middle(driver.find("60 min")), 0, driver)
        await driver.frames(2)
        assert kinds(app) == [TapKind.shift_start, TapKind.late]
        assert isinstance(app.screen, JobScreen)
        assert not driver.sees("How late will you be?")


async def test_a_photo_that_comes_after_done_is_sent_too(tmp_path: Path) -> None:
    """It was still being made small when the visit was ended."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.desk.tap(TapKind.shift_start)
        app.desk.tap(TapKind.start, "job-1")
        camera = Slow(a_photo())
        app.system = System(camera=camera)
        app.open(ProofScreen(app, "job-1"))
        await driver.tap("Take a photo")
        app.back()
        app.flow.tap(TapKind.no_access, "job-1", reason="other")
        assert app.desk.facts().files == 0
        camera.ready.set()
        await driver.until(lambda: app.desk.facts().files == 1, "the photo in the queue")


async def test_a_refusal_keeps_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why a visit could not be done is not typed twice."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.open(ReasonScreen(app, "job-1", Reason.unsafe))
        await driver.type("In your words (optional)", "the stairs are rotten")

        def full(*_: object, **__: object) -> None:
            raise NoRoom(NoRoom.__doc__)

        with monkeypatch.context() as context:
            context.setattr(app.desk, "tap", full)
            await step(app, driver, "In your words (optional)")
            await driver.tap(driver.find("Cannot be done", 1))
        await driver.until(lambda: driver.sees("This phone is full"))
        (entry,) = driver.of(TextInput)
        assert entry.text == "the stairs are rotten"


async def test_a_visit_that_is_taken_away_says_so_wherever_one_is(tmp_path: Path) -> None:
    """While its notes, its signature, its reason or its map is open, and nothing can be kept on it any more."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        screens = [
            NotesScreen(app, "job-1"),
            SignatureScreen(app, "job-1"),
            ReasonScreen(app, "job-1", Reason.unsafe),
            MapScreen(app, "job-1"),
            ProofScreen(app, "job-1"),
            JobScreen(app, "job-1"),
        ]
        others = [job for job in app.desk.jobs if job.id != "job-1"]
        Day(app.desk.outbox, app.clock).fetched(write_jobs(others), [])
        app.desk._day.reload()
        for screen in screens:
            app.open(screen)
            await driver.frames(2)
            assert driver.sees("This visit is not yours any more."), screen
            assert {button.text for button in screen.actions.children} <= {"Back"}, screen
            await driver.tap("Back")


async def test_a_link_may_be_tried_again_when_there_was_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is not used up then; and a phone that holds something says who will get it."""
    async with a_phone(tmp_path, PHONE) as (app, driver):

        async def away(_: object) -> None:
            raise Refused(Why.away, "no answer")

        monkeypatch.setattr(app, "pair", away)
        app.desk.tap(TapKind.shift_start)
        app.invite("https://other.example/#ABCD2345")
        await driver.until(lambda: driver.sees("Aino Virtanen"))
        await driver.tap("Yes, connect")
        await driver.until(lambda: driver.sees("There is no answer."))
        assert driver.sees("Yes, connect")


async def test_the_map_says_why_one_is_not_on_it(tmp_path: Path) -> None:
    """A GPS that finds nothing, while one is on shift."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        app.open(MapScreen(app, "job-1"))
        app.desk.outbox.remember({"status": replace(good_status(), seen=None, gps_trouble="no fix").to_json()})
        app.refresh()
        await driver.frames(2)
        assert not driver.sees("does not find its position")
        app.desk.tap(TapKind.shift_start)
        app.refresh()
        await driver.frames(2)
        assert driver.sees("does not find its position")


async def test_of_a_long_day_only_what_changed_is_drawn_anew(tmp_path: Path) -> None:
    """A tap on one of sixty visits does not make the cards of the others again, until their language changes."""
    async with a_phone(tmp_path, PHONE) as (app, driver):
        long_day = [replace(first(app), id=f"job-{n}", stop_number=n, address=f"{n} High Street") for n in range(1, 61)]
        Day(app.desk.outbox, app.clock).fetched(write_jobs(long_day), [])
        app.desk._day.reload()
        app.refresh()
        before = set(driver.of("TouchCard"))
        app.desk.tap(TapKind.shift_start)
        app.desk.tap(TapKind.en_route, "job-2")
        app.refresh()
        await driver.frames(2)
        after = set(driver.of("TouchCard"))
        assert len(after) == 60
        assert len(after - before) == 2, "the one that is next now, and the one that was"
        app.choose(language="th")
        assert not set(driver.of("TouchCard")) & after


async def test_back_from_the_question_leads_to_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not out of the app; and nowhere while the code is being used, which cannot be taken back."""
    left = []
    async with a_phone(tmp_path, PHONE, paired=False) as (app, driver):
        app.system = System(leave=lambda: left.append(True))
        used = asyncio.Event()

        async def pairing(_: object) -> None:
            await used.wait()

        monkeypatch.setattr(app, "pair", pairing)
        await driver.type("Address of your office's Doorstep", "https://doorstep.example")
        await driver.type("Code", "ABCD2345")
        await step(app, driver, "Go on")
        assert driver.sees("Connect to doorstep.example?")
        await driver.back()
        assert driver.sees("Connect this phone")
        assert [entry.text for entry in driver.of(TextInput)] == ["https://doorstep.example", "ABCD2345"]
        await step(app, driver, "Go on", "Yes, connect")
        await driver.back()
        assert driver.sees("Connecting")
        assert left == []
        used.set()


async def test_what_is_said_stands_on_the_actions(tmp_path: Path) -> None:
    """Also when they grow by what is missing, and on the screen one goes back to."""
    async with a_phone(tmp_path, PHONE) as (app, driver):

        def apart() -> float:
            (bar,) = driver.of("Snackbar")
            return float(bar.y - app.screen.actions.top)

        app.desk.tap(TapKind.shift_start)
        app.open(JobScreen(app, "job-1"))
        await driver.frames(3)
        app.flow.tap(TapKind.start, "job-1")
        await driver.until(lambda: driver.sees("has begun"))
        await driver.frames(4)
        assert driver.sees("Still missing")
        assert 0 <= apart() < 20
        app.back()
        await driver.frames(4)
        assert 0 <= apart() < 20
