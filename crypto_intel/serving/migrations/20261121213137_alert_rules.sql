-- The alert rules in force, which people change while everything runs; and what became of an alert.

CREATE TABLE public.alert_rules (
  rule             text PRIMARY KEY CHECK (rule ~ '^[a-z][a-z0-9_]{0,39}$'),
  family           text NOT NULL
                     CHECK (family IN ('price_move', 'news_move', 'volume_spike', 'volatility_spike', 'feed_silent',
                                       'ids_missing')),
  enabled          boolean NOT NULL DEFAULT true,
  threshold        double precision NOT NULL CHECK (threshold >= 0 AND threshold <= 3600),
  unit             text NOT NULL CHECK (unit IN ('pct', 'times', 's')),
  window_s         integer CHECK (window_s BETWEEN 10 AND 3600),
  baseline_minutes integer CHECK (baseline_minutes BETWEEN 5 AND 240),
  least_minutes    integer CHECK (least_minutes BETWEEN 3 AND baseline_minutes),
  cooldown_s       integer NOT NULL DEFAULT 300 CHECK (cooldown_s BETWEEN 0 AND 86400),
  severity         text CHECK (severity IN ('info', 'warning', 'critical')),
  markets          text[] NOT NULL DEFAULT '{}',
  revision         bigint NOT NULL DEFAULT 1,
  changed_by       text NOT NULL CHECK (length(changed_by) BETWEEN 1 AND 200),
  changed_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.alert_rules IS 'The alert rules in force. The stream reads them every few seconds: a change takes effect without a restart.';
COMMENT ON COLUMN public.alert_rules.rule IS 'Its name; its alerts carry it.';
COMMENT ON COLUMN public.alert_rules.family IS 'What it looks at, and so which of the columns it uses.';
COMMENT ON COLUMN public.alert_rules.enabled IS 'Whether it is judged.';
COMMENT ON COLUMN public.alert_rules.threshold IS 'From which on it fires, in `unit`.';
COMMENT ON COLUMN public.alert_rules.unit IS 'pct: percent of the price; times: the usual minute; s: seconds of the market''s time.';
COMMENT ON COLUMN public.alert_rules.window_s IS 'Seconds within which the price has to move; null for other families.';
COMMENT ON COLUMN public.alert_rules.baseline_minutes IS 'Minutes whose median is usual; null but for spikes.';
COMMENT ON COLUMN public.alert_rules.least_minutes IS 'Fewer known minutes make no baseline; null but for spikes.';
COMMENT ON COLUMN public.alert_rules.cooldown_s IS 'Seconds in which it fires once per market and direction.';
COMMENT ON COLUMN public.alert_rules.severity IS 'Of its alerts; null: warning, and critical from twice the threshold on.';
COMMENT ON COLUMN public.alert_rules.markets IS 'Patterns of venue:symbol on which it is judged; empty: every market.';
COMMENT ON COLUMN public.alert_rules.revision IS 'Grows by 1 with each change.';
COMMENT ON COLUMN public.alert_rules.changed_by IS 'file: as the file of rules says, and it follows the file; else who changed it.';
COMMENT ON COLUMN public.alert_rules.changed_at IS 'Wall clock of the last change.';

CREATE FUNCTION ops.keep_alert_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.revision := OLD.revision;
  NEW.changed_at := OLD.changed_at;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NULL; -- nothing changed, so it is no revision
  END IF;
  NEW.revision := OLD.revision + 1;
  NEW.changed_at := now();
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.keep_alert_rule() IS 'Revision and time of a rule move with each change of it, and only then.';
CREATE TRIGGER keep_alert_rule BEFORE UPDATE ON public.alert_rules
  FOR EACH ROW EXECUTE FUNCTION ops.keep_alert_rule();
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON public.alert_rules
  FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_change();

ALTER TABLE public.alert_rules ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.alert_rules FROM PUBLIC, anon, authenticated;
GRANT SELECT ON public.alert_rules TO authenticated, ci_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.alert_rules TO service_role, ci_writer, ci_migrator;
CREATE POLICY readers_see_all ON public.alert_rules FOR SELECT TO authenticated, ci_reader USING (true);
CREATE POLICY writers_may_all ON public.alert_rules FOR ALL TO service_role, ci_writer, ci_migrator
  USING (true) WITH CHECK (true);
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_api') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON public.alert_rules TO ci_api;
    CREATE POLICY api_changes ON public.alert_rules FOR ALL TO ci_api USING (true) WITH CHECK (true);
  END IF;
END
$$;
REVOKE ALL ON FUNCTION ops.keep_alert_rule() FROM PUBLIC, anon, authenticated;

ALTER TABLE public.alerts DROP CONSTRAINT alerts_state_check;
ALTER TABLE public.alerts
  ADD CONSTRAINT alerts_state_check CHECK (state IN ('open', 'acknowledged', 'resolved', 'closed'));
ALTER TABLE public.alerts ADD COLUMN resolved_at timestamptz;
ALTER TABLE public.alerts ADD COLUMN verdict text CHECK (verdict IN ('confirmed', 'revised', 'withdrawn'));
ALTER TABLE public.alerts ADD COLUMN verdict_value double precision;
ALTER TABLE public.alerts ADD COLUMN verdict_at timestamptz;
COMMENT ON COLUMN public.alerts.evidence IS 'JSON: bar, the minute in which it fired as it was then; values, what was compared; rule, by which.';
COMMENT ON COLUMN public.alerts.resolved_at IS 'Platform clock when what it told of had ended; null until then.';
COMMENT ON COLUMN public.alerts.verdict IS 'What its rule says of the data when they are whole: the same, another value, or nothing; null until then.';
COMMENT ON COLUMN public.alerts.verdict_value IS 'What the rule measures in whole data; null where it finds nothing.';
COMMENT ON COLUMN public.alerts.verdict_at IS 'Platform clock of the verdict.';
