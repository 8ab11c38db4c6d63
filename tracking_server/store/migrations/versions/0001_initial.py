"""Organisations, people, jobs, fixes by stream, events, links and messages, isolated from the first day."""

from alembic import op
from procrastinate.schema import SchemaManager

from tracking_server.store.partitions import attach_partitions

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE FUNCTION current_organisation() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT NULLIF(current_setting('app.organisation_id', true), '')::uuid $$;

CREATE TABLE organisation (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  time_zone text NOT NULL,
  language text NOT NULL,
  office_phone text,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL
);

-- The checkpoint is the geofence and order memory; the row is the lock of everything its technician does.
CREATE TABLE technician (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  phone text,
  vehicle text,
  plate text,
  version bigint NOT NULL DEFAULT 0,
  checkpoint jsonb NOT NULL DEFAULT '{}',
  position geometry(Point, 4326),
  position_time timestamptz,
  position_accuracy_m real,
  position_speed_mps real,
  position_course_deg real,
  battery_pct real,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, id)
) WITH (fillfactor = 50);

CREATE TABLE device (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL UNIQUE,
  technician_id uuid NOT NULL,
  name text NOT NULL,
  key_hash bytea NOT NULL,
  paired_at timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, key_hash),
  FOREIGN KEY (organisation_id, technician_id) REFERENCES technician ON DELETE CASCADE
);

CREATE TABLE pairing_code (
  organisation_id uuid NOT NULL,
  code_hash bytea NOT NULL UNIQUE,
  technician_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (organisation_id, code_hash),
  FOREIGN KEY (organisation_id, technician_id) REFERENCES technician ON DELETE CASCADE
);

CREATE TABLE shift (
  organisation_id uuid NOT NULL,
  technician_id uuid NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  breaks jsonb NOT NULL DEFAULT '[]',  -- [[start, end or null], ...] in epoch seconds
  PRIMARY KEY (organisation_id, technician_id, started_at),
  FOREIGN KEY (organisation_id, technician_id) REFERENCES technician ON DELETE CASCADE,
  CHECK (ended_at >= started_at)
);
CREATE UNIQUE INDEX shift_open_once ON shift (organisation_id, technician_id) WHERE ended_at IS NULL;

CREATE TABLE customer (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, id)
);

CREATE TABLE contact (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  customer_id uuid NOT NULL,
  name text NOT NULL,
  email text,
  phone text,
  language text NOT NULL,
  messages_allowed boolean NOT NULL DEFAULT true,
  PRIMARY KEY (organisation_id, id),
  FOREIGN KEY (organisation_id, customer_id) REFERENCES customer ON DELETE CASCADE
);
CREATE INDEX contact_by_customer ON contact (organisation_id, customer_id);

-- visit, assignment and promise count the occasions that a message can be about; late_promise is the last one broken.
CREATE TABLE job (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  customer_id uuid NOT NULL,
  technician_id uuid,
  stop_number integer,
  state text NOT NULL CHECK (state IN ('draft', 'scheduled', 'assigned', 'en_route', 'arrived', 'in_progress',
    'completed', 'cancelled', 'no_access')),
  previous_state text,
  title text NOT NULL,
  address text NOT NULL,
  time_zone text NOT NULL,
  duration_s integer NOT NULL,
  visit integer NOT NULL DEFAULT 1,
  assignment integer NOT NULL DEFAULT 0,
  promise integer NOT NULL DEFAULT 0,
  late_promise integer NOT NULL DEFAULT 0,
  assigned_at timestamptz,
  en_route_at timestamptz,
  arriving_at timestamptz,
  arrived_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  eta_earliest timestamptz,
  eta_likely timestamptz,
  eta_latest timestamptz,
  eta_confidence real,
  eta_made_at timestamptz,
  due_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, id),
  FOREIGN KEY (organisation_id, customer_id) REFERENCES customer ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, technician_id) REFERENCES technician,
  CHECK (technician_id IS NOT NULL OR state NOT IN ('assigned', 'en_route', 'arrived', 'in_progress'))
);
CREATE INDEX job_by_customer ON job (organisation_id, customer_id);
CREATE INDEX job_open_by_technician ON job (organisation_id, technician_id, stop_number)
  WHERE state IN ('assigned', 'en_route', 'arrived', 'in_progress');
