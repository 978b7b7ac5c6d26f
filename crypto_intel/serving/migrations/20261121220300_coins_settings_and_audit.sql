-- What people set while the platform runs: tracked coins, keys, how long rows are kept; and who changed what.

DO $$
BEGIN
  BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_admin') THEN
      CREATE ROLE ci_admin NOLOGIN;
    END IF;
  EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this server is being migrated at the same moment
  END;
  BEGIN
    IF NOT pg_has_role(current_user, 'ci_admin', 'MEMBER') THEN
      GRANT ci_admin TO CURRENT_USER;
    END IF;
  EXCEPTION WHEN insufficient_privilege OR unique_violation OR internal_error THEN
    NULL; -- then whoever runs the API grants it
  END;
END
$$;
GRANT USAGE ON SCHEMA public, ops TO ci_admin;

CREATE TABLE ops.audit (
  audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  changed_at timestamptz NOT NULL DEFAULT now(),
  actor      text NOT NULL,
  table_name text NOT NULL,
  action     text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
  row_key    text NOT NULL,
  before     jsonb,
  after      jsonb
);
CREATE INDEX audit_changed_at_idx ON ops.audit (changed_at);
COMMENT ON TABLE ops.audit IS 'Every change of what people set, by whatever way it was made; nothing is ever changed here.';
COMMENT ON COLUMN ops.audit.audit_id IS 'In order of the changes.';
COMMENT ON COLUMN ops.audit.changed_at IS 'When (wall clock).';
COMMENT ON COLUMN ops.audit.actor IS 'Who: key:<key_id>, user:<subject>, a part of the platform, or role:<login> where none was told.';
COMMENT ON COLUMN ops.audit.table_name IS 'What was changed, as schema.table.';
COMMENT ON COLUMN ops.audit.action IS 'How.';
COMMENT ON COLUMN ops.audit.row_key IS 'Values of the row''s key, joined by a slash.';
COMMENT ON COLUMN ops.audit.before IS 'The row before; null for a new one. Hashes of secrets are left out.';
COMMENT ON COLUMN ops.audit.after IS 'The row after; null for one that is gone.';

-- Arguments of the trigger: the columns of the key. A transaction tells its actor by set_config('crypto_intel.actor').
CREATE FUNCTION ops.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'secret_sha256' END;
  new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'secret_sha256' END;
  told text := nullif(current_setting('crypto_intel.actor', true), '');
  key_text text;
BEGIN
  IF old_row IS NOT DISTINCT FROM new_row THEN
    RETURN NULL;
  END IF;
  SELECT string_agg(coalesce(new_row, old_row) ->> name, '/' ORDER BY place)
  INTO key_text FROM unnest(TG_ARGV) WITH ORDINALITY AS k(name, place);
  INSERT INTO ops.audit (actor, table_name, action, row_key, before, after)
  VALUES (left(coalesce(told, 'role:' || session_user), 200), TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, lower(TG_OP),
    key_text, old_row, new_row);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.note_change() IS 'Keep a change in ops.audit.';

CREATE TABLE public.coins (
  venue      text NOT NULL CHECK (venue ~ '^[a-z0-9_]{1,40}$'),
  symbol     text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,15}-[A-Z0-9]{2,10}$'),
  is_tracked boolean NOT NULL DEFAULT true,
  note       text NOT NULL DEFAULT '' CHECK (length(note) <= 1000),
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (venue, symbol)
);
COMMENT ON TABLE public.coins IS 'Markets that are followed, or were. Producers look here every few seconds, and subscribe anew when it changes.';
COMMENT ON COLUMN public.coins.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.coins.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.coins.is_tracked IS 'Whether its trades are taken now. What was taken before stays.';
COMMENT ON COLUMN public.coins.note IS 'Why, in people''s words; may be empty.';
COMMENT ON COLUMN public.coins.changed_at IS 'When the row was last changed (wall clock).';

CREATE FUNCTION ops.stamp_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.changed_at := now();
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.stamp_change() IS 'changed_at is the time of the change, whatever was given.';
CREATE TRIGGER stamp_change BEFORE INSERT OR UPDATE ON public.coins
  FOR EACH ROW EXECUTE FUNCTION ops.stamp_change();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON public.coins
  FOR EACH ROW EXECUTE FUNCTION ops.note_change('venue', 'symbol');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON ops.api_keys
  FOR EACH ROW EXECUTE FUNCTION ops.note_change('key_id');

-- Rules are changed by the role that changes settings; the API as such reads them.
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON public.alert_rules
  FOR EACH ROW EXECUTE FUNCTION ops.note_change('rule');
REVOKE INSERT, UPDATE, DELETE ON public.alert_rules FROM ci_api;
DROP POLICY api_changes ON public.alert_rules;
CREATE POLICY api_reads ON public.alert_rules FOR SELECT TO ci_api USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.alert_rules TO ci_admin;
CREATE POLICY admins_may_all ON public.alert_rules FOR ALL TO ci_admin USING (true) WITH CHECK (true);

