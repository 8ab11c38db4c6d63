"""The fix table's partitions: one per stream day, attached ahead, detached when the retention has passed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from tracking_server.domain.fix import STREAM_DAY_SHIFT

DAYS_AHEAD = 7
DAYS_BEHIND = 3  # a phone's queue holds 72 h
EPOCH = date(1970, 1, 1)


def attach_partitions(connection: sa.Connection, today: date | None = None) -> list[str]:
    """Attach the missing partitions from 3 days back to 7 days ahead; returns the names of the new ones.

    CREATE, CHECK and ATTACH take a weaker lock on the parent than CREATE ... PARTITION OF, which would stop ingest.
    The day comes from the real calendar: partitions are a matter of storage, not of the service's clock.
    """
    today = today or datetime.now(UTC).date()
    existing = partition_names(connection)
    days = [today + timedelta(days=n) for n in range(-DAYS_BEHIND, DAYS_AHEAD + 1)]
    missing = [day for day in days if partition_name(day) not in existing]
    for day in missing:
        _attach(connection, day)
    return [partition_name(day) for day in missing]


def partition_names(connection: sa.Connection) -> set[str]:
    """The partitions that are attached now."""
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'fix'::regclass"
    return set(connection.scalars(sa.text(query)))


def partition_name(day: date) -> str:
    """The partition of the streams begun on `day`."""
    return f"fix_{day:%Y%m%d}"


def _attach(connection: sa.Connection, day: date) -> None:
    name = partition_name(day)
    number = (day - EPOCH).days
    first, beyond = number << STREAM_DAY_SHIFT, (number + 1) << STREAM_DAY_SHIFT
    for statement in (
        f"CREATE TABLE {name} (LIKE fix INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} ADD CONSTRAINT {name}_range CHECK (stream >= {first} AND stream < {beyond})",
        f"ALTER TABLE fix ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({beyond})",
        f"ALTER TABLE {name} DROP CONSTRAINT {name}_range",
    ):
        connection.execute(sa.text(statement))
