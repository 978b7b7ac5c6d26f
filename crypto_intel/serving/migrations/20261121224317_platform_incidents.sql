-- Alerts may be about the platform itself.
COMMENT ON COLUMN public.alerts.venue IS 'Venue, in lower case; platform for incidents of the platform itself.';
COMMENT ON COLUMN public.alerts.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT; * for incidents of the platform itself.';
