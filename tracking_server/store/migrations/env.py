"""Alembic runs the migrations on the connection that `store.migrate` hands over."""

from alembic import context

from tracking_server.failpoint import failpoint
from tracking_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
    on_version_apply=lambda **_: failpoint("during_migration"),
)
with context.begin_transaction():
    context.run_migrations()
