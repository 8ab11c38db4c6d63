"""Every table as queries name it. The migrations make them; a test holds the two against each other."""

from __future__ import annotations

from geoalchemy2 import Geometry
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL

metadata = MetaData()


def _point(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, Geometry("POINT", srid=4326, spatial_index=False), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _organisation() -> Column[object]:
    return Column("organisation_id", Uuid, primary_key=True)


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"))


organisation = Table(
    "organisation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("office_phone", Text),
    Column("colour", Text),
    Column("logo_id", Uuid),
    Column("last_job_number", Integer, nullable=False, server_default=text("1000")),
    _json("settings"),
    Column("sms_from", Text),
    _time("created_at", nullable=False),
)

picture = Table(
    "picture",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    _time("created_at", nullable=False),
)

technician = Table(
    "technician",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("phone", Text),
    Column("vehicle", Text),
    Column("plate", Text),
    Column("trade", Text),
    Column("photo_id", Uuid),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    _json("checkpoint"),
    _point("position"),
    _time("position_time"),
    Column("position_accuracy_m", REAL),
    Column("position_speed_mps", REAL),
    Column("position_course_deg", REAL),
    Column("battery_pct", REAL),
    _time("created_at", nullable=False),
)

device = Table(
    "device",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("technician_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    _time("paired_at", nullable=False),
    _time("revoked_at"),
)

pairing_code = Table(
    "pairing_code",
    metadata,
    _organisation(),
    Column("code_hash", LargeBinary, primary_key=True),
    Column("technician_id", Uuid, nullable=False),
    _time("expires_at", nullable=False),
    _time("used_at"),
)

shift = Table(
    "shift",
    metadata,
    _organisation(),
    Column("technician_id", Uuid, primary_key=True),
    Column("started_at", DateTime(timezone=True), primary_key=True),
    _time("ended_at"),
    Column("breaks", JSONB, nullable=False, server_default=text("'[]'")),
)

customer = Table(
    "customer",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    _time("created_at", nullable=False),
)

contact = Table(
    "contact",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("language", Text, nullable=False),
    Column("messages_allowed", Boolean, nullable=False, server_default=text("true")),
    Column("email_allowed", Boolean, nullable=False, server_default=text("true")),
    Column("sms_allowed", Boolean, nullable=False, server_default=text("true")),
)

job = Table(
    "job",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("technician_id", Uuid),
    Column("stop_number", Integer),
    Column("number", Integer),
    Column("state", Text, nullable=False),
    Column("previous_state", Text),
    Column("title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("duration_s", Integer, nullable=False),
    Column("preparation", Text),
    Column("summary", Text),
    Column("invoice_url", Text),
    Column("delay_reason", Text),
    Column("ended_by", Text),
    Column("ended_reason", Text),
    Column("visit", Integer, nullable=False, server_default=text("1")),
    Column("assignment", Integer, nullable=False, server_default=text("0")),
    Column("promise", Integer, nullable=False, server_default=text("0")),
    Column("late_promise", Integer, nullable=False, server_default=text("0")),
    _time("assigned_at"),
    _time("en_route_at"),
    _time("arriving_at"),
    _time("arrived_at"),
    _time("started_at"),
    _time("ended_at"),
    _time("eta_earliest"),
    _time("eta_likely"),
    _time("eta_latest"),
    Column("eta_confidence", REAL),
    _time("eta_made_at"),
    _time("due_at"),
    _time("remind_at"),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    _time("created_at", nullable=False),
    _json("proof"),
    Column("late_min", Integer),
    _time("not_home_at"),
)

geofence = Table(
    "geofence",
    metadata,
    _organisation(),
    Column("job_id", Uuid, primary_key=True),
    _point("centre", nullable=False),
    Column("radius_m", REAL, nullable=False),
    Column("boundary", Geometry("POLYGON", srid=4326, spatial_index=False)),
    _point("entrance"),
)

promise = Table(
    "promise",
    metadata,
    _organisation(),
    Column("job_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    _time("earliest", nullable=False),
    _time("latest", nullable=False),
    _time("made_at", nullable=False),
)

event = Table(
    "event",
    metadata,
    _organisation(),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    _time("at", nullable=False),
    _time("recorded_at", nullable=False),
    _json("evidence"),
)

audit = Table(
    "audit",
    metadata,
    _organisation(),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("at", nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("job_id", Uuid),
    Column("technician_id", Uuid),
    Column("from_state", Text),
    Column("to_state", Text),
    _json("evidence"),
)

link = Table(
    "link",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("revoked_at"),
)

note = Table(
    "note",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("contact_id", Uuid),
    Column("technician_id", Uuid),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    _json("wish"),
    _time("made_at", nullable=False),
    _time("handled_at"),
    Column("handled_by", Text),
    _time("reached_at"),
    Column("reached_by", Uuid),
)

rating = Table(
    "rating",
    metadata,
    _organisation(),
    Column("job_id", Uuid, primary_key=True),
    Column("contact_id", Uuid, primary_key=True),
    Column("stars", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    _time("made_at", nullable=False),
)

message = Table(
    "message",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("contact_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("occasion", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'owed'")),
    Column("reason", Text),
    _json("about"),
    _time("owed_at", nullable=False),
    _time("expires_at"),
    _time("settled_at"),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    _time("tried_at"),
    Column("waits_for", Text),
    Column("draft", JSONB),
    Column("resends", Integer, nullable=False, server_default=text("0")),
    Column("receipt", Text),
    _time("receipt_at"),
    _time("handled_at"),
    Column("handled_by", Text),
)

opt_out = Table(
    "opt_out",
    metadata,
    _organisation(),
    Column("recipient", Text, primary_key=True),
    Column("said_by", Text, nullable=False),
    _time("at", nullable=False),
)

webhook = Table(
    "webhook",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    _time("created_at", nullable=False),
    _time("disabled_at"),
    Column("disabled_reason", Text),
)

callback = Table(
    "callback",
    metadata,
    _organisation(),
    Column("id", Text, primary_key=True),
    _time("received_at", nullable=False),
)

tap = Table(
    "tap",
    metadata,
    _organisation(),
    Column("device_id", Uuid, primary_key=True),
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("technician_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("job_id", Uuid),
    _time("at", nullable=False),
    _time("received_at", nullable=False),
    Column("verdict", Text),
    Column("reason", Text),
    Column("text", Text),
    Column("minutes", Integer),
)

attachment = Table(
    "attachment",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("technician_id", Uuid, nullable=False),
    Column("job_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _time("made_at", nullable=False),
    _time("received_at", nullable=False),
    Column("verdict", Text),
)

fix = Table(
    "fix",
    metadata,
    Column("organisation_id", Uuid, nullable=False),
    Column("device_id", Uuid, primary_key=True),
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time("fix_time", nullable=False),
    _time("received_at", nullable=False),
    Column("skew_s", Double, nullable=False),
    _point("geom", nullable=False),
    Column("accuracy_m", REAL),
    Column("speed_mps", REAL),
    Column("course_deg", REAL),
    Column("altitude_m", REAL),
    Column("battery_pct", REAL),
    Column("mock", Boolean, nullable=False),
    Column("verdict", Text),
)

quarantine = Table(
    "quarantine",
    metadata,
    _organisation(),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("stream", BigInteger),
    Column("seq", BigInteger),
    Column("digest", LargeBinary, nullable=False),
    _time("received_at", nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

staff = Table(
    "staff",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    _time("created_at", nullable=False),
    _time("disabled_at"),
)

session = Table(
    "session",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("staff_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    _time("begun_at", nullable=False),
    _time("seen_at", nullable=False),
    _time("ended_at"),
)

invite = Table(
    "invite",
    metadata,
    _organisation(),
    Column("id", Uuid, primary_key=True),
    Column("made_by", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    _time("made_at", nullable=False),
    _time("expires_at", nullable=False),
    _time("used_at"),
)

setup_token = Table(
    "setup_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("organisation_id", Uuid),
    _time("made_at", nullable=False),
    _time("expires_at", nullable=False),
    _time("used_at"),
)
