"""The database as the migrations make it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.support.firm import Firm
from tests.support.rows import count
from tracking_server.embedded import Installation
from tracking_server.store import fixes as fix_store
from tracking_server.store.engine import begin, transaction
from tracking_server.store.fixes import FixRows
from tracking_server.store.maintain import maintain
from tracking_server.store.migrate import migrate, newest_revision
from tracking_server.store.partitions import partition_name, partition_names
from tracking_server.store.schema import metadata


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Not PostGIS's tables, not procrastinate's, not partitions; indexes are the migrations' own affair."""
    if kind != "table" or name is None:
        return kind != "index"
    return name in metadata.tables


def test_queries_and_migrations_name_the_same_tables(servers: Installation, database: str) -> None:
    """Columns, types and nullability of `schema.py` are those of the migrated database."""
    engine = sa.create_engine(servers.owner_url(database))
    options = {"include_name": is_ours, "compare_type": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
    engine.dispose()
    keys_and_foreign_keys = ("remove_fk", "add_constraint", "remove_constraint", "remove_index")
    assert [one for one in differences if isinstance(one, list) or one[0] not in keys_and_foreign_keys] == []


def test_migrating_again_changes_nothing(servers: Installation, database: str) -> None:
    """As every start of the embedded installation does."""
    assert migrate(servers.owner_url(database)) == newest_revision()


def test_partitions_go_ahead_and_old_ones_are_dropped(servers: Installation, database: str) -> None:
    """The daily round of a day three months from now."""
    later = datetime.now(UTC).date() + timedelta(days=90)
    done = list(maintain(servers.owner_url(database), later))
    engine = sa.create_engine(servers.owner_url(database))
    with engine.connect() as connection:
        names = partition_names(connection)
    engine.dispose()
    assert partition_name(later + timedelta(days=7)) in names
    assert partition_name(datetime.now(UTC).date()) not in names
    assert f"dropped {partition_name(datetime.now(UTC).date())}" in done


async def test_fixes_past_their_retention_are_deleted(firm: Firm, servers: Installation, database: str) -> None:
    """Thirty days by default, or what the organisation says."""
    phone = await firm.phone()
    async with begin(firm.engine) as connection:
        rows = [FixRows(firm.organisation_id, phone.device.id, firm.now_s, 0.0, [phone.fix(firm.now_s)], [None])]
        await fix_store.insert_fixes(connection, rows)
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    theirs = await other.phone()
    async with begin(firm.engine) as connection:
        rows = [FixRows(other.organisation_id, theirs.device.id, firm.now_s, 0.0, [theirs.fix(firm.now_s)], [None])]
        await fix_store.insert_fixes(connection, rows)
    async with transaction(firm.engine, other.organisation_id) as connection:
        await connection.execute(sa.text("UPDATE organisation SET settings = '{\"fix_retention_days\": 5}'"))
    today = datetime.now(UTC).date()
    for days, ours_left, theirs_left in ((4, 1, 1), (7, 1, 0), (29, 1, 0), (32, 0, 0)):
        list(maintain(servers.owner_url(database), today + timedelta(days=days)))
        assert (await count(firm, "fix"), await count(other, "fix")) == (ours_left, theirs_left)
