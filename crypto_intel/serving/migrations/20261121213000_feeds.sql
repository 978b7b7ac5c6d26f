-- The state of each feed: a quiet market and a dead feed are told apart here.

CREATE TABLE public.feeds (
  venue      text NOT NULL,
  stream     text NOT NULL,
  state      text NOT NULL CHECK (state IN ('connected', 'disconnected', 'alive', 'polled', 'failing', 'ended')),
  detail     text NOT NULL,
  event_time timestamptz NOT NULL,
  source     text NOT NULL CHECK (source IN ('sim', 'replay', 'live')),
  PRIMARY KEY (venue, stream)
);
COMMENT ON TABLE public.feeds IS 'The newest state of each feed''s streams; its heartbeats are the stream `heartbeat`. Moves forward in event_time only.';
COMMENT ON COLUMN public.feeds.venue IS 'Feed.';
COMMENT ON COLUMN public.feeds.stream IS 'Stream of the feed, e.g. trade; `heartbeat` for its signs of life.';
COMMENT ON COLUMN public.feeds.state IS 'What it was last heard to be.';
COMMENT ON COLUMN public.feeds.detail IS 'Why, for people.';
COMMENT ON COLUMN public.feeds.event_time IS 'When that was (platform clock).';
COMMENT ON COLUMN public.feeds.source IS 'Where the market comes from: simulated, replayed or live.';
CREATE TRIGGER move_forward_only BEFORE UPDATE ON public.feeds
  FOR EACH ROW EXECUTE FUNCTION ops.move_forward_only();

ALTER TABLE public.feeds ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.feeds FROM PUBLIC, anon, authenticated;
GRANT SELECT ON public.feeds TO authenticated, ci_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.feeds TO service_role, ci_writer, ci_migrator;
CREATE POLICY readers_see_all ON public.feeds FOR SELECT TO authenticated, ci_reader USING (true);
CREATE POLICY writers_may_all ON public.feeds FOR ALL TO service_role, ci_writer, ci_migrator
  USING (true) WITH CHECK (true);
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_api') THEN
    GRANT SELECT ON public.feeds TO ci_api;
    CREATE POLICY api_reads ON public.feeds FOR SELECT TO ci_api USING (true);
  END IF;
END
$$;
