"""What the phone brings: words with taps, photos and signatures, and which notes reached it."""

from alembic import op

from tracking_server.store.isolation import isolate

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE tap
  ADD COLUMN reason text,
  ADD COLUMN text text,
  ADD COLUMN minutes integer;

-- proof: what this visit asks for where it is not the firm's usual. late_min: what the technician said themselves, of
-- the present promise. not_home_at: since when they wait at a closed door.
ALTER TABLE job
  ADD COLUMN proof jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN late_min integer,
  ADD COLUMN not_home_at timestamptz;

-- reached_by: on whose phone a customer's note certainly is, and since when. A technician writes more than a customer.
ALTER TABLE note
  ADD COLUMN reached_at timestamptz,
  ADD COLUMN reached_by uuid,
  DROP CONSTRAINT note_text_check,
  ADD CONSTRAINT note_text_check CHECK (char_length(text) <= 2000);

-- A photo or a signature that arrived whole; its bytes lie in the attachments' folder. job_id NULL: no job of the firm.
-- verdict NULL: it is shown.
CREATE TABLE attachment (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  device_id uuid NOT NULL,
  technician_id uuid NOT NULL,
  job_id uuid,
  kind text NOT NULL CHECK (kind IN ('photo', 'signature')),
  media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png')),
  size integer NOT NULL,
  sha256 bytea NOT NULL,
  made_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  verdict text,
  PRIMARY KEY (organisation_id, id),
  FOREIGN KEY (organisation_id, device_id) REFERENCES device ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE
);
CREATE INDEX attachment_by_job ON attachment (organisation_id, job_id, made_at);
CREATE INDEX attachment_by_age ON attachment (organisation_id, received_at);

-- Open phone streams ask every few seconds for all organisations at once whether a key was revoked or a job changed.
CREATE POLICY watch_looks ON device FOR SELECT TO doorstep_watch USING (true);
GRANT SELECT (organisation_id, id, revoked_at) ON device TO doorstep_watch;
GRANT SELECT (state) ON job TO doorstep_watch;
"""


def upgrade() -> None:
    op.execute(CHANGES)
    isolate("attachment")


def downgrade() -> None:
    op.execute("REVOKE SELECT (state) ON job FROM doorstep_watch")
    op.execute("REVOKE SELECT (organisation_id, id, revoked_at) ON device FROM doorstep_watch")
    op.execute("DROP POLICY watch_looks ON device")
    op.execute("DROP TABLE attachment")
    op.execute("ALTER TABLE note DROP COLUMN reached_at, DROP COLUMN reached_by, DROP CONSTRAINT note_text_check")
    op.execute("ALTER TABLE note ADD CONSTRAINT note_text_check CHECK (char_length(text) <= 1000) NOT VALID")
    op.execute("ALTER TABLE job DROP COLUMN proof, DROP COLUMN late_min, DROP COLUMN not_home_at")
    op.execute("ALTER TABLE tap DROP COLUMN reason, DROP COLUMN text, DROP COLUMN minutes")
