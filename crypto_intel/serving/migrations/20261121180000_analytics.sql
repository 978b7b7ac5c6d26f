-- What is computed of closed hours and days, and macro features: longer bars, indicators, summaries.

CREATE TABLE public.bars_1h (
  venue               text NOT NULL,
  symbol              text NOT NULL,
  window_start        timestamptz NOT NULL,
  window_end          timestamptz NOT NULL,
  open                double precision,
  high                double precision,
  low                 double precision,
  close               double precision,
  vwap                double precision,
  volume_base         double precision NOT NULL,
  volume_quote        double precision NOT NULL,
  buy_volume_base     double precision NOT NULL,
  trade_count         bigint NOT NULL,
  return_pct          double precision,
  volatility_pct      double precision,
  first_trade_id      bigint,
  last_trade_id       bigint,
  coverage_pct        double precision NOT NULL,
  completeness        text NOT NULL
                        CHECK (completeness IN ('complete', 'partial', 'repaired', 'unrecoverable', 'quiet')),
  completeness_reason text NOT NULL,
  PRIMARY KEY (venue, symbol, window_start)
);
CREATE INDEX bars_1h_window_start_idx ON public.bars_1h (window_start);
COMMENT ON TABLE public.bars_1h IS '1-hour bars of closed hours.';
COMMENT ON COLUMN public.bars_1h.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.bars_1h.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.bars_1h.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.bars_1h.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.bars_1h.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1h.high IS 'Highest price.';
COMMENT ON COLUMN public.bars_1h.low IS 'Lowest price.';
COMMENT ON COLUMN public.bars_1h.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1h.vwap IS 'volume_quote / volume_base; null without volume.';
COMMENT ON COLUMN public.bars_1h.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1h.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1h.buy_volume_base IS 'Part of volume_base whose taker bought.';
COMMENT ON COLUMN public.bars_1h.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.bars_1h.return_pct IS '100 x (close / close of the window before - 1); null without one.';
COMMENT ON COLUMN public.bars_1h.volatility_pct IS '100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson''s range estimate (1980), which no order of arrival changes.';
COMMENT ON COLUMN public.bars_1h.first_trade_id IS 'Least trade id.';
COMMENT ON COLUMN public.bars_1h.last_trade_id IS 'Greatest trade id.';
COMMENT ON COLUMN public.bars_1h.coverage_pct IS '100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.';
COMMENT ON COLUMN public.bars_1h.completeness IS 'Whether all of the window is here.';
COMMENT ON COLUMN public.bars_1h.completeness_reason IS 'Why it is not complete; empty when it is.';

CREATE TABLE public.bars_1d (
  venue               text NOT NULL,
  symbol              text NOT NULL,
  window_start        timestamptz NOT NULL,
  window_end          timestamptz NOT NULL,
  open                double precision,
  high                double precision,
  low                 double precision,
  close               double precision,
  vwap                double precision,
  volume_base         double precision NOT NULL,
  volume_quote        double precision NOT NULL,
  buy_volume_base     double precision NOT NULL,
  trade_count         bigint NOT NULL,
  return_pct          double precision,
  volatility_pct      double precision,
  first_trade_id      bigint,
  last_trade_id       bigint,
  coverage_pct        double precision NOT NULL,
  completeness        text NOT NULL
                        CHECK (completeness IN ('complete', 'partial', 'repaired', 'unrecoverable', 'quiet')),
  completeness_reason text NOT NULL,
  PRIMARY KEY (venue, symbol, window_start)
);
CREATE INDEX bars_1d_window_start_idx ON public.bars_1d (window_start);
COMMENT ON TABLE public.bars_1d IS '1-day bars (UTC) of closed days.';
COMMENT ON COLUMN public.bars_1d.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.bars_1d.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.bars_1d.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.bars_1d.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.bars_1d.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1d.high IS 'Highest price.';
COMMENT ON COLUMN public.bars_1d.low IS 'Lowest price.';
COMMENT ON COLUMN public.bars_1d.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1d.vwap IS 'volume_quote / volume_base; null without volume.';
COMMENT ON COLUMN public.bars_1d.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1d.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1d.buy_volume_base IS 'Part of volume_base whose taker bought.';
COMMENT ON COLUMN public.bars_1d.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.bars_1d.return_pct IS '100 x (close / close of the window before - 1); null without one.';
COMMENT ON COLUMN public.bars_1d.volatility_pct IS '100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson''s range estimate (1980), which no order of arrival changes.';
COMMENT ON COLUMN public.bars_1d.first_trade_id IS 'Least trade id.';
COMMENT ON COLUMN public.bars_1d.last_trade_id IS 'Greatest trade id.';
COMMENT ON COLUMN public.bars_1d.coverage_pct IS '100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.';
COMMENT ON COLUMN public.bars_1d.completeness IS 'Whether all of the window is here.';
COMMENT ON COLUMN public.bars_1d.completeness_reason IS 'Why it is not complete; empty when it is.';

