"""One look tells a process of every organisation's phones whose keys it remembers."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a phone that was paired again has another key: the time of pairing tells
    op.execute("GRANT SELECT (paired_at) ON device TO doorstep_watch")


def downgrade() -> None:
    op.execute("REVOKE SELECT (paired_at) ON device FROM doorstep_watch")
