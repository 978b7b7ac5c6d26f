-- Where TimescaleDB is: quotes stand in its chunks, and its scheduler drops what is old. Elsewhere nothing changes.

-- Its ready-made policy counts ages from the clock on the wall, which would take a replay of 2024 at once. So its
-- scheduler calls ours, which counts from the newest event and goes by what people set.
CREATE PROCEDURE ops.retention_job(job_id integer, config jsonb)
LANGUAGE sql AS $$ SELECT ops.apply_retention() $$;
COMMENT ON PROCEDURE ops.retention_job(integer, jsonb) IS 'ops.apply_retention() as TimescaleDB''s scheduler calls it.';

CREATE FUNCTION ops.adopt_timescale() RETURNS text
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  its name := ops.timescale_schema();
  is_scheduled boolean;
BEGIN
  IF its IS NULL THEN
    RETURN 'TimescaleDB is not here; parts of a day it is';
  END IF;
  IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'public.quotes'::regclass) = 'p' THEN
    PERFORM ops.make_quotes_hypertable(its);
  END IF;
  EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.jobs WHERE proc_schema = $1 AND proc_name = $2)'
    INTO is_scheduled USING 'ops', 'retention_job';
  IF NOT is_scheduled THEN
    EXECUTE format('SELECT %I.add_job(%L, interval %L)', its, 'ops.retention_job', '1 day');
  END IF;
  RETURN 'TimescaleDB keeps quotes and drops what is old';
END
$$;
COMMENT ON FUNCTION ops.adopt_timescale() IS
  'Hand what is kept in parts to TimescaleDB, if it is here; to be called again where it is added later.';

-- A partitioned table becomes no hypertable in place: the rows move into a new table of its name.
CREATE FUNCTION ops.make_quotes_hypertable(its name) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  ALTER TABLE public.quotes RENAME TO quotes_in_parts;
  CREATE TABLE public.quotes (LIKE public.quotes_in_parts INCLUDING COMMENTS);
  EXECUTE format('COMMENT ON TABLE public.quotes IS %L',
    obj_description('public.quotes_in_parts'::regclass, 'pg_class'));
  EXECUTE format('SELECT %1$I.create_hypertable(%2$L, %1$I.by_range(%3$L, interval %4$L), '
    'create_default_indexes => false)', its, 'public.quotes', 'event_time', '1 day');
  INSERT INTO public.quotes SELECT * FROM public.quotes_in_parts;
  DROP TABLE public.quotes_in_parts;
  ALTER TABLE public.quotes ADD CONSTRAINT quotes_pkey PRIMARY KEY (venue, symbol, event_time);
  CREATE INDEX quotes_event_time_idx ON public.quotes USING brin (event_time);
  ALTER TABLE public.quotes ENABLE ROW LEVEL SECURITY;
  REVOKE ALL ON public.quotes FROM PUBLIC, anon, authenticated;
  GRANT SELECT ON public.quotes TO authenticated, ci_reader;
  GRANT SELECT, INSERT, UPDATE, DELETE ON public.quotes TO service_role, ci_writer, ci_migrator;
  CREATE POLICY readers_see_all ON public.quotes FOR SELECT TO authenticated, ci_reader USING (true);
  CREATE POLICY writers_may_all ON public.quotes FOR ALL TO service_role, ci_writer, ci_migrator
    USING (true) WITH CHECK (true);
  CREATE POLICY api_reads ON public.quotes FOR SELECT TO ci_api USING (true);
END
$$;
COMMENT ON FUNCTION ops.make_quotes_hypertable(name) IS 'Quotes with their rows, rights and rules as a hypertable of a chunk a day.';

REVOKE ALL ON PROCEDURE ops.retention_job(integer, jsonb) FROM PUBLIC, anon, authenticated;
REVOKE ALL ON FUNCTION ops.adopt_timescale(), ops.make_quotes_hypertable(name) FROM PUBLIC, anon, authenticated;

DO $$ BEGIN PERFORM ops.adopt_timescale(); END $$;