ALTER TABLE public.coins ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.coins FROM PUBLIC, anon, authenticated;
GRANT SELECT ON public.coins TO authenticated, ci_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.coins TO service_role, ci_writer, ci_migrator, ci_admin;
CREATE POLICY readers_see_all ON public.coins FOR SELECT TO authenticated, ci_reader USING (true);
CREATE POLICY writers_may_all ON public.coins FOR ALL TO service_role, ci_writer, ci_migrator, ci_admin
  USING (true) WITH CHECK (true);
CREATE POLICY api_reads ON public.coins FOR SELECT TO ci_api USING (true);

-- How long rows are kept. A table that is not there yet may stand here already.
CREATE TABLE ops.retention (
  table_name  text PRIMARY KEY CHECK (table_name ~ '^[a-z_]+\.[a-z0-9_]+$'),
  time_column text NOT NULL,
  keep_days   integer NOT NULL CHECK (keep_days BETWEEN 1 AND 36500),
  changed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.retention IS 'How long the rows of a table are kept, counted from the newest event; ops.apply_retention() drops what is older.';
COMMENT ON COLUMN ops.retention.table_name IS 'Table, as schema.table.';
COMMENT ON COLUMN ops.retention.time_column IS 'Column that tells a row''s age.';
COMMENT ON COLUMN ops.retention.keep_days IS 'Days that rows are kept.';
COMMENT ON COLUMN ops.retention.changed_at IS 'When the row was last changed (wall clock).';
CREATE TRIGGER stamp_change BEFORE INSERT OR UPDATE ON ops.retention
  FOR EACH ROW EXECUTE FUNCTION ops.stamp_change();
INSERT INTO ops.retention (table_name, time_column, keep_days) VALUES
  ('public.quotes', 'event_time', 90),
  ('public.trades', 'event_time', 30),
  ('public.articles', 'published_at', 180),
  ('public.bar_news', 'published_at', 180),
  ('public.predictions', 'predicted_at', 365),
  ('ops.market_enriched_revisions', 'known_at', 30);
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON ops.retention
  FOR EACH ROW EXECUTE FUNCTION ops.note_change('table_name');

-- Time partitions stand in a schema of their own, which nobody reads: readers ask the table, whose row rules hold.
CREATE SCHEMA IF NOT EXISTS partitions;
COMMENT ON SCHEMA partitions IS 'Parts of partitioned tables. Not exposed by the API.';
REVOKE ALL ON SCHEMA partitions FROM PUBLIC;

CREATE TABLE public.quotes (
  venue           text NOT NULL,
  symbol          text NOT NULL,
  event_time      timestamptz NOT NULL,
  received_at     timestamptz NOT NULL,
  price           double precision NOT NULL,
  bid             double precision,
  ask             double precision,
  volume_24h      double precision,
  volume_24h_base double precision,
  market_cap_usd  double precision,
  change_24h_pct  double precision,
  PRIMARY KEY (venue, symbol, event_time)
) PARTITION BY RANGE (event_time);
CREATE INDEX quotes_event_time_idx ON public.quotes USING brin (event_time);
CREATE TABLE partitions.quotes_other PARTITION OF public.quotes DEFAULT;
COMMENT ON TABLE public.quotes IS 'Quotes that can be believed, one row per market and time of the source; the others stand in silver.quarantine.';
COMMENT ON COLUMN public.quotes.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.quotes.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.quotes.event_time IS 'Time the source gives for the quote.';
COMMENT ON COLUMN public.quotes.received_at IS 'When we first received it (platform clock).';
COMMENT ON COLUMN public.quotes.price IS 'Last or mid price in quote currency.';
COMMENT ON COLUMN public.quotes.bid IS 'Best bid.';
COMMENT ON COLUMN public.quotes.ask IS 'Best ask.';
COMMENT ON COLUMN public.quotes.volume_24h IS 'Volume of the last 24 h in quote currency.';
COMMENT ON COLUMN public.quotes.volume_24h_base IS 'Volume of the last 24 h in base.';
COMMENT ON COLUMN public.quotes.market_cap_usd IS 'Market capitalisation.';
COMMENT ON COLUMN public.quotes.change_24h_pct IS 'Change of the price over the last 24 h in percent.';
ALTER TABLE public.quotes ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.quotes FROM PUBLIC, anon, authenticated;
GRANT SELECT ON public.quotes TO authenticated, ci_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.quotes TO service_role, ci_writer, ci_migrator;
CREATE POLICY readers_see_all ON public.quotes FOR SELECT TO authenticated, ci_reader USING (true);
CREATE POLICY writers_may_all ON public.quotes FOR ALL TO service_role, ci_writer, ci_migrator
  USING (true) WITH CHECK (true);
CREATE POLICY api_reads ON public.quotes FOR SELECT TO ci_api USING (true);

-- The day's part of a table, made before its rows come; a row of a day without one goes to the part `_other`.
CREATE FUNCTION ops.ensure_partitions(parent text, first_day date, last_day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  relation regclass := to_regclass(parent);
  base text := split_part(parent, '.', 2);
  made bigint := 0;
  day date;
BEGIN
  IF relation IS NULL OR (SELECT relkind FROM pg_catalog.pg_class WHERE oid = relation) <> 'p' THEN
    RETURN 0; -- no partitions of ours: a plain table, or TimescaleDB's
  END IF;
  IF last_day - first_day > 400 THEN
    RAISE EXCEPTION 'at most 400 days at once';
  END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('ops.ensure_partitions'));
  FOR day IN SELECT d::date FROM generate_series(first_day::timestamp, last_day::timestamp, interval '1 day') d LOOP
    CONTINUE WHEN to_regclass(format('partitions.%I', base || to_char(day, '_YYYYMMDD'))) IS NOT NULL;
    -- Rows that came before their part would keep it from being made; they stay in `_other`, and so does their day.
    CONTINUE WHEN ops.has_rows_of_day(format('partitions.%I', base || '_other'), relation, day);
    EXECUTE format('CREATE TABLE partitions.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
      base || to_char(day, '_YYYYMMDD'), relation, day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION ops.ensure_partitions(text, date, date) IS 'Make the parts of a table for these days (UTC); returns how many were new.';

CREATE FUNCTION ops.has_rows_of_day(part text, parent regclass, day date) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  time_column text;
  found boolean;
BEGIN
  SELECT a.attname INTO time_column FROM pg_catalog.pg_partitioned_table p
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = parent;
  EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= %L AND %I < %L)', part, time_column,
    day::text || ' 00:00+00', time_column, (day + 1)::text || ' 00:00+00') INTO found;
  RETURN found;
