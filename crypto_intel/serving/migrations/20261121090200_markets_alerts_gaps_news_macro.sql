-- Served tables that are not bars: live state, alerts, gaps, articles, macro observations.

CREATE TABLE public.live_markets (
  venue          text NOT NULL,
  symbol         text NOT NULL,
  price          double precision NOT NULL,
  event_time     timestamptz NOT NULL,
  window_start   timestamptz NOT NULL,
  open           double precision,
  high           double precision,
  low            double precision,
  close          double precision,
  volume_base    double precision NOT NULL,
  volume_quote   double precision NOT NULL,
  trade_count    bigint NOT NULL,
  change_1h_pct  double precision,
  change_24h_pct double precision,
  price_5m_mean  double precision,
  updated_at     timestamptz NOT NULL,
  source         text NOT NULL
                   CHECK (source IN ('sim', 'replay', 'live')),
  PRIMARY KEY (venue, symbol)
) WITH (fillfactor = 50);
CREATE INDEX live_markets_symbol_idx ON public.live_markets (symbol);
COMMENT ON TABLE public.live_markets IS 'The newest state of each market, seconds old: one row per venue and symbol, moving forward in event_time only.';
COMMENT ON COLUMN public.live_markets.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.live_markets.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.live_markets.price IS 'Price of the newest trade, in quote.';
COMMENT ON COLUMN public.live_markets.event_time IS 'When the venue made that trade (venue''s clock).';
COMMENT ON COLUMN public.live_markets.window_start IS 'Start of the minute that is still open.';
COMMENT ON COLUMN public.live_markets.open IS 'Price of the trade with the least id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.live_markets.high IS 'Highest price.';
COMMENT ON COLUMN public.live_markets.low IS 'Lowest price.';
COMMENT ON COLUMN public.live_markets.close IS 'Price of the trade with the greatest id; of a quiet bar: the close before.';
COMMENT ON COLUMN public.live_markets.volume_base IS 'Sum of quantities, in base; equal to the exact sum within 1e-9 relative.';
COMMENT ON COLUMN public.live_markets.volume_quote IS 'Sum of price x quantity, in quote; within 1e-9 relative.';
COMMENT ON COLUMN public.live_markets.trade_count IS 'Trades, one per trade id.';
COMMENT ON COLUMN public.live_markets.change_1h_pct IS '100 x (price / price an hour before - 1); null without one.';
COMMENT ON COLUMN public.live_markets.change_24h_pct IS '100 x (price / price a day before - 1); null without one.';
COMMENT ON COLUMN public.live_markets.price_5m_mean IS 'Mean of the closes of the last five minutes, in quote.';
COMMENT ON COLUMN public.live_markets.updated_at IS 'Platform clock at this state.';
COMMENT ON COLUMN public.live_markets.source IS 'Where the market comes from: simulated, replayed or live.';

CREATE TABLE public.alerts (
  alert_id     text NOT NULL,
  rule         text NOT NULL,
  severity     text NOT NULL
                 CHECK (severity IN ('info', 'warning', 'critical')),
  venue        text NOT NULL,
  symbol       text NOT NULL,
  window_start timestamptz NOT NULL,
  window_end   timestamptz NOT NULL,
  raised_at    timestamptz NOT NULL,
  value        double precision NOT NULL,
  threshold    double precision NOT NULL,
  unit         text NOT NULL,
  message      text NOT NULL,
  coverage_pct double precision,
  completeness text
                 CHECK (completeness IN ('complete', 'partial', 'repaired', 'unrecoverable', 'quiet')),
  source       text NOT NULL
                 CHECK (source IN ('sim', 'replay', 'live')),
  state        text NOT NULL DEFAULT 'open'
                 CHECK (state IN ('open', 'acknowledged', 'closed')),
  PRIMARY KEY (alert_id)
);
CREATE INDEX alerts_raised_at_idx ON public.alerts (raised_at);
CREATE INDEX alerts_symbol_raised_at_idx ON public.alerts (symbol, raised_at);
COMMENT ON TABLE public.alerts IS 'Rules that fired, one row per alert; the same events are published to the alerts topic.';
COMMENT ON COLUMN public.alerts.alert_id IS 'A function of rule, market and window: the same alert has the same id.';
COMMENT ON COLUMN public.alerts.rule IS 'Rule that fired.';
COMMENT ON COLUMN public.alerts.severity IS 'How much it matters.';
COMMENT ON COLUMN public.alerts.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.alerts.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.alerts.window_start IS 'Start of the window that the rule looked at (event time).';
COMMENT ON COLUMN public.alerts.window_end IS 'End of that window, exclusive (event time).';
COMMENT ON COLUMN public.alerts.raised_at IS 'Platform clock at which it was first raised.';
COMMENT ON COLUMN public.alerts.value IS 'What the rule measured, in `unit`.';
COMMENT ON COLUMN public.alerts.threshold IS 'What it was compared with, in `unit`.';
COMMENT ON COLUMN public.alerts.unit IS 'Unit of value and threshold, e.g. pct.';
COMMENT ON COLUMN public.alerts.message IS 'For people.';
COMMENT ON COLUMN public.alerts.coverage_pct IS 'Coverage of the window when it fired; null if unknown.';
COMMENT ON COLUMN public.alerts.completeness IS 'Completeness of the window then.';
COMMENT ON COLUMN public.alerts.source IS 'Where the market comes from: simulated, replayed or live.';
COMMENT ON COLUMN public.alerts.state IS 'What people did with it; open when raised.';

