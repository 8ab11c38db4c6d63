"""One visit in each state and under each overlay of the customer's page, in a firm of its own language."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from geoalchemy2.shape import from_shape
from PIL import Image, ImageDraw
from shapely import Point
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.support.firm import HOME, noon_zone
from tracking_server import links
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.store import jobs as job_store
from tracking_server.store import people
from tracking_server.store.engine import begin, to_time, transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.pictures import Picture, insert_picture
from tracking_server.store.schema import job, organisation, shift, technician

MINUTE_S = 60.0
SAYS: dict[str, dict[str, Any]] = {
    "en": {
        "firm": "Ribeira Home Services",
        "people": ("Ana Sousa", "Rui Costa"),
        "trade": "Gas engineer",
        "vehicle": "white van",
        "plate": "12-AB-34",
        "title": "Boiler service",
        "preparation": "Please clear a metre around the boiler.\nKeep pets in another room.",
        "reason": "The visit before yours takes longer than planned.",
        "summary": "Boiler cleaned, pressure valve replaced. All readings are good.",
        "cancelled": "A spare part did not arrive in time.",
        "no_access": "Nobody answered the bell, and we waited ten minutes.",
        "note": "The bell does not work, please knock.",
    },
    "th": {
        "firm": "เอซีเอ็มอี เซอร์วิส",
        "people": ("สมชาย ใจดี", "วิภา สุขใจ"),
        "trade": "ช่างแก๊ส",
        "vehicle": "รถตู้สีขาว",
        "plate": "1กข 4821",
        "title": "ซ่อมเครื่องทำน้ำอุ่น",
        "preparation": "โปรดเว้นที่ว่างรอบเครื่องหนึ่งเมตร\nโปรดให้สัตว์เลี้ยงอยู่อีกห้อง",
        "reason": "งานก่อนหน้านี้ใช้เวลานานกว่าที่คาดไว้",
        "summary": "ทำความสะอาดเครื่องและเปลี่ยนวาล์วแล้ว",
        "cancelled": "อะไหล่มาไม่ทันเวลา",
        "no_access": "ไม่มีผู้เปิดประตู เรารอสิบนาที",
        "note": "กริ่งเสีย โปรดเคาะประตู",
    },
    "ar": {
        "firm": "خدمات النور المنزلية",
        "people": ("سامي حداد", "ليلى منصور"),
        "trade": "فني غاز",
        "vehicle": "شاحنة بيضاء",
        "plate": "أ ب 4821",
        "title": "صيانة السخّان",
        "preparation": "يرجى إخلاء متر واحد حول السخّان.\nيرجى إبقاء الحيوانات في غرفة أخرى.",
        "reason": "الزيارة السابقة تستغرق وقتًا أطول من المتوقع.",
        "summary": "تم تنظيف السخّان واستبدال صمام الضغط.",
        "cancelled": "لم تصل قطعة الغيار في الوقت المحدد.",
        "no_access": "لم يفتح أحد الباب، وانتظرنا عشر دقائق.",
        "note": "الجرس لا يعمل، يرجى الطرق على الباب.",
    },
}
DRIVING = {"state": "en_route", "en_route_at": -10, "eta": (14, 18, 29)}
# What each scene's job row says: times in minutes from now, and which of the people comes.
SCENES: dict[str, dict[str, Any]] = {
    "scheduled": {"promised": (26 * 60, 28 * 60)},
    "today": {"shift": True, "stops_before": 2},
    "en_route": {**DRIVING, "shift": True, "fix_age_s": 4, "note": True},
    "arriving": {**DRIVING, "shift": True, "fix_age_s": 3, "arriving_at": -1, "eta": (1, 2, 4)},
    "arrived": {"state": "arrived", "shift": True, "arrived_at": -3},
    "in_progress": {"state": "in_progress", "shift": True, "arrived_at": -25, "started_at": -20},
    "completed": {"state": "completed", "arrived_at": -95, "started_at": -90, "ended_at": -12, "words": ("summary",)},
    "cancelled": {"state": "cancelled", "ended_at": -60, "ended_by": "firm", "words": ("cancelled",)},
    "no_access": {"state": "no_access", "arrived_at": -40, "ended_at": -28, "words": ("no_access",)},
    "delayed": {**DRIVING, "shift": True, "fix_age_s": 9, "eta": (55, 66, 80), "late": (45, 95), "words": ("reason",)},
    "delayed_unknown": {"shift": True, "late": None},
    "reassigned": {**DRIVING, "shift": True, "fix_age_s": 12, "assignment": 2, "comes": 1},
    "stale": {**DRIVING, "shift": True, "fix_age_s": 125},
    "paused": {**DRIVING, "shift": True},
}
COLUMNS = {"reason": "delay_reason", "summary": "summary", "cancelled": "ended_reason", "no_access": "ended_reason"}


@dataclass(frozen=True)
class Showcase:
    """A firm and the token of each scene's link."""

    organisation_id: UUID
    tokens: dict[str, str]
    jobs: dict[str, UUID]


