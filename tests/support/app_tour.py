"""A phone with a day of visits on it, and a walk past every screen: for pictures, and for tests of the layout."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.window import Driver, Look, opened  # before any Kivy

# isort: split
from PIL import Image, ImageDraw

from tech_app.core.atlas import Atlas
from tech_app.core.day import Day
from tech_app.core.gps.base import NoSource
from tech_app.core.home import Home
from tech_app.core.jobs import Job, Note, Proof, Reason, Rule, State, write_jobs
from tech_app.core.preferences import Look as Shade
from tech_app.core.preferences import Preferences, save_preferences
from tech_app.core.session import Session
from tech_app.core.status import Connection, Seen, Status
from tech_app.core.tap import TapKind
from tech_app.core.uplink import Skew
from tech_app.ui.app import DoorstepApp
from tech_app.ui.flow import ACCEPTED
from tech_app.ui.screens.diagnostics import DiagnosticsScreen
from tech_app.ui.screens.job import JobScreen
from tech_app.ui.screens.location import LocationScreen
from tech_app.ui.screens.map import MapScreen
from tech_app.ui.screens.notes import NotesScreen
from tech_app.ui.screens.pair import PairScreen
from tech_app.ui.screens.privacy import PrivacyScreen
from tech_app.ui.screens.proof import ProofScreen
from tech_app.ui.screens.reason import ReasonScreen
from tech_app.ui.screens.signature import SignatureScreen
from tech_app.ui.screens.today import TodayScreen
from tech_app.ui.system import System
from tech_app.ui.views.diagnostics import Device
from tests.support.phone_clock import SetPhoneClock
from tracking_server import region
from tracking_server.routing.valhalla import encode_shape

TEN_S = 20_480 * 86_400.0 + 10 * 3600  # a Tuesday in January, UTC
TODAY, TOMORROW = "2026-01-27", "2026-01-28"
HOUR_S = 3600.0
# Along the streets to the second visit, longitudes first.
ALONG = [
    (24.9425, 60.1682),
    (24.9428, 60.1688),
    (24.9455, 60.1689),
    (24.9454, 60.1698),
    (24.9475, 60.1698),
    (24.9475, 60.1706),
]
WAY = {"shape": encode_shape(ALONG), "duration_s": 300, "length_m": 1_900}


@dataclass(frozen=True)
class Town:
    """Who lives where, in one of the app's languages: what a technician there really reads."""

    technician: str
    firm: str
    visits: tuple[tuple[str, str, str], ...]  # customer, address, what is to be done
    access: str
    customer_note: str
    office_note: str
    own_note: str


TOWNS = {
    "en": Town(
        "Aino Virtanen",
        "Ribeira Plumbing",
        (
            ("Maria Lopes", "12 Station Road, Flat 4B", "Kitchen tap leaks, second visit"),
            ("Jonathan Featherstonehaugh", "The Old Mill, 3 Lower Riverside Walk", "Yearly boiler service"),
            ("Amara Okafor", "7 Chapel Street", "No hot water since Sunday"),
            ("Wei Zhang", "88 Harbour Lane", "Fit a new bathroom fan"),
            ("Sofia Rossi", "5 Hill View", "Radiator in the hall stays cold"),
        ),
        "Gate code 2580. Ring twice: the bell is quiet. The dog is friendly.",
        "Please use the side entrance, the front door sticks.",
        "Part arrives at 11, collect it at the counter.",
        "Main valve is behind the fridge.",
    ),
    "th": Town(
        "สมชาย ใจดี",
        "ช่างประปาริมน้ำ",
        (
            ("คุณมาลี ศรีสุข", "12/4 ซอยสุขุมวิท 31 แขวงคลองตันเหนือ เขตวัฒนา", "ก๊อกน้ำในครัวรั่ว มาครั้งที่สอง"),
            ("คุณณัฐพงศ์ เกียรติไพบูลย์", "โรงสีเก่า 3 ถนนเจริญกรุง เขตบางรัก", "ตรวจเครื่องทำน้ำอุ่นประจำปี"),
            ("คุณปิ่น วงศ์ใหญ่", "7 ถนนพระอาทิตย์", "น้ำอุ่นไม่ไหลตั้งแต่วันอาทิตย์"),
            ("คุณเว่ย จาง", "88 ถนนเลียบท่าเรือ", "ติดตั้งพัดลมดูดอากาศในห้องน้ำ"),
            ("คุณดารุณี บุญช่วย", "5 หมู่บ้านเนินเขา", "ปั๊มน้ำเสียงดังและแรงดันต่ำ"),
        ),
        "รหัสประตู 2580 กดกริ่งสองครั้งเพราะเสียงเบา สุนัขเป็นมิตร",
        "กรุณาเข้าทางประตูด้านข้าง ประตูหน้าฝืด",
        "อะไหล่มาถึง 11 โมง รับได้ที่เคาน์เตอร์",
        "วาล์วหลักอยู่หลังตู้เย็น",
    ),
    "ar": Town(
        "سليم الحداد",
        "سباكة النهر",
        (
            ("مريم القاسم", "شارع المحطة 12، شقة 4ب", "صنبور المطبخ يسرّب، زيارة ثانية"),
            ("عبد الرحمن أبو الخير", "المطحنة القديمة، ممر النهر السفلي 3", "الصيانة السنوية للسخان"),
            ("أمينة يوسف", "شارع الكنيسة 7", "لا ماء ساخن منذ يوم الأحد"),
            ("وي تشانغ", "زقاق الميناء 88", "تركيب مروحة جديدة في الحمام"),
            ("ليلى منصور", "شارع التل 5", "مدفأة المدخل لا تسخن"),
        ),
        "رمز البوابة 2580. يُرجى الضغط على الجرس مرتين فصوته خافت. الكلب ودود.",
        "يُرجى الدخول من الباب الجانبي، فالباب الأمامي عالق.",
        "تصل القطعة الساعة 11 ويمكن استلامها من المكتب.",
        "الصمام الرئيسي خلف الثلاجة.",
    ),
}


