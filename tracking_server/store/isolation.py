"""Row security for a new table: for migrations."""

from __future__ import annotations

from alembic import op


def isolate(table: str, verbs: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
    """Let the service do `verbs` to the rows of the organisation it named, and nobody anything else.

    The policy names its roles: one to PUBLIC would add to those of the narrow roles.
    """
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY own_organisation ON {table} TO doorstep_app, CURRENT_USER "
        f"USING (organisation_id = (SELECT current_organisation()))"
    )
    op.execute(f"GRANT {verbs} ON {table} TO doorstep_app")