CREATE TABLE public.gaps (
  venue          text NOT NULL,
  symbol         text NOT NULL,
  first_id       bigint NOT NULL,
  last_id        bigint NOT NULL,
  found_at       timestamptz NOT NULL,
  reason         text NOT NULL DEFAULT '',
  state          text NOT NULL DEFAULT 'open'
                   CHECK (state IN ('open', 'repaired', 'unrecoverable')),
  repaired_at    timestamptz,
  repaired_count bigint NOT NULL DEFAULT 0,
  CHECK (first_id <= last_id),
  PRIMARY KEY (venue, symbol, first_id)
);
CREATE INDEX gaps_state_found_at_idx ON public.gaps (state, found_at);
COMMENT ON TABLE public.gaps IS 'Trade ids that the stream missed: the ledger of what was lost, what came back and what never will.';
COMMENT ON COLUMN public.gaps.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.gaps.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.gaps.first_id IS 'First missing trade id.';
COMMENT ON COLUMN public.gaps.last_id IS 'Last missing trade id.';
COMMENT ON COLUMN public.gaps.found_at IS 'Platform clock when the hole was first seen.';
COMMENT ON COLUMN public.gaps.reason IS 'What the producer said about it; may be empty.';
COMMENT ON COLUMN public.gaps.state IS 'open until every id is back; unrecoverable: the venue no longer gives them.';
COMMENT ON COLUMN public.gaps.repaired_at IS 'Platform clock of the repair that filled it; null until then.';
COMMENT ON COLUMN public.gaps.repaired_count IS 'How many of its ids are back.';

CREATE TABLE public.articles (
  article_id    text NOT NULL,
  source        text NOT NULL,
  url           text NOT NULL,
  title         text NOT NULL,
  summary       text NOT NULL,
  content       text NOT NULL,
  tags          text[] NOT NULL,
  symbols       text[] NOT NULL,
  event_time    timestamptz,
  published_at  timestamptz NOT NULL,
  first_seen_at timestamptz NOT NULL,
  language      text,
  PRIMARY KEY (article_id)
);
CREATE INDEX articles_published_at_idx ON public.articles (published_at);
CREATE INDEX articles_symbols_idx ON public.articles USING gin (symbols);
COMMENT ON TABLE public.articles IS 'News articles, one row per article; first_seen_at is the earliest sighting.';
COMMENT ON COLUMN public.articles.article_id IS 'Hash of the canonical URL.';
COMMENT ON COLUMN public.articles.source IS 'Publisher.';
COMMENT ON COLUMN public.articles.url IS 'Canonical URL.';
COMMENT ON COLUMN public.articles.title IS 'Headline.';
COMMENT ON COLUMN public.articles.summary IS 'Description given by the source; may be empty.';
COMMENT ON COLUMN public.articles.content IS 'Text given by the source; may be cut by it.';
COMMENT ON COLUMN public.articles.tags IS 'Tags given by the source.';
COMMENT ON COLUMN public.articles.symbols IS 'Assets that the article is about, e.g. BTC.';
COMMENT ON COLUMN public.articles.event_time IS 'When what it tells of happened, if told.';
COMMENT ON COLUMN public.articles.published_at IS 'When the source says it published.';
COMMENT ON COLUMN public.articles.first_seen_at IS 'When we first saw it (platform clock): before that nobody here could know it.';
COMMENT ON COLUMN public.articles.language IS 'ISO 639-1 code, if known.';

CREATE TABLE public.macro_observations (
  series_id        text NOT NULL,
  observation_date date NOT NULL,
  value            double precision,
  realtime_start   date NOT NULL,
  realtime_end     date NOT NULL,
  fetched_at       timestamptz NOT NULL,
  PRIMARY KEY (series_id, observation_date, realtime_start)
);
CREATE INDEX macro_observations_series_id_realtime_start_idx ON public.macro_observations (series_id, realtime_start);
COMMENT ON TABLE public.macro_observations IS 'Observations of FRED series with their vintages: a revision adds a row and never rewrites one.';
COMMENT ON COLUMN public.macro_observations.series_id IS 'FRED series, e.g. CPIAUCSL.';
COMMENT ON COLUMN public.macro_observations.observation_date IS 'Period that the value is of.';
COMMENT ON COLUMN public.macro_observations.value IS 'Value in the series'' own unit; null where FRED says "." (missing).';
COMMENT ON COLUMN public.macro_observations.realtime_start IS 'First day on which this value was the current one.';
COMMENT ON COLUMN public.macro_observations.realtime_end IS 'Last such day; 9999-12-31 while it still is.';
COMMENT ON COLUMN public.macro_observations.fetched_at IS 'When we fetched it.';
