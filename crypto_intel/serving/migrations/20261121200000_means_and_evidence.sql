-- The sliding mean of the price, and what an alert rests on.

CREATE TABLE public.price_means_5m (
  venue               text NOT NULL,
  symbol              text NOT NULL,
  window_start        timestamptz NOT NULL,
  window_end          timestamptz NOT NULL,
  price_mean          double precision NOT NULL,
  vwap                double precision,
  trade_count         bigint NOT NULL,
  coverage_pct        double precision NOT NULL,
  completeness        text NOT NULL
                        CHECK (completeness IN ('complete', 'partial', 'repaired', 'unrecoverable', 'quiet')),
  completeness_reason text NOT NULL,
  PRIMARY KEY (venue, symbol, window_start)
);
CREATE INDEX price_means_5m_window_start_idx ON public.price_means_5m (window_start);
CREATE INDEX price_means_5m_symbol_window_start_idx ON public.price_means_5m (symbol, window_start);
COMMENT ON TABLE public.price_means_5m IS 'Mean price of the last five minutes, once a minute: windows that overlap. Written once each, never updated.';
COMMENT ON COLUMN public.price_means_5m.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.price_means_5m.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.price_means_5m.window_start IS 'Start of the five minutes, inclusive (event time).';
COMMENT ON COLUMN public.price_means_5m.window_end IS 'End of the five minutes, exclusive (event time); a full minute.';
COMMENT ON COLUMN public.price_means_5m.price_mean IS 'Mean of the trades'' prices, each alike; without trades the close before.';
COMMENT ON COLUMN public.price_means_5m.vwap IS 'Mean of the trades'' prices by volume; null without volume.';
COMMENT ON COLUMN public.price_means_5m.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.price_means_5m.coverage_pct IS '100 x ids seen / ids spanned; 100 without trades.';
COMMENT ON COLUMN public.price_means_5m.completeness IS 'Of the five minutes together: the worst of them.';
COMMENT ON COLUMN public.price_means_5m.completeness_reason IS 'Why it is not complete; empty when it is.';

ALTER TABLE public.price_means_5m ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.price_means_5m FROM PUBLIC, anon, authenticated;
GRANT SELECT ON public.price_means_5m TO authenticated, ci_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.price_means_5m TO service_role, ci_writer, ci_migrator;
CREATE POLICY readers_see_all ON public.price_means_5m FOR SELECT TO authenticated, ci_reader USING (true);
CREATE POLICY writers_may_all ON public.price_means_5m FOR ALL TO service_role, ci_writer, ci_migrator
  USING (true) WITH CHECK (true);
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_api') THEN
    GRANT SELECT ON public.price_means_5m TO ci_api;
    CREATE POLICY api_reads ON public.price_means_5m FOR SELECT TO ci_api USING (true);
  END IF;
END
$$;

COMMENT ON COLUMN public.live_markets.price_5m_mean IS 'Mean price of the trades of the last five minutes, in quote.';

ALTER TABLE public.alerts ADD COLUMN article_ids text[] NOT NULL DEFAULT '{}';
ALTER TABLE public.alerts ADD COLUMN evidence text NOT NULL DEFAULT '{}';
COMMENT ON COLUMN public.alerts.article_ids IS 'News that it rests on.';
COMMENT ON COLUMN public.alerts.evidence IS 'JSON: bar, the minute in which it fired as it was then; values, what was compared.';

-- What the queries' batches spend their time on.
ALTER TABLE ops.stream_progress ADD COLUMN phases_ms jsonb NOT NULL DEFAULT '{}';
ALTER TABLE ops.stream_progress ADD COLUMN lag_s double precision;
COMMENT ON COLUMN ops.stream_progress.phases_ms IS 'Milliseconds of the batch by phase.';
COMMENT ON COLUMN ops.stream_progress.lag_s IS 'Age in seconds of the newest record that the batch read, by Kafka''s time.';
