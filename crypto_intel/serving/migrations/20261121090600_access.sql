-- Who may do what. Row level security is on for every served table; anon has no right to any of them.

DO $$
DECLARE
  served text;
BEGIN
  FOREACH served IN ARRAY ARRAY[
    'bars_1m', 'bars_5m', 'bar_news', 'market_enriched', 'live_markets', 'alerts', 'gaps', 'articles',
    'macro_observations'
  ]
  LOOP
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', served);
    -- A Supabase project grants everything on new tables of public to all three of its roles.
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, anon, authenticated', served);
    EXECUTE format('GRANT SELECT ON public.%I TO authenticated, ci_reader', served);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO service_role, ci_writer, ci_migrator', served);
    EXECUTE format(
      'CREATE POLICY readers_see_all ON public.%I FOR SELECT TO authenticated, ci_reader USING (true)', served);
    EXECUTE format(
      'CREATE POLICY writers_may_all ON public.%I FOR ALL TO service_role, ci_writer, ci_migrator '
      'USING (true) WITH CHECK (true)', served);
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION public.refresh_market_enriched(jsonb, timestamptz) FROM PUBLIC, anon, authenticated;
REVOKE ALL ON FUNCTION public.record_gaps(jsonb) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION public.refresh_market_enriched(jsonb, timestamptz) TO service_role, ci_writer;
GRANT EXECUTE ON FUNCTION public.record_gaps(jsonb) TO service_role, ci_writer;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops TO service_role, ci_writer, ci_migrator;
GRANT SELECT ON ops.stream_progress TO ci_reader;

-- A migration runner that keeps its own tables in public must not expose them either.
DO $$
DECLARE
  ledger text;
BEGIN
  FOR ledger IN
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
      AND relname IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock')
  LOOP
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', ledger);
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, anon, authenticated', ledger);
  END LOOP;
END
$$;