CREATE TABLE public.indicators (
  venue            text NOT NULL,
  symbol           text NOT NULL,
  interval         text NOT NULL
                     CHECK (interval IN ('1m', '5m', '1h')),
  window_start     timestamptz NOT NULL,
  window_end       timestamptz NOT NULL,
  close            double precision,
  rsi_14           double precision,
  macd             double precision,
  macd_signal      double precision,
  macd_histogram   double precision,
  bollinger_middle double precision,
  bollinger_upper  double precision,
  bollinger_lower  double precision,
  ema_20           double precision,
  atr_14           double precision,
  vwap             double precision,
  bars_used        bigint NOT NULL,
  PRIMARY KEY (venue, symbol, interval, window_start)
);
CREATE INDEX indicators_window_start_idx ON public.indicators (window_start);
COMMENT ON TABLE public.indicators IS 'Technical indicators of bars of 1 minute, 5 minutes and 1 hour, by TA-Lib; null until there are bars enough. Each hour is computed from the 1,440 minutes, 288 five minutes or 288 hours before it.';
COMMENT ON COLUMN public.indicators.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.indicators.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.indicators.interval IS 'Length of the bars.';
COMMENT ON COLUMN public.indicators.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.indicators.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.indicators.close IS 'Close of the bar.';
COMMENT ON COLUMN public.indicators.rsi_14 IS 'Relative strength index over 14 bars (Wilder), 0..100.';
COMMENT ON COLUMN public.indicators.macd IS 'EMA over 12 less EMA over 26 closes, in quote.';
COMMENT ON COLUMN public.indicators.macd_signal IS 'EMA over 9 of macd, in quote.';
COMMENT ON COLUMN public.indicators.macd_histogram IS 'macd less macd_signal, in quote.';
COMMENT ON COLUMN public.indicators.bollinger_middle IS 'Mean of 20 closes, in quote.';
COMMENT ON COLUMN public.indicators.bollinger_upper IS 'bollinger_middle plus 2 standard deviations of 20 closes, in quote.';
COMMENT ON COLUMN public.indicators.bollinger_lower IS 'bollinger_middle less 2 standard deviations of 20 closes, in quote.';
COMMENT ON COLUMN public.indicators.ema_20 IS 'Exponential mean of closes over 20 bars, begun by their plain mean, in quote.';
COMMENT ON COLUMN public.indicators.atr_14 IS 'Average true range over 14 bars (Wilder), in quote.';
COMMENT ON COLUMN public.indicators.vwap IS 'Typical price weighted by volume_base since 00:00 UTC of the bar''s day, in quote.';
COMMENT ON COLUMN public.indicators.bars_used IS 'Bars up to this one that it is computed from.';

CREATE TABLE public.market_summary (
  venue            text NOT NULL,
  symbol           text NOT NULL,
  window_start     timestamptz NOT NULL,
  window_end       timestamptz NOT NULL,
  price_mean       double precision,
  price_low        double precision,
  price_high       double precision,
  close            double precision,
  change_1h_pct    double precision,
  change_24h_pct   double precision,
  rank_24h         bigint,
  volume_base_24h  double precision NOT NULL,
  volume_quote_24h double precision NOT NULL,
  trade_count_24h  bigint NOT NULL,
  hours_24h        bigint NOT NULL,
  coverage_pct     double precision NOT NULL,
  PRIMARY KEY (venue, symbol, window_start)
);
CREATE INDEX market_summary_window_start_idx ON public.market_summary (window_start);
COMMENT ON TABLE public.market_summary IS 'Each market at the end of an hour: the hour''s mean, low and high, the day''s volume, and its rank by performance.';
COMMENT ON COLUMN public.market_summary.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.market_summary.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.market_summary.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.market_summary.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.market_summary.price_mean IS 'Mean of the minutes'' closes, in quote.';
COMMENT ON COLUMN public.market_summary.price_low IS 'Lowest price of the hour, in quote.';
COMMENT ON COLUMN public.market_summary.price_high IS 'Highest price of the hour, in quote.';
COMMENT ON COLUMN public.market_summary.close IS 'Last price of the hour, in quote.';
COMMENT ON COLUMN public.market_summary.change_1h_pct IS '100 x (close / close of the hour before - 1).';
COMMENT ON COLUMN public.market_summary.change_24h_pct IS '100 x (close / close 24 hours before - 1); null without.';
COMMENT ON COLUMN public.market_summary.rank_24h IS '1 is the best change_24h_pct of all markets; null without.';
COMMENT ON COLUMN public.market_summary.volume_base_24h IS 'Volume of the last 24 hours, in base.';
COMMENT ON COLUMN public.market_summary.volume_quote_24h IS 'Volume of the last 24 hours, in quote.';
COMMENT ON COLUMN public.market_summary.trade_count_24h IS 'Trades of the last 24 hours.';
COMMENT ON COLUMN public.market_summary.hours_24h IS 'Of the last 24 hours, how many have bars.';
COMMENT ON COLUMN public.market_summary.coverage_pct IS 'Coverage of the hour''s bar.';