CREATE UNIQUE INDEX job_en_route_once ON job (organisation_id, technician_id) WHERE state = 'en_route';
CREATE INDEX job_due ON job (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE geofence (
  organisation_id uuid NOT NULL,
  job_id uuid NOT NULL,
  centre geometry(Point, 4326) NOT NULL,
  radius_m real NOT NULL CHECK (radius_m BETWEEN 10 AND 2000),
  boundary geometry(Polygon, 4326) CHECK (ST_IsValid(boundary)),
  entrance geometry(Point, 4326),
  PRIMARY KEY (organisation_id, job_id),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE
);

CREATE TABLE promise (
  organisation_id uuid NOT NULL,
  job_id uuid NOT NULL,
  number integer NOT NULL,
  earliest timestamptz NOT NULL,
  latest timestamptz NOT NULL,
  made_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, job_id, number),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE,
  CHECK (latest >= earliest)
);

CREATE TABLE event (
  organisation_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  job_id uuid NOT NULL,
  version bigint NOT NULL,
  kind text NOT NULL,
  at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  evidence jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (organisation_id, id),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE
);
CREATE INDEX event_by_job ON event (organisation_id, job_id, id);

CREATE TABLE audit (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  job_id uuid,
  technician_id uuid,
  from_state text,
  to_state text,
  evidence jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (organisation_id, id)
);
CREATE INDEX audit_by_job ON audit (organisation_id, job_id, id);

CREATE TABLE link (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  job_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  token_hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, token_hash),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, contact_id) REFERENCES contact ON DELETE CASCADE
);
CREATE INDEX link_by_job ON link (organisation_id, job_id);

CREATE TABLE message (
  organisation_id uuid NOT NULL,
  id uuid NOT NULL,
  job_id uuid NOT NULL,
  contact_id uuid,
  kind text NOT NULL,
  occasion integer NOT NULL,
  channel text NOT NULL,
  recipient text NOT NULL,
  state text NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'sent', 'skipped', 'failed')),
  reason text,
  about jsonb NOT NULL DEFAULT '{}',
  owed_at timestamptz NOT NULL,
  expires_at timestamptz,
  settled_at timestamptz,
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, job_id, kind, occasion, channel, recipient),
  FOREIGN KEY (organisation_id, job_id) REFERENCES job ON DELETE CASCADE,
  FOREIGN KEY (organisation_id, contact_id) REFERENCES contact ON DELETE CASCADE
);

CREATE TABLE tap (
  organisation_id uuid NOT NULL,
  device_id uuid NOT NULL,
  stream bigint NOT NULL,
  seq bigint NOT NULL,
  technician_id uuid NOT NULL,
  kind text NOT NULL,
  job_id uuid,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  verdict text,
  PRIMARY KEY (organisation_id, device_id, stream, seq),
  FOREIGN KEY (organisation_id, device_id) REFERENCES device ON DELETE CASCADE
);

-- A fix is (device, stream, seq); the stream carries the day it was begun: the partition key is part of the identity.
-- fix_time is on the server's clock; fix_time - skew_s is what the phone said. verdict NULL: trusted.
CREATE TABLE fix (
  organisation_id uuid NOT NULL,
  device_id uuid NOT NULL,
  stream bigint NOT NULL,
  seq bigint NOT NULL,
  fix_time timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  skew_s double precision NOT NULL,
  geom geometry(Point, 4326) NOT NULL,
  accuracy_m real,
  speed_mps real,
  course_deg real,
  altitude_m real,
  battery_pct real,
  mock boolean NOT NULL,
  verdict text,
  PRIMARY KEY (device_id, stream, seq),
  CONSTRAINT fix_time_near_stream_day CHECK (
    fix_time - make_interval(secs => skew_s) >= to_timestamp(((stream >> 20) - 1) * 86400.0)
    AND fix_time - make_interval(secs => skew_s) < to_timestamp(((stream >> 20) + 3) * 86400.0))
) PARTITION BY RANGE (stream);

