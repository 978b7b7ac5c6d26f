-- The tables that are served. Columns, types and comments are those of the contracts; a test holds them equal.

CREATE TABLE public.bars_1m (
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
CREATE INDEX bars_1m_symbol_window_start_idx ON public.bars_1m (symbol, window_start);
CREATE INDEX bars_1m_window_start_idx ON public.bars_1m (window_start);
COMMENT ON TABLE public.bars_1m IS '1-minute bars as they streamed.';
COMMENT ON COLUMN public.bars_1m.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.bars_1m.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.bars_1m.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.bars_1m.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.bars_1m.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1m.high IS 'Highest price.';
COMMENT ON COLUMN public.bars_1m.low IS 'Lowest price.';
COMMENT ON COLUMN public.bars_1m.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_1m.vwap IS 'volume_quote / volume_base; null without volume.';
COMMENT ON COLUMN public.bars_1m.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1m.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.bars_1m.buy_volume_base IS 'Part of volume_base whose taker bought.';
COMMENT ON COLUMN public.bars_1m.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.bars_1m.return_pct IS '100 x (close / close of the window before - 1); null without one.';
COMMENT ON COLUMN public.bars_1m.volatility_pct IS '100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson''s range estimate (1980), which no order of arrival changes.';
COMMENT ON COLUMN public.bars_1m.first_trade_id IS 'Least trade id.';
COMMENT ON COLUMN public.bars_1m.last_trade_id IS 'Greatest trade id.';
COMMENT ON COLUMN public.bars_1m.coverage_pct IS '100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.';
COMMENT ON COLUMN public.bars_1m.completeness IS 'Whether all of the window is here.';
COMMENT ON COLUMN public.bars_1m.completeness_reason IS 'Why it is not complete; empty when it is.';

CREATE TABLE public.bars_5m (
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
CREATE INDEX bars_5m_symbol_window_start_idx ON public.bars_5m (symbol, window_start);
CREATE INDEX bars_5m_window_start_idx ON public.bars_5m (window_start);
COMMENT ON TABLE public.bars_5m IS '5-minute bars as they streamed.';
COMMENT ON COLUMN public.bars_5m.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.bars_5m.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.bars_5m.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.bars_5m.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.bars_5m.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_5m.high IS 'Highest price.';
COMMENT ON COLUMN public.bars_5m.low IS 'Lowest price.';
COMMENT ON COLUMN public.bars_5m.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.bars_5m.vwap IS 'volume_quote / volume_base; null without volume.';
COMMENT ON COLUMN public.bars_5m.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.bars_5m.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.bars_5m.buy_volume_base IS 'Part of volume_base whose taker bought.';
COMMENT ON COLUMN public.bars_5m.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.bars_5m.return_pct IS '100 x (close / close of the window before - 1); null without one.';
COMMENT ON COLUMN public.bars_5m.volatility_pct IS '100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson''s range estimate (1980), which no order of arrival changes.';
COMMENT ON COLUMN public.bars_5m.first_trade_id IS 'Least trade id.';
COMMENT ON COLUMN public.bars_5m.last_trade_id IS 'Greatest trade id.';
COMMENT ON COLUMN public.bars_5m.coverage_pct IS '100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.';
COMMENT ON COLUMN public.bars_5m.completeness IS 'Whether all of the window is here.';
COMMENT ON COLUMN public.bars_5m.completeness_reason IS 'Why it is not complete; empty when it is.';

CREATE TABLE public.bar_news (
  venue             text NOT NULL,
  symbol            text NOT NULL,
  window_start      timestamptz NOT NULL,
  window_end        timestamptz NOT NULL,
  close             double precision,
  article_id        text NOT NULL,
  title             text NOT NULL,
  source            text NOT NULL,
  published_at      timestamptz NOT NULL,
  first_seen_at     timestamptz NOT NULL,
  published_after_s double precision NOT NULL,
  sentiment         double precision,
  PRIMARY KEY (venue, symbol, window_start, article_id)
);
CREATE INDEX bar_news_article_id_idx ON public.bar_news (article_id);
CREATE INDEX bar_news_symbol_published_at_idx ON public.bar_news (symbol, published_at);
CREATE INDEX bar_news_published_at_idx ON public.bar_news (published_at);
COMMENT ON TABLE public.bar_news IS 'Pairs of a 1-minute bar and an article about its base asset, published within 5 minutes of the bar''s end.';
COMMENT ON COLUMN public.bar_news.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.bar_news.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.bar_news.window_start IS 'Start of the bar.';
COMMENT ON COLUMN public.bar_news.window_end IS 'End of the bar.';
COMMENT ON COLUMN public.bar_news.close IS 'Close of the bar.';
COMMENT ON COLUMN public.bar_news.article_id IS 'Article.';
COMMENT ON COLUMN public.bar_news.title IS 'Headline.';
COMMENT ON COLUMN public.bar_news.source IS 'Publisher.';
COMMENT ON COLUMN public.bar_news.published_at IS 'When the source says it published.';
COMMENT ON COLUMN public.bar_news.first_seen_at IS 'When we first saw it.';
COMMENT ON COLUMN public.bar_news.published_after_s IS 'published_at - window_end in seconds.';
COMMENT ON COLUMN public.bar_news.sentiment IS '-1..1; null until scored.';

CREATE TABLE public.market_enriched (
  venue                 text NOT NULL,
  symbol                text NOT NULL,
  window_start          timestamptz NOT NULL,
  window_end            timestamptz NOT NULL,
  open                  double precision,
  high                  double precision,
  low                   double precision,
  close                 double precision,
  vwap                  double precision,
  volume_base           double precision NOT NULL,
  volume_quote          double precision NOT NULL,
  buy_volume_base       double precision NOT NULL,
  trade_count           bigint NOT NULL,
  return_pct            double precision,
  volatility_pct        double precision,
  first_trade_id        bigint,
  last_trade_id         bigint,
  coverage_pct          double precision NOT NULL,
  completeness          text NOT NULL
                          CHECK (completeness IN ('complete', 'partial', 'repaired', 'unrecoverable', 'quiet')),
  completeness_reason   text NOT NULL,
  news_count            bigint NOT NULL,
  news_before_count     bigint NOT NULL,
  news_after_count      bigint NOT NULL,
  sentiment_mean        double precision,
  article_ids           text[] NOT NULL,
  fed_funds_pct         double precision,
  treasury_10y_pct      double precision,
  yield_curve_10y2y_pct double precision,
  vix_index             double precision,
  dollar_index          double precision,
  cpi_yoy_pct           double precision,
  is_final              boolean NOT NULL,
  revision              bigint NOT NULL DEFAULT 0,
  known_at              timestamptz NOT NULL,
  PRIMARY KEY (venue, symbol, window_start)
);
CREATE INDEX market_enriched_symbol_window_start_idx ON public.market_enriched (symbol, window_start);
CREATE INDEX market_enriched_window_start_idx ON public.market_enriched (window_start);
COMMENT ON TABLE public.market_enriched IS 'One row per venue, symbol and 1-minute window: the bar, the news around it, and macro values as known then. Provisional rows come from the stream and are revised in place; final rows come from the closed hour.';
COMMENT ON COLUMN public.market_enriched.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.market_enriched.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.market_enriched.window_start IS 'Start of the window, inclusive (event time).';
COMMENT ON COLUMN public.market_enriched.window_end IS 'End of the window, exclusive (event time).';
COMMENT ON COLUMN public.market_enriched.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.market_enriched.high IS 'Highest price.';
COMMENT ON COLUMN public.market_enriched.low IS 'Lowest price.';
COMMENT ON COLUMN public.market_enriched.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.market_enriched.vwap IS 'volume_quote / volume_base; null without volume.';
COMMENT ON COLUMN public.market_enriched.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.market_enriched.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.market_enriched.buy_volume_base IS 'Part of volume_base whose taker bought.';
COMMENT ON COLUMN public.market_enriched.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.market_enriched.return_pct IS '100 x (close / close of the window before - 1); null without one.';
COMMENT ON COLUMN public.market_enriched.volatility_pct IS '100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson''s range estimate (1980), which no order of arrival changes.';
COMMENT ON COLUMN public.market_enriched.first_trade_id IS 'Least trade id.';
COMMENT ON COLUMN public.market_enriched.last_trade_id IS 'Greatest trade id.';
COMMENT ON COLUMN public.market_enriched.coverage_pct IS '100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.';
COMMENT ON COLUMN public.market_enriched.completeness IS 'Whether all of the window is here.';
COMMENT ON COLUMN public.market_enriched.completeness_reason IS 'Why it is not complete; empty when it is.';
COMMENT ON COLUMN public.market_enriched.news_count IS 'Articles about the base asset within 5 minutes of window_end.';
COMMENT ON COLUMN public.market_enriched.news_before_count IS 'Of these, published at or before window_end.';
COMMENT ON COLUMN public.market_enriched.news_after_count IS 'Of these, published after window_end.';
COMMENT ON COLUMN public.market_enriched.sentiment_mean IS 'Mean sentiment of the scored ones.';
COMMENT ON COLUMN public.market_enriched.article_ids IS 'Their ids, sorted.';
COMMENT ON COLUMN public.market_enriched.fed_funds_pct IS 'FRED FEDFUNDS as known at window_end, in percent.';
COMMENT ON COLUMN public.market_enriched.treasury_10y_pct IS 'FRED DGS10 as known at window_end, in percent.';
COMMENT ON COLUMN public.market_enriched.yield_curve_10y2y_pct IS 'FRED T10Y2Y as known at window_end, in points of percent.';
COMMENT ON COLUMN public.market_enriched.vix_index IS 'VIX close as known at window_end, an index.';
COMMENT ON COLUMN public.market_enriched.dollar_index IS 'FRED DTWEXBGS as known at window_end, an index.';
COMMENT ON COLUMN public.market_enriched.cpi_yoy_pct IS 'FRED CPIAUCSL against a year before, as known at window_end.';
COMMENT ON COLUMN public.market_enriched.is_final IS 'true: recomputed from bronze after the hour closed; false: provisional, from the stream.';
COMMENT ON COLUMN public.market_enriched.revision IS 'Grows with each change of the row.';
COMMENT ON COLUMN public.market_enriched.known_at IS 'Platform clock at which this revision could be known.';