class StillApp(DoorstepApp):
    """Nothing runs: what the screens say is what the test wrote."""

    def run_phone(self) -> None:
        return None


def visits(town: Town) -> tuple[Job, ...]:
    """A day: one finished, one next, two after it, one tomorrow."""
    proof = ((Proof.photo, Rule.required), (Proof.signature, Rule.required), (Proof.note, Rule.optional))
    notes = (
        Note("customer", town.customer_note, TEN_S - 2 * HOUR_S),
        Note("dispatcher", town.office_note, TEN_S - HOUR_S),
    )
    states = (State.completed, State.assigned, State.assigned, State.assigned, State.assigned)
    jobs = []
    for n, ((customer, address, summary), state) in enumerate(zip(town.visits, states, strict=True)):
        begins_s = TEN_S + (n - 1) * 1.5 * HOUR_S
        job = Job(
            f"job-{n}",
            state,
            1,
            60.1687 + n * 0.002,
            24.9462 + n * 0.001,
            TODAY if n < 4 else TOMORROW,
            summary,
            address,
            customer,
            "+358 40 1234567",
            stop_number=n + 1 if n < 4 else 1,
            promised=(begins_s, begins_s + HOUR_S),
            previous_state=State.in_progress if state is State.completed else None,
            proof=proof,
        )
        jobs.append(replace(job, access=town.access, notes=notes) if n == 1 else job)
    return tuple(jobs)


@asynccontextmanager
async def a_phone(folder: Path, look: Look, *, paired: bool = True) -> AsyncIterator[tuple[DoorstepApp, Driver]]:
    """The app with such a day, as `look` wants it. Everything but the first screen is the caller's to open."""
    town = TOWNS[look.language]
    clock = SetPhoneClock(TEN_S + 60, 5_000.0)
    home = Home(folder, clock, lambda _: NoSource(""))
    shade = Shade.dark if look.dark else Shade.light
    save_preferences(folder / "preferences.json", Preferences(look.language, shade))
    if paired:
        home.pair(Session("https://doorstep.example", "device", "t", "key", town.technician, town.firm))
        desk = home.desk()
        day = Day(desk.outbox, clock)
        day.fetched(write_jobs(visits(town)), [])
        desk.remember(ACCEPTED, "1")
        desk.outbox.remember({"status": good_status().to_json()})
        desk.close()
    device = Device("0.1.0", location_allowed=True, notices_allowed=False, battery_saved=True)
    app = StillApp(home, system=System(camera=WallCamera(), device=lambda: device))
    async with opened(app, look) as driver:
        yield app, driver


def good_status() -> Status:
    return Status(
        connection=Connection.websocket,
        acknowledged_s=4_990.0,
        jobs_s=4_930.0,
        skew=Skew(0.4, 0.1),
        seen=Seen(4_996.0, 60.1682, 24.9425, 8.0),
    )


class WallCamera:
    """Always the same wall."""

    async def take(self) -> bytes | None:
        return a_photo()


def a_photo() -> bytes:
    """A tap on a tiled wall."""
    picture = Image.new("RGB", (800, 600), "#b9c7cf")
    draw = ImageDraw.Draw(picture)
    for x in range(0, 800, 100):
        draw.line((x, 0, x, 600), fill="#9fb0ba", width=4)
    for y in range(0, 600, 100):
        draw.line((0, y, 800, y), fill="#9fb0ba", width=4)
    draw.rounded_rectangle((340, 120, 460, 420), 30, fill="#6a7680")
    draw.rounded_rectangle((340, 120, 640, 200), 30, fill="#6a7680")
    draw.rectangle((300, 420, 500, 470), fill="#4b565f")
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=85)
    return written.getvalue()


async def tour(folder: Path, look: Look) -> AsyncIterator[tuple[str, Driver]]:
    """Every screen in turn, by name."""
    async with a_phone(folder / "new", look, paired=False) as (app, driver):
        async for name in _pairing(app):
            await driver.frames(4)
            yield name, driver
    async with a_phone(folder / "paired", look) as (app, driver):
        async for name in _day(app, driver):
            await driver.frames(4)
            yield name, driver