END
$$;
COMMENT ON FUNCTION ops.has_rows_of_day(text, regclass, date) IS 'The part holds rows of that day (UTC).';

-- The present of the data: the newest trade, also of a replay; never ahead of the clock on the wall, so that an event
-- dated into the future takes nothing with it.
CREATE FUNCTION ops.newest_event() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE WHEN count(*) > 0 THEN least(max(event_time), now()) END FROM public.live_markets
$$;
COMMENT ON FUNCTION ops.newest_event() IS 'Time of the newest trade; null before the first.';

CREATE FUNCTION ops.apply_retention()
RETURNS TABLE (table_name text, cutoff timestamptz, parts_dropped bigint, rows_deleted bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  policy ops.retention;
  relation regclass;
  newest timestamptz := ops.newest_event();
  part record;
BEGIN
  FOR policy IN SELECT r.* FROM ops.retention r ORDER BY r.table_name LOOP
    relation := to_regclass(policy.table_name);
    CONTINUE WHEN relation IS NULL OR newest IS NULL;
    table_name := policy.table_name;
    cutoff := newest - make_interval(days => policy.keep_days);
    parts_dropped := 0;
    rows_deleted := 0;
    IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb') AND ops.is_hypertable(relation) THEN
      EXECUTE format('SELECT count(*) FROM %s.drop_chunks(%L::regclass, older_than => %L::timestamptz)',
        ops.timescale_schema(), relation, cutoff) INTO parts_dropped;
    ELSE
      FOR part IN
        SELECT i.inhrelid::regclass AS name FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = relation
          AND (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz <= cutoff
      LOOP
        EXECUTE format('DROP TABLE %s', part.name);
        parts_dropped := parts_dropped + 1;
      END LOOP;
      EXECUTE format('DELETE FROM %s WHERE %I < %L', relation, policy.time_column, cutoff);
      GET DIAGNOSTICS rows_deleted = ROW_COUNT;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION ops.apply_retention() IS
  'Drop what is older than ops.retention says: whole parts where a table has them, rows elsewhere; what was done, by table.';

CREATE FUNCTION ops.timescale_schema() RETURNS name
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'timescaledb'
$$;
COMMENT ON FUNCTION ops.timescale_schema() IS 'Where TimescaleDB''s functions stand; null without the extension.';

CREATE FUNCTION ops.is_hypertable(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  found boolean;
BEGIN
  EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.hypertables h JOIN pg_catalog.pg_class c '
    'ON c.relname = h.hypertable_name AND c.relnamespace::regnamespace::text = h.hypertable_schema WHERE c.oid = $1)'
    INTO found USING relation;
  RETURN found;
END
$$;
COMMENT ON FUNCTION ops.is_hypertable(regclass) IS 'TimescaleDB keeps the table in chunks; asked only where the extension is.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ops FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION ops.ensure_partitions(text, date, date) TO service_role, ci_writer, ci_migrator;
GRANT EXECUTE ON FUNCTION ops.apply_retention() TO service_role, ci_writer, ci_migrator, ci_admin;
GRANT SELECT ON ops.audit, ops.retention TO ci_reader, ci_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.retention TO service_role, ci_migrator;
GRANT UPDATE (keep_days) ON ops.retention TO ci_admin;
GRANT SELECT, INSERT, UPDATE ON ops.api_keys TO ci_admin;
