-- Who was told of an alert, by which channel, and what became of it.

CREATE TABLE ops.notices (
  alert_id   text NOT NULL REFERENCES public.alerts ON DELETE CASCADE,
  channel    text NOT NULL,
  event      text NOT NULL CHECK (event IN ('raised', 'ended')),
  route      text NOT NULL,
  state      text NOT NULL CHECK (state IN ('due', 'sent', 'failed', 'repeated', 'stale')),
  due_at     timestamptz NOT NULL,
  attempts   integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  last_error text NOT NULL DEFAULT '',
  sent_at    timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (alert_id, channel, event)
);
CREATE INDEX notices_due_idx ON ops.notices (due_at) WHERE state = 'due';
CREATE INDEX notices_channel_sent_at_idx ON ops.notices (channel, sent_at);
COMMENT ON TABLE ops.notices IS 'What is told to people: one row an alert, channel and event; a channel that fails is tried again.';
COMMENT ON COLUMN ops.notices.alert_id IS 'Alert.';
COMMENT ON COLUMN ops.notices.channel IS 'Channel, by its name in the settings.';
COMMENT ON COLUMN ops.notices.event IS 'raised: the alert; ended: it was withdrawn, or what it told of is over.';
COMMENT ON COLUMN ops.notices.route IS 'Route that sends it there.';
COMMENT ON COLUMN ops.notices.state IS 'due: to be sent at due_at; failed: given up; repeated: the same was told shortly before; stale: found too late to be news.';
COMMENT ON COLUMN ops.notices.due_at IS 'Wall clock of the next try: later in quiet hours, and after each failure.';
COMMENT ON COLUMN ops.notices.attempts IS 'Tries so far.';
COMMENT ON COLUMN ops.notices.last_error IS 'Why the last try failed; without addresses and secrets.';
COMMENT ON COLUMN ops.notices.sent_at IS 'Wall clock at which the channel took it; null until then.';
COMMENT ON COLUMN ops.notices.created_at IS 'Wall clock of the row.';
REVOKE ALL ON ops.notices FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.notices TO service_role, ci_writer, ci_migrator;
GRANT SELECT ON ops.notices TO ci_reader;
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_api') THEN
    GRANT SELECT ON ops.notices TO ci_api;
  END IF;
END
$$;

CREATE INDEX alerts_unresolved_incidents_idx ON public.alerts (venue, alert_id)
  WHERE rule = 'data_incident' AND resolved_at IS NULL;
COMMENT ON COLUMN public.alerts.evidence IS 'JSON: bar, the minute in which it fired as it was then; values, what was compared; rule, by which; tables, their Delta versions then.';
