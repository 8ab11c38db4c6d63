"""Messages by SMS and webhook: consent per channel, opt-outs, tries, receipts, reminders."""

from alembic import op

from tracking_server.store.isolation import isolate

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE organisation ADD COLUMN sms_from text;  -- its own number; NULL: the installation's

ALTER TABLE contact
  ADD COLUMN email_allowed boolean NOT NULL DEFAULT true,
  ADD COLUMN sms_allowed boolean NOT NULL DEFAULT true;

ALTER TABLE job ADD COLUMN remind_at timestamptz;
CREATE INDEX job_remind ON job (remind_at) WHERE remind_at IS NOT NULL;

-- tries: how often a channel was asked. waits_for: why it is still owed. resends: how often somebody asked for another
-- go after it had failed; part of the idempotency key. receipt: what the provider said later. draft: its words with
-- their link, from the first try until it is settled: under one key a provider gets the same words each time.
ALTER TABLE message
  ADD COLUMN tries integer NOT NULL DEFAULT 0,
  ADD COLUMN tried_at timestamptz,
  ADD COLUMN waits_for text,
  ADD COLUMN draft jsonb,
  ADD COLUMN resends integer NOT NULL DEFAULT 0,
  ADD COLUMN receipt text,
  ADD COLUMN receipt_at timestamptz;
CREATE INDEX message_sms_tried ON message (organisation_id, tried_at)
  WHERE channel = 'sms' AND tries > 0 AND state IN ('owed', 'sent');
CREATE INDEX message_failed ON message (organisation_id, settled_at) WHERE state = 'failed';

-- An address (a number or an e-mail address) whose owner said stop to this firm, whoever's contact it is.
CREATE TABLE opt_out (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  recipient text NOT NULL,
  said_by text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, recipient)
);

CREATE TABLE webhook (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  url text NOT NULL,
  secret text NOT NULL,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz,
  disabled_reason text,
  PRIMARY KEY (organisation_id, id)
);

-- Callbacks of providers that were heard, so that a repeated one has no effect.
CREATE TABLE callback (
  organisation_id uuid NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  id text NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, id)
);
CREATE INDEX callback_by_age ON callback (organisation_id, received_at);

GRANT SELECT (sms_from) ON organisation TO doorstep_watch;
GRANT SELECT (remind_at) ON job TO doorstep_watch;
"""


def upgrade() -> None:
    op.execute(CHANGES)
    for table in ("opt_out", "webhook", "callback"):
        isolate(table)


def downgrade() -> None:
    op.execute("DROP TABLE callback, webhook, opt_out")
    op.execute("DROP INDEX message_failed, message_sms_tried, job_remind")
    for column in ("tries", "tried_at", "waits_for", "draft", "resends", "receipt", "receipt_at"):
        op.execute(f"ALTER TABLE message DROP COLUMN {column}")
    op.execute("ALTER TABLE job DROP COLUMN remind_at")
    op.execute("ALTER TABLE contact DROP COLUMN email_allowed, DROP COLUMN sms_allowed")
    op.execute("ALTER TABLE organisation DROP COLUMN sms_from")
