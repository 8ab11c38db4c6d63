"""Staff with their sessions, the one-time tokens that make them, and who saw to a failed message."""

from alembic import op

from tracking_server.store.isolation import isolate

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE staff (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  email text NOT NULL,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'dispatcher', 'viewer')),
  language text NOT NULL,
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, email)
);
CREATE INDEX staff_by_email ON staff (email);

-- seen_at is written every few minutes, not at every request.
CREATE TABLE session (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  staff_id uuid NOT NULL,
  token_hash bytea NOT NULL,
  begun_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, token_hash),
  FOREIGN KEY (organisation_id, staff_id) REFERENCES staff ON DELETE CASCADE
);
CREATE INDEX session_by_staff ON session (organisation_id, staff_id);

-- It is as good as its maker: who is shut out leaves no open door.
CREATE TABLE invite (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  made_by uuid NOT NULL,
  token_hash bytea NOT NULL,
  email text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'dispatcher', 'viewer')),
  made_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, token_hash),
  FOREIGN KEY (organisation_id, made_by) REFERENCES staff ON DELETE CASCADE
);

-- The one way to the first owner. No organisation: the token makes a new one.
CREATE TABLE setup_token (
  token_hash bytea PRIMARY KEY,
  organisation_id uuid REFERENCES organisation (id) ON DELETE CASCADE,
  made_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- When somebody of the staff saw to a failed message, as to a note, and who.
ALTER TABLE message
  ADD COLUMN handled_at timestamptz,
  ADD COLUMN handled_by text;

-- The board asks for one day at a time, and for what is left over from earlier ones.
CREATE INDEX promise_by_time ON promise (organisation_id, latest);
CREATE INDEX job_ended ON job (organisation_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX job_not_ended ON job (organisation_id) WHERE state NOT IN ('completed', 'cancelled', 'no_access');
"""

PRESENTED = """
-- Whoever presents an e-mail address may see its rows: signing in starts before any organisation is known.
CREATE POLICY presented ON staff FOR SELECT TO doorstep_app
  USING (email = NULLIF(current_setting('app.email', true), ''));
-- So does the first set-up; a token is seen and used by those only who can present it.
CREATE POLICY presented ON setup_token TO doorstep_app, CURRENT_USER
  USING (token_hash = decode(NULLIF(current_setting('app.setup_token', true), ''), 'hex'));
GRANT SELECT, INSERT, UPDATE ON setup_token TO doorstep_app;

-- Whether there is anybody who can sign in at all.
CREATE POLICY watch_looks ON staff FOR SELECT TO doorstep_watch USING (true);
GRANT SELECT (organisation_id, id) ON staff TO doorstep_watch;
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in ("staff", "session", "invite"):
        isolate(table)
    op.execute("ALTER TABLE setup_token ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE setup_token FORCE ROW LEVEL SECURITY")
    op.execute(PRESENTED)


def downgrade() -> None:
    op.execute("DROP INDEX promise_by_time, job_ended, job_not_ended")
    op.execute("ALTER TABLE message DROP COLUMN handled_at, DROP COLUMN handled_by")
    op.execute("DROP TABLE setup_token, invite, session, staff")
