"""What the customer's page shows and takes: brand, pictures, job details, notes, ratings."""

from alembic import op

from tracking_server.store.isolation import isolate

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE picture (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp')),
  data bytea NOT NULL CHECK (octet_length(data) <= 262144),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, id)
);

ALTER TABLE organisation
  ADD colour text CHECK (colour ~ '^#[0-9a-f]{6}$'),
  ADD logo_id uuid,
  ADD last_job_number integer NOT NULL DEFAULT 1000,
  ADD FOREIGN KEY (id, logo_id) REFERENCES picture (organisation_id, id) ON DELETE SET NULL (logo_id);

ALTER TABLE technician
  ADD trade text,
  ADD photo_id uuid,
  ADD FOREIGN KEY (organisation_id, photo_id) REFERENCES picture ON DELETE SET NULL (photo_id);

-- ended_by and ended_reason: who ended a visit that did not come to its end, and why, as the customer may read it.
ALTER TABLE job
  ADD number integer,
  ADD preparation text,
  ADD summary text,
  ADD invoice_url text CHECK (invoice_url ~ '^https://'),
  ADD delay_reason text,
  ADD ended_by text CHECK (ended_by IN ('customer', 'firm', 'technician')),
  ADD ended_reason text,
  ADD UNIQUE (organisation_id, number);

-- A line between customer, technician and dispatcher. Exactly one author; the wish is a reschedule request's.
CREATE TABLE note (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  job_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('note', 'access', 'not_home', 'reschedule', 'cannot_find')),
  contact_id uuid,
  technician_id uuid,
  author text NOT NULL CHECK (author IN ('customer', 'technician', 'dispatcher')),
  text text NOT NULL CHECK (char_length(text) <= 1000),
  wish jsonb NOT NULL DEFAULT '{}',
  made_at timestamptz NOT NULL,
  handled_at timestamptz,
  handled_by text,
  PRIMARY KEY (organisation_id, id),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, contact_id) REFERENCES contact ON DELETE CASCADE
);
CREATE INDEX note_by_job ON note (organisation_id, job_id, made_at);
CREATE INDEX note_unhandled ON note (organisation_id, made_at) WHERE handled_at IS NULL;

CREATE TABLE rating (
  organisation_id uuid NOT NULL,
  job_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  stars integer NOT NULL CHECK (stars BETWEEN 1 AND 5),
  comment text NOT NULL CHECK (char_length(comment) <= 1000),
  made_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, job_id, contact_id),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, contact_id) REFERENCES contact ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in ("picture", "note", "rating"):
        isolate(table)


def downgrade() -> None:
    op.execute("DROP TABLE rating, note")
    op.execute("ALTER TABLE organisation DROP colour, DROP logo_id, DROP last_job_number")
    op.execute("ALTER TABLE technician DROP trade, DROP photo_id")
    op.execute(
        "ALTER TABLE job DROP number, DROP preparation, DROP summary, DROP invoice_url, DROP delay_reason, "
        "DROP ended_by, DROP ended_reason"
    )
    op.execute("DROP TABLE picture")