CREATE TABLE public.macro_features (
  as_of_date                    date NOT NULL,
  fed_funds_pct                 double precision,
  treasury_2y_pct               double precision,
  treasury_10y_pct              double precision,
  treasury_30y_pct              double precision,
  yield_curve_10y2y_pct         double precision,
  breakeven_10y_pct             double precision,
  vix_index                     double precision,
  dollar_index                  double precision,
  oil_wti_usd                   double precision,
  financial_stress_index        double precision,
  initial_claims                double precision,
  cpi_yoy_pct                   double precision,
  core_cpi_yoy_pct              double precision,
  unemployment_pct              double precision,
  payrolls_yoy_pct              double precision,
  industrial_production_yoy_pct double precision,
  m2_yoy_pct                    double precision,
  fed_assets_yoy_pct            double precision,
  real_gdp_yoy_pct              double precision,
  real_10y_pct                  double precision,
  known_series                  bigint NOT NULL,
  PRIMARY KEY (as_of_date)
);
COMMENT ON TABLE public.macro_features IS 'One row a UTC day: macro values as a reader of that day could know them, ready to join with markets.';
COMMENT ON COLUMN public.macro_features.as_of_date IS 'UTC day of the reader; a value released on a day counts from the day after.';
COMMENT ON COLUMN public.macro_features.fed_funds_pct IS 'Effective federal funds rate, in percent.';
COMMENT ON COLUMN public.macro_features.treasury_2y_pct IS '2-year Treasury yield, in percent.';
COMMENT ON COLUMN public.macro_features.treasury_10y_pct IS '10-year Treasury yield, in percent.';
COMMENT ON COLUMN public.macro_features.treasury_30y_pct IS '30-year Treasury yield, in percent.';
COMMENT ON COLUMN public.macro_features.yield_curve_10y2y_pct IS '10-year less 2-year yield, in points of percent.';
COMMENT ON COLUMN public.macro_features.breakeven_10y_pct IS '10-year breakeven inflation, in percent.';
COMMENT ON COLUMN public.macro_features.vix_index IS 'VIX close, an index.';
COMMENT ON COLUMN public.macro_features.dollar_index IS 'Broad dollar index.';
COMMENT ON COLUMN public.macro_features.oil_wti_usd IS 'WTI crude oil, US dollars a barrel.';
COMMENT ON COLUMN public.macro_features.financial_stress_index IS 'St. Louis Fed''s stress index; 0 is normal.';
COMMENT ON COLUMN public.macro_features.initial_claims IS 'Initial jobless claims of a week.';
COMMENT ON COLUMN public.macro_features.cpi_yoy_pct IS 'Consumer prices against a year before, in percent.';
COMMENT ON COLUMN public.macro_features.core_cpi_yoy_pct IS 'The same without food and energy.';
COMMENT ON COLUMN public.macro_features.unemployment_pct IS 'Unemployment rate, in percent.';
COMMENT ON COLUMN public.macro_features.payrolls_yoy_pct IS 'Nonfarm employees against a year before, in percent.';
COMMENT ON COLUMN public.macro_features.industrial_production_yoy_pct IS 'Industrial production against a year before, in percent.';
COMMENT ON COLUMN public.macro_features.m2_yoy_pct IS 'Money M2 against a year before, in percent.';
COMMENT ON COLUMN public.macro_features.fed_assets_yoy_pct IS 'The Fed''s assets against the same week a year before, in percent.';
COMMENT ON COLUMN public.macro_features.real_gdp_yoy_pct IS 'Real GDP against a year before, in percent.';
COMMENT ON COLUMN public.macro_features.real_10y_pct IS '10-year yield less 10-year breakeven, in percent.';
COMMENT ON COLUMN public.macro_features.known_series IS 'Series with a value on the day.';

DO $$
DECLARE
  served text;
BEGIN
  FOREACH served IN ARRAY ARRAY['bars_1h', 'bars_1d', 'indicators', 'market_summary', 'macro_features']
  LOOP
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', served);
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

COMMENT ON COLUMN public.macro_observations.fetched_at IS 'When we first fetched it.';