async def stage(
    engine: AsyncEngine, language: str, now_s: float, place: tuple[float, float] = HOME, colour: str = "#0b5cad"
) -> Showcase:
    """Make the firm. `place` is where the doors are; technicians drive a kilometre north of it."""
    says = SAYS[language]
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection,
            name=says["firm"],
            time_zone=noon_zone(now_s),
            language=language,
            office_phone="+351220000000",
            now_s=now_s,
        )
        await connection.execute(organisation.update().values(colour=colour))
    tokens, jobs = {}, {}
    for name, scene in SCENES.items():
        async with transaction(engine, organisation_id) as connection:
            jobs[name], tokens[name] = await _stage(connection, organisation_id, says, scene, now_s, place)
    return Showcase(organisation_id, tokens, jobs)


async def _stage(
    connection: AsyncConnection,
    organisation_id: UUID,
    says: dict[str, Any],
    scene: dict[str, Any],
    now_s: float,
    place: tuple[float, float],
) -> tuple[UUID, str]:
    def at(minutes: float) -> float:
        return now_s + minutes * MINUTE_S

    photo_id = await insert_picture(connection, organisation_id, Picture("image/png", portrait()), now_s)
    technician_id = await people.insert_technician(
        connection, organisation_id, name=says["people"][scene.get("comes", 0)], vehicle=says["vehicle"],
        plate=says["plate"], trade=says["trade"], photo_id=photo_id, now_s=now_s,
    )  # fmt: skip
    promised = scene.get("promised", (0, 60))
    ids = []
    for _ in range(scene.get("stops_before", 0) + 1):
        customer_id, contact_id = await people.insert_customer(
            connection, organisation_id, name="Maria Lopes", email=None, phone=None, language="en", now_s=now_s
        )
        new = NewJob(
            customer_id, says["title"], "Rua das Flores 1", noon_zone(now_s), Geofence(*place),
            (at(promised[0]), at(promised[1])), duration_s=5400, preparation=says["preparation"],
        )  # fmt: skip
        made = await create_job(connection, organisation_id, new, actor="showcase", now_s=now_s - 86_400)
        ids.append(made.id)
        await assign_job(
            connection, organisation_id, made.id, technician_id, actor="showcase", now_s=now_s - 20 * MINUTE_S
        )
    values: dict[str, Any] = {
        name: to_time(at(scene[name]))
        for name in ("en_route_at", "arriving_at", "arrived_at", "started_at", "ended_at")
        if name in scene
    }
    values |= {name: scene[name] for name in ("state", "assignment", "ended_by") if name in scene}
    values |= {COLUMNS[word]: says[word] for word in scene.get("words", ())}
    if "eta" in scene:
        earliest, likely, latest = (to_time(at(minutes)) for minutes in scene["eta"])
        values |= {"eta_earliest": earliest, "eta_likely": likely, "eta_latest": latest, "eta_confidence": 0.8}
    if "late" in scene:
        values |= {"late_promise": 1, "promise": 2 if scene["late"] else 1}
        if scene["late"]:
            window = (at(scene["late"][0]), at(scene["late"][1]))
            await job_store.insert_promise(connection, organisation_id, ids[-1], 2, window, now_s)
    if values:
        await connection.execute(job.update().where(job.c.id == ids[-1]).values(values))
    if scene.get("shift"):
        await connection.execute(
            shift.insert().values(
                organisation_id=organisation_id, technician_id=technician_id, started_at=to_time(at(-120))
            )
        )
    if "fix_age_s" in scene:
        await connection.execute(
            technician.update()
            .where(technician.c.id == technician_id)
            .values(
                position=from_shape(Point(place[0] + 0.004, place[1] + 0.006), srid=4326),
                position_time=to_time(now_s - scene["fix_age_s"]),
                position_accuracy_m=12.0,
                position_course_deg=215.0,
                version=sa.text("version + 1"),
            )
        )
    if scene.get("note"):
        note = Note(
            UUID(int=ids[-1].int ^ 1), ids[-1], NoteKind.note, Author.customer, contact_id, says["note"], at(-30)
        )
        await insert_note(connection, organisation_id, note)
    return ids[-1], await links.mint_link(connection, organisation_id, ids[-1], contact_id, now_s)


def portrait() -> bytes:
    """A face of circles."""
    image = Image.new("RGB", (144, 144), "#cfe0ea")
    draw = ImageDraw.Draw(image)
    draw.ellipse((14, 98, 130, 214), fill="#2f5d7c")
    draw.ellipse((38, 22, 106, 90), fill="#3b2a20")
    draw.ellipse((44, 34, 100, 104), fill="#d9a27e")
    draw.ellipse((58, 62, 65, 69), fill="#2b1d14")
    draw.ellipse((79, 62, 86, 69), fill="#2b1d14")
    draw.arc((60, 70, 84, 90), 20, 160, fill="#7d3f2c", width=3)
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()
