-- A burst of news has its articles scored while their hour runs: whoever refreshes a provisional row, stream or run,
-- finds the mood in public.articles, so that neither takes it away from the other.

COMMENT ON COLUMN public.articles.sentiment IS '-1..1: as the source tells it, else scored once its hour has closed or its news came in a burst; null where neither does.';

CREATE OR REPLACE FUNCTION public.refresh_market_enriched(window_keys jsonb, as_known_at timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  changed bigint;
BEGIN
  -- Bars and news come from two streams. Without the lock, two transactions could each miss the row that the other
  -- has not committed yet, and the window would stay without its news for ever. It is held until the commit.
  PERFORM pg_advisory_xact_lock(hashtext('public.refresh_market_enriched'));
  WITH wanted AS (
    SELECT DISTINCT venue, symbol, window_start
    FROM jsonb_to_recordset(window_keys) AS k(venue text, symbol text, window_start timestamptz)
  ),
  bars AS (
    SELECT b.*, (b.window_end AT TIME ZONE 'UTC')::date AS known_on
    FROM wanted JOIN public.bars_1m b USING (venue, symbol, window_start)
  ),
  -- A value released on a day counts from the next day on, so that nothing leaks within the day of its release.
  macro AS MATERIALIZED ( -- once a day of windows, not once a window
    SELECT
      d.known_on,
      max(now.value) FILTER (WHERE s.series_id = 'FEDFUNDS') AS fed_funds_pct,
      max(now.value) FILTER (WHERE s.series_id = 'DGS10') AS treasury_10y_pct,
      max(now.value) FILTER (WHERE s.series_id = 'T10Y2Y') AS yield_curve_10y2y_pct,
      max(now.value) FILTER (WHERE s.series_id = 'VIXCLS') AS vix_index,
      max(now.value) FILTER (WHERE s.series_id = 'DTWEXBGS') AS dollar_index,
      max(100 * (now.value / nullif(before.value, 0) - 1)) FILTER (WHERE s.series_id = 'CPIAUCSL') AS cpi_yoy_pct
    FROM (SELECT DISTINCT known_on FROM bars) d
    CROSS JOIN (
      VALUES ('FEDFUNDS'), ('DGS10'), ('T10Y2Y'), ('VIXCLS'), ('DTWEXBGS'), ('CPIAUCSL')
    ) AS s(series_id)
    LEFT JOIN LATERAL (
      SELECT m.observation_date, m.value
      FROM public.macro_observations m
      WHERE m.series_id = s.series_id AND m.value IS NOT NULL
        AND m.realtime_start < d.known_on AND m.realtime_end >= d.known_on - 1
      ORDER BY m.observation_date DESC, m.realtime_start DESC
      LIMIT 1
    ) now ON true
    LEFT JOIN LATERAL (
      SELECT m.value
      FROM public.macro_observations m
      WHERE s.series_id = 'CPIAUCSL' AND m.series_id = s.series_id
        AND m.observation_date = (now.observation_date - interval '1 year')::date
        AND m.realtime_start < d.known_on AND m.realtime_end >= d.known_on - 1
      ORDER BY m.realtime_start DESC
      LIMIT 1
    ) before ON true
    GROUP BY d.known_on
  )
  INSERT INTO public.market_enriched AS e (
    venue, symbol, window_start, window_end, open, high, low, close, vwap, volume_base, volume_quote,
    buy_volume_base, trade_count, return_pct, volatility_pct, first_trade_id, last_trade_id, coverage_pct,
    completeness, completeness_reason, news_count, news_before_count, news_after_count, sentiment_mean, article_ids,
    fed_funds_pct, treasury_10y_pct, yield_curve_10y2y_pct, vix_index, dollar_index, cpi_yoy_pct,
    is_final, revision, known_at
  )
  SELECT
    b.venue, b.symbol, b.window_start, b.window_end, b.open, b.high, b.low, b.close, b.vwap, b.volume_base,
    b.volume_quote, b.buy_volume_base, b.trade_count, b.return_pct, b.volatility_pct, b.first_trade_id,
    b.last_trade_id, b.coverage_pct, b.completeness, b.completeness_reason,
    n.news_count, n.news_before_count, n.news_after_count, n.sentiment_mean,
    coalesce(n.article_ids, '{}'),
    m.fed_funds_pct, m.treasury_10y_pct, m.yield_curve_10y2y_pct, m.vix_index, m.dollar_index, m.cpi_yoy_pct,
    false, 0, as_known_at
  FROM bars b
  LEFT JOIN LATERAL ( -- an index look-up a window, however many windows are asked for
    SELECT
      count(*) AS news_count,
      count(*) FILTER (WHERE heard_at <= b.window_end) AS news_before_count,
      count(*) FILTER (WHERE heard_at > b.window_end) AS news_after_count,
      -- What the source told of the article, else the mood that was scored since it streamed.
      avg(coalesce(bar_news.sentiment, a.sentiment) ORDER BY bar_news.article_id COLLATE "C") AS sentiment_mean,
      array_agg(bar_news.article_id ORDER BY bar_news.article_id COLLATE "C") AS article_ids
    FROM public.bar_news
    LEFT JOIN public.articles a USING (article_id)
    CROSS JOIN LATERAL (
      SELECT CASE bar_news.clock WHEN 'first_seen' THEN bar_news.first_seen_at ELSE bar_news.published_at END AS heard_at
    ) AS own
    WHERE bar_news.venue = b.venue AND bar_news.symbol = b.symbol AND bar_news.window_start = b.window_start
  ) n ON true
  LEFT JOIN macro m USING (known_on)
  ORDER BY b.venue, b.symbol, b.window_start
  ON CONFLICT (venue, symbol, window_start) DO UPDATE SET
    window_end = excluded.window_end, open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, vwap = excluded.vwap, volume_base = excluded.volume_base,
    volume_quote = excluded.volume_quote, buy_volume_base = excluded.buy_volume_base,
    trade_count = excluded.trade_count, return_pct = excluded.return_pct, volatility_pct = excluded.volatility_pct,
    first_trade_id = excluded.first_trade_id, last_trade_id = excluded.last_trade_id,
    coverage_pct = excluded.coverage_pct, completeness = excluded.completeness,
    completeness_reason = excluded.completeness_reason, news_count = excluded.news_count,
    news_before_count = excluded.news_before_count, news_after_count = excluded.news_after_count,
    sentiment_mean = excluded.sentiment_mean, article_ids = excluded.article_ids,
    fed_funds_pct = excluded.fed_funds_pct, treasury_10y_pct = excluded.treasury_10y_pct,
    yield_curve_10y2y_pct = excluded.yield_curve_10y2y_pct, vix_index = excluded.vix_index,
    dollar_index = excluded.dollar_index, cpi_yoy_pct = excluded.cpi_yoy_pct,
    is_final = excluded.is_final, revision = excluded.revision, known_at = excluded.known_at
  WHERE NOT e.is_final;
  GET DIAGNOSTICS changed = ROW_COUNT;
  RETURN changed;
END
$$;