async def _pairing(app: DoorstepApp) -> AsyncIterator[str]:
    yield "pair"
    screen = app.screen
    assert isinstance(screen, PairScreen)
    screen._read("https://doorstep.example", "ABC")
    app.refresh()
    yield "pair-refused"
    screen._read("http://192.168.1.7:8020/#ABCD2345")
    app.refresh()
    yield "pair-question"


async def _day(app: DoorstepApp, driver: Driver) -> AsyncIterator[str]:
    today, flow, desk = app.screen, app.flow, app.desk
    assert isinstance(today, TodayScreen)
    yield "today-off-shift"
    app.open(PrivacyScreen(app, lambda: None))
    yield "privacy"
    app.back()
    location = LocationScreen(app, lambda: None)
    app.open(location)
    yield "location"
    location._refused = True
    app.refresh()
    yield "location-refused"
    app.back()
    _tap(app, TapKind.shift_start)
    yield "today"
    flow.do(TapKind.break_start)
    yield "break-reasons"
    app.close_sheet()
    flow.do(TapKind.en_route, "job-2")
    yield "out-of-order"
    app.close_sheet()
    job = JobScreen(app, "job-1")
    app.open(job)
    yield "job"
    flow.do(TapKind.late, "job-1")
    yield "late"
    app.close_sheet()
    flow.tap(TapKind.en_route, "job-1")
    yield "job-en-route"
    app.open(MapScreen(app, "job-1"))
    yield "map-none"
    app.back()
    if region.BASEMAP.exists():
        lay_map(app.home.data / "with-map")
        without, app._atlas = app._atlas, Atlas(app.home.data / "with-map", app.home.session(), app.clock)
        screen = MapScreen(app, "job-1")
        app.open(screen)
        await driver.until(lambda: screen.map.route is not None, "the way")
        screen.map.show_all()
        await driver.frames(4)
        await driver.until(lambda: screen.map.shelf is not None and not screen.map.shelf.busy, "the tiles")
        yield "map"
        app.clock.pass_time(5 * 60)
        app.refresh()
        yield "map-old-position"
        app.clock.pass_time(-5 * 60)
        app.back()
        app._atlas = without
    _tap(app, TapKind.arrived, "job-1")
    _tap(app, TapKind.not_home, "job-1")
    app.clock.pass_time(12 * 60)
    app.refresh()
    yield "job-not-home"
    flow.do(TapKind.no_access, "job-1")
    yield "reasons"
    app.close_sheet()
    app.open(ReasonScreen(app, "job-1", Reason.nobody_home))
    yield "reason"
    app.back()
    app.open(NotesScreen(app, "job-1"))
    flow.tap(TapKind.note, "job-1", text=TOWNS[app.preferences.language or "en"].own_note)
    yield "notes"
    app.back()
    _tap(app, TapKind.start, "job-1")
    yield "job-working"
    signature = SignatureScreen(app, "job-1")
    app.open(signature)
    await driver.frames(4)
    x, y, right, top = signature.pad.x, signature.pad.y, signature.pad.right, signature.pad.top
    points = [(0.2, 0.4), (0.3, 0.8), (0.4, 0.3), (0.5, 0.7), (0.6, 0.35), (0.8, 0.5)]
    await driver.drag([signature.pad.to_window(x + a * (right - x), y + b * (top - y)) for a, b in points])
    yield "signature"
    signature._keep()
    proof = ProofScreen(app, "job-1")
    app.open(proof)
    yield "proof-missing"
    await proof._take_one()
    yield "proof"
    flow.do(TapKind.done, "job-1")
    app.back()
    yield "job-done"
    app.back()
    await news(app)
    yield "today-offline"
    app.open(DiagnosticsScreen(app))
    yield "diagnostics"
    app.screen.scroll.scroll_y = 0
    yield "settings"
    app.back()
    desk.outbox.remember({"status": replace(good_status(), paired=False).to_json()})
    app.refresh()
    yield "today-removed"


def lay_map(folder: Path) -> None:
    """The demo's region and the way to the second visit, as a phone keeps them."""
    for part in ("map", "ways"):
        (folder / part).mkdir(parents=True)
    (folder / "map" / "region.pmtiles").symlink_to(region.BASEMAP)
    (folder / "ways" / "job-1.json").write_text(json.dumps({**WAY, "asked_s": TEN_S}))


async def news(app: DoorstepApp) -> None:
    """The office changed things, and the connection is gone."""
    jobs = list(app.desk.jobs)
    jobs[2] = replace(jobs[2], promised=(TEN_S + 4 * HOUR_S, TEN_S + 5 * HOUR_S))
    gone = jobs.pop(3)
    day = Day(app.desk.outbox, app.clock)
    day.fetched(write_jobs([job for job in jobs if job.id != gone.id]), app.desk.outbox.pending_taps())
    away = replace(good_status(), connection=Connection.away, uplink_trouble="no connection: timed out")
    app.desk.outbox.remember({"status": away.to_json()})
    app.desk._day.reload()
    app.refresh()
    await asyncio.sleep(0)


def _tap(app: DoorstepApp, kind: TapKind, job_id: str | None = None) -> None:
    """Without a word about it."""
    app.desk.tap(kind, job_id)
    app.refresh()
