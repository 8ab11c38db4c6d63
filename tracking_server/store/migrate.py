"""Bring a database to the newest schema, as its owner."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tracking_server.store.partitions import attach_partitions

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x0D0035  # any constant: two processes that migrate at once wait for each other


def migrate(owner_url: str) -> str:
    """Run the missing migrations and attach the coming days' partitions; returns the revision reached."""
    engine = sa.create_engine(owner_url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            attach_partitions(connection)
            connection.commit()
            return current_revision(connection) or "none"
    finally:
        engine.dispose()


def current_revision(connection: sa.Connection) -> str | None:
    """The revision the database is at, None when it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """The revision this version of Doorstep needs."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