-- What could not be kept as a fix, as it came; never deleted by the journey.
CREATE TABLE quarantine (
  organisation_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  device_id uuid NOT NULL,
  stream bigint,
  seq bigint,
  digest bytea NOT NULL,
  received_at timestamptz NOT NULL,
  reason text NOT NULL,
  body bytea NOT NULL CHECK (octet_length(body) <= 65536),
  PRIMARY KEY (organisation_id, id),
  UNIQUE (organisation_id, device_id, digest),
  FOREIGN KEY (organisation_id, device_id) REFERENCES device ON DELETE CASCADE
);
"""

ISOLATED = (
    "technician", "device", "pairing_code", "shift", "customer", "contact", "job", "geofence", "promise",
    "event", "audit", "link", "message", "tap", "fix", "quarantine",
)  # fmt: skip
APPEND_ONLY = ("event", "audit", "quarantine")

NARROW_ROLES = """
-- Sees that a device exists and nothing else; may only insert fixes whose organisation is their device's own.
CREATE POLICY ingest_looks_up ON device FOR SELECT TO doorstep_ingest USING (true);
CREATE POLICY ingest_writes ON fix FOR INSERT TO doorstep_ingest WITH CHECK (EXISTS (
  SELECT 1 FROM device d WHERE d.id = fix.device_id AND d.organisation_id = fix.organisation_id));
GRANT SELECT (organisation_id, id) ON device TO doorstep_ingest;
GRANT INSERT ON fix TO doorstep_ingest;

-- Sees which rows changed or are due in every organisation: ids, versions and times, no content.
CREATE POLICY watch_looks ON organisation FOR SELECT TO doorstep_watch USING (true);
CREATE POLICY watch_looks ON job FOR SELECT TO doorstep_watch USING (true);
CREATE POLICY watch_looks ON technician FOR SELECT TO doorstep_watch USING (true);
GRANT SELECT (id) ON organisation TO doorstep_watch;
GRANT SELECT (organisation_id, id, technician_id, version, due_at) ON job TO doorstep_watch;
GRANT SELECT (organisation_id, id, version) ON technician TO doorstep_watch;

-- The owner goes through all organisations in its daily round; in each it sees rows only after naming it.
CREATE POLICY owner_lists ON organisation FOR SELECT TO CURRENT_USER USING (true);

-- Whoever presents a code may see that code's row: pairing starts before any organisation is known.
CREATE POLICY presented ON pairing_code FOR SELECT TO doorstep_app
  USING (code_hash = decode(NULLIF(current_setting('app.pairing_code', true), ''), 'hex'));
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in ("organisation", *ISOLATED):
        key = "id" if table == "organisation" else "organisation_id"
        verbs = "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"
        verbs = {"fix": "SELECT, UPDATE (verdict)", "tap": "SELECT, INSERT, UPDATE (verdict)"}.get(table, verbs)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        # Not to PUBLIC: policies add up, and this one would widen those of the narrow roles.
        op.execute(
            f"CREATE POLICY own_organisation ON {table} TO doorstep_app, CURRENT_USER "
            f"USING ({key} = (SELECT current_organisation()))"
        )
        op.execute(f"GRANT {verbs} ON {table} TO doorstep_app")
    op.execute(NARROW_ROLES)
    op.execute("CREATE TABLE fix_default PARTITION OF fix DEFAULT")
    op.execute("ALTER TABLE fix_default ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE fix_default FORCE ROW LEVEL SECURITY")
    attach_partitions(op.get_bind())
    op.get_bind().exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
    op.execute("GRANT ALL ON procrastinate_workers, procrastinate_jobs, procrastinate_periodic_defers, "
               "procrastinate_events TO doorstep_app")  # fmt: skip
    op.execute("GRANT SELECT ON alembic_version TO doorstep_app")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO doorstep_app")


def downgrade() -> None:
    raise RuntimeError("The first migration is not taken back: drop the database instead.")
