"""The owner's daily round: partitions ahead, retention behind, travel times learnt from what was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from tracking_server.store.attachments import Attachments
from tracking_server.store.corrections import learn_correction
from tracking_server.store.partitions import attach_partitions, partition_name, partition_names
from tracking_server.store.proofs import forget_files, known_files, old_files
from tracking_server.store.schema import fix, note, organisation, quarantine, tap

DROP_AFTER_DAYS = 60  # whatever an organisation's setting, no raw fix is older
PROOF_DAYS = 365  # as the evidence of arrivals
RETENTION_DAYS = 30  # an organisation's default
DETACH_WITHIN_MS = 2_000  # when busier than that, the next day will do


def maintain(owner_url: str, today: date | None = None, files: Attachments | None = None) -> Iterator[str]:
    """Attach, detach, delete and learn; yields a line for each thing done. `files` are the photos and signatures."""
    today = today or datetime.now(UTC).date()
    engine = sa.create_engine(owner_url, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            for name in attach_partitions(connection, today):
                yield f"attached {name}"
        for name in _outdated(engine, today):
            try:
                _drop(engine, name)
                yield f"dropped {name}"
            except OperationalError as error:
                yield f"{name} was not dropped, the next round tries again: {error.orig}"
        for organisation_id in _organisations(engine):
            with engine.begin() as connection:
                show = sa.text("SELECT set_config('app.organisation_id', :id, true)")
                connection.execute(show, {"id": str(organisation_id)})
                yield from _delete_old(connection, organisation_id, today)
                old = _delete_old_proofs(connection, organisation_id, today)
                correction = learn_correction(connection, organisation_id)
                if correction is not None:
                    yield f"{organisation_id}: learnt travel times from {correction.trips} trips"
                known = list(connection.scalars(known_files(organisation_id)))
            if files is not None:
                files.delete(organisation_id, old)
                stray = files.delete_orphans(organisation_id, known)
                if old or stray:
                    yield f"{organisation_id}: deleted {len(old)} old photos and signatures, {stray} stray files"
        with engine.connect() as connection:
            strays = connection.scalar(sa.text("SELECT pg_relation_size('fix_default') > 0"))
        if strays:
            yield "fix_default holds rows: phones with clocks wrong by days have sent them"
    finally:
        engine.dispose()


def _outdated(engine: sa.Engine, today: date) -> list[str]:
    oldest = partition_name(today - timedelta(days=DROP_AFTER_DAYS))
    with engine.connect() as connection:
        return sorted(name for name in partition_names(connection) if name != "fix_default" and name < oldest)


def _drop(engine: sa.Engine, name: str) -> None:
    """Locks the parent for a moment (decision 0005): phones wait that long, and no longer than the lock timeout."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{DETACH_WITHIN_MS}ms'"))
        connection.execute(sa.text(f"ALTER TABLE fix DETACH PARTITION {name}"))
        connection.execute(sa.text(f"DROP TABLE {name}"))


def _organisations(engine: sa.Engine) -> list[UUID]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.text("SELECT id FROM organisation ORDER BY id")))


def _delete_old(connection: sa.Connection, organisation_id: UUID, today: date) -> Iterator[str]:
    """Raw fixes past the organisation's retention, and what was quarantined as long ago."""
    setting = organisation.c.settings["fix_retention_days"].as_integer()
    days = connection.scalar(sa.select(setting).where(organisation.c.id == organisation_id)) or RETENTION_DAYS
    before = datetime.combine(today, datetime.min.time(), UTC) - timedelta(days=days)
    old_fix = (fix.c.organisation_id == organisation_id) & (fix.c.fix_time < before)
    old_rest = (quarantine.c.organisation_id == organisation_id) & (quarantine.c.received_at < before)
    fixes = connection.execute(fix.delete().where(old_fix))
    kept = connection.execute(quarantine.delete().where(old_rest))
    if fixes.rowcount or kept.rowcount:
        yield f"{organisation_id}: deleted {fixes.rowcount} fixes, {kept.rowcount} quarantined"


def _delete_old_proofs(connection: sa.Connection, organisation_id: UUID, today: date) -> list[UUID]:
    """Rows of photos and signatures, and technicians' notes, past the time in which somebody may ask for them, and
    taps whose phones have long been answered; returns whose files go too."""
    before = datetime.combine(today, datetime.min.time(), UTC) - timedelta(days=PROOF_DAYS)
    written = (note.c.organisation_id == organisation_id) & (note.c.author == "technician")
    tapped = (tap.c.organisation_id == organisation_id) & (tap.c.received_at < before)
    connection.execute(note.delete().where(written, note.c.made_at < before))
    connection.execute(tap.delete().where(tapped))
    old = list(connection.scalars(old_files(organisation_id, before)))
    connection.execute(forget_files(organisation_id, old))
    return old
