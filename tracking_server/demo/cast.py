"""Who is in the demo: a firm, its technicians and its customers. Nobody of them exists.

Phone numbers are from the range that Sweden keeps for films and books (070-174 06 05 to 99, and 08-465 004 00 to 99 for
Stockholm), e-mail addresses from the domains that RFC 2606 keeps for examples.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRM = "Dropleaf Home Services"
COLOUR = "#0f6f62"
OFFICE_PHONE = "+46846500440"
SMS_FROM = "+46701740690"
MAIL_FROM = "Dropleaf Home Services <visits@dropleaf.example>"
OWNER = ("Ingrid Berg", "owner@dropleaf.example")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the firm who drives; `portrait` is the number of the drawing."""

    name: str
    trade: str
    vehicle: str
    phone: str
    portrait: int


ELENA = Person("Elena Sousa", "Plumber", "green cargo bike", "+46701740605", 0)
DAVID = Person("David Okafor", "Electrician", "blue cargo bike", "+46701740606", 1)
HENRIK = Person("Henrik Lund", "Heating engineer", "red cargo bike", "+46701740607", 2)
PEOPLE = (ELENA, DAVID, HENRIK)
GUEST = Person("Maja Lind", "Plumber", "white van", "+46701740608", 3)  # whoever opens the app: ./doorstep phone


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who waits, and what for. They are told by SMS when they gave a number, else by e-mail."""

    name: str
    language: str
    title: str
    email: str | None = None
    phone: str | None = None
    preparation: str | None = None


# One for each state of the page, by the name of that state.
CUSTOMERS = {
    "completed": Customer(
        "Grace Whitfield", "en", "Dripping kitchen tap", "grace.whitfield@example.com",
    ),
    "en_route": Customer(
        "Oliver Bennett", "en", "New shower mixer", phone="+46701740611",
        preparation="Please clear the shelf in the shower.",
    ),
    "today": Customer("อนันต์ วงศ์ไทย", "th", "ก๊อกน้ำรั่วในห้องครัว", "anan.wongthai@example.com"),
    "reassigned": Customer("هدى منصور", "ar", "إصلاح مضخة المياه", phone="+46701740612"),
    "no_access": Customer("رنا حداد", "ar", "فحص لوحة الكهرباء", "rana.haddad@example.org"),
    "arriving": Customer("يوسف الخطيب", "ar", "تركيب مصابيح جديدة", "yousef.khatib@example.com"),
    "delayed": Customer("Sofia Marchetti", "en", "Socket that sparks", phone="+46701740613"),
    "in_progress": Customer("พิมพ์ชนก ศรีสุข", "th", "ตรวจเครื่องทำน้ำอุ่นประจำปี", phone="+46701740614"),
    "scheduled": Customer(
        "มาลี บุญมา", "th", "เปลี่ยนหม้อน้ำในห้องนอน", "malee.boonma@example.net",
        preparation="โปรดเว้นที่ว่างรอบหม้อน้ำหนึ่งเมตร\nโปรดให้สัตว์เลี้ยงอยู่อีกห้อง",
    ),
    "cancelled": Customer("Peter Nowak", "en", "Boiler check", "peter.nowak@example.com"),
}  # fmt: skip

SUMMARY = "New cartridge and seals fitted. The tap closes without a drip; we checked it under full pressure."
CANCELLED_BECAUSE = "A spare part did not arrive in time."
NOTES = {
    "en_route": "The bell does not work, please knock.",
    "today": "ที่จอดจักรยานอยู่ด้านหลังตึก",
    "delayed": "I have to leave at five, will you make it?",
}

# Those who call while the demo runs, again and again.
CALLERS = (
    Customer("Amelia Clarke", "en", "Blocked bathroom drain", "amelia.clarke@example.com"),
    Customer("ธนากร แสงทอง", "th", "โถสุขภัณฑ์น้ำไหลไม่หยุด", phone="+46701740621"),
    Customer("ليلى عبد الله", "ar", "تسرب تحت المغسلة", "layla.abdallah@example.org"),
    Customer("Noah Fischer", "en", "Radiator stays cold", phone="+46701740622"),
    Customer("กานดา รุ่งเรือง", "th", "ติดตั้งปลั๊กไฟใหม่", "kanda.rungrueang@example.net"),
    Customer("كريم سليمان", "ar", "صيانة السخّان", phone="+46701740623"),
    Customer("Maya Lindholm", "en", "Two lamps for the hall", "maya.lindholm@example.com"),
    Customer("วรวิทย์ ใจงาม", "th", "แรงดันน้ำต่ำ", phone="+46701740624"),
    Customer("نور الدين فارس", "ar", "تبديل قاطع كهربائي", "nour.fares@example.com"),
)
SUMMARIES = {
    "en": "Done and tried out together. Call us if anything is not as it should be.",
    "th": "งานเสร็จเรียบร้อยและทดสอบแล้ว หากมีปัญหาโปรดโทรหาเรา",
    "ar": "تم العمل وتجربته. اتصلوا بنا إذا احتجتم إلى أي شيء.",
}
