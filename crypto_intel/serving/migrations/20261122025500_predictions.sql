-- What users' models predict: written once, dated by the database, seen by its owner alone.

CREATE TABLE public.predictions (
  owner        text NOT NULL DEFAULT 'user:' || left(
                 nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', 100),
  predicted_at timestamptz NOT NULL,
  model        text NOT NULL CHECK (model ~ '^[A-Za-z0-9._-]{1,60}$'),
  venue        text NOT NULL CHECK (venue ~ '^[a-z0-9_]{1,40}$'),
  symbol       text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,15}-[A-Z0-9]{2,10}$'),
  measure      text NOT NULL
                 CHECK (measure IN ('price', 'return_pct', 'up_probability')),
  target_at    timestamptz NOT NULL CHECK (target_at > predicted_at AND mod(extract(epoch FROM target_at), 60) = 0),
  value        double precision NOT NULL CHECK (abs(value) < 1e15),
  recorded_at  timestamptz NOT NULL,
  PRIMARY KEY (owner, predicted_at, model, venue, symbol, measure, target_at)
);
-- For retention, which goes by age alone.
CREATE INDEX predictions_predicted_at_idx ON public.predictions USING brin (predicted_at);
COMMENT ON TABLE public.predictions IS 'What users'' models predicted: written once, dated by the database and never back, seen by its owner alone.';
COMMENT ON COLUMN public.predictions.owner IS 'Whose it is: key:<key id> or user:<subject of the token>.';
COMMENT ON COLUMN public.predictions.predicted_at IS 'Platform clock when it was taken in: the newest trade''s time, never ahead of the clock on the wall.';
COMMENT ON COLUMN public.predictions.model IS 'Model and its version, as the owner names them.';
COMMENT ON COLUMN public.predictions.venue IS 'Venue that traded or quoted, in lower case.';
COMMENT ON COLUMN public.predictions.symbol IS 'Market as BASE-QUOTE, e.g. BTC-USDT.';
COMMENT ON COLUMN public.predictions.measure IS 'What the value is: price, in quote; return_pct, 100 x (price then / price when predicted - 1); up_probability, 0..1, that the price is higher then.';
COMMENT ON COLUMN public.predictions.target_at IS 'Moment that it is about (event time): the end of a minute, after predicted_at.';
COMMENT ON COLUMN public.predictions.value IS 'What was predicted, as measure says.';
COMMENT ON COLUMN public.predictions.recorded_at IS 'Wall clock when it was taken in.';

-- Whoever writes, and whatever they say: when it was predicted is not theirs to tell.
CREATE FUNCTION ops.date_prediction() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  NEW.recorded_at := now();
  NEW.predicted_at := coalesce(ops.newest_event(), now());
  IF NEW.target_at <= NEW.predicted_at THEN
    RAISE EXCEPTION 'target_at: must lie after %, which is now', to_char(NEW.predicted_at AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS"Z"') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NEW.measure = 'up_probability' AND NEW.value NOT BETWEEN 0 AND 1 THEN
    RAISE EXCEPTION 'value: a probability is between 0 and 1' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.date_prediction() IS 'A prediction is dated when it is written, is of what has not happened yet, and fits its measure.';
CREATE TRIGGER date_prediction BEFORE INSERT ON public.predictions
  FOR EACH ROW EXECUTE FUNCTION ops.date_prediction();

CREATE FUNCTION ops.bound_predictions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF EXISTS (
    SELECT FROM (SELECT DISTINCT t.owner FROM taken t) o
    WHERE (SELECT count(*) FROM public.predictions p
           WHERE p.owner = o.owner AND p.predicted_at > coalesce(ops.newest_event(), now()) - interval '1 day') > 100000
  ) THEN
    RAISE EXCEPTION 'at most 100000 predictions a day' USING ERRCODE = 'program_limit_exceeded';
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.bound_predictions() IS 'An owner may write 100,000 a day of the platform clock.';
CREATE TRIGGER bound_predictions AFTER INSERT ON public.predictions
  REFERENCING NEW TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION ops.bound_predictions();

-- Own rows alone: of a Supabase user by the token's subject, of the API by whom it has let in.
ALTER TABLE public.predictions ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.predictions FROM PUBLIC, anon, authenticated, ci_reader, ci_writer;
GRANT SELECT, INSERT (owner, model, venue, symbol, measure, target_at, value) ON public.predictions
  TO authenticated, ci_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.predictions TO service_role, ci_migrator;
CREATE POLICY owners_see_theirs ON public.predictions FOR SELECT TO authenticated USING (
  owner = (SELECT 'user:' || left(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', 100)));
CREATE POLICY owners_add_theirs ON public.predictions FOR INSERT TO authenticated WITH CHECK (
  owner = (SELECT 'user:' || left(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', 100)));
CREATE POLICY callers_see_theirs ON public.predictions FOR SELECT TO ci_api USING (
  owner = (SELECT nullif(current_setting('crypto_intel.actor', true), '')));
CREATE POLICY callers_add_theirs ON public.predictions FOR INSERT TO ci_api WITH CHECK (
  owner = (SELECT nullif(current_setting('crypto_intel.actor', true), '')));
CREATE POLICY servers_may_all ON public.predictions FOR ALL TO service_role, ci_migrator
  USING (true) WITH CHECK (true);

ALTER TABLE ops.api_keys DROP CONSTRAINT api_keys_scopes_check;
ALTER TABLE ops.api_keys ADD CONSTRAINT api_keys_scopes_check
  CHECK (scopes <@ ARRAY['read', 'alerts', 'predictions', 'admin'] AND cardinality(scopes) > 0);
COMMENT ON COLUMN ops.api_keys.scopes IS
  'read: every read; alerts: acknowledge and judge alerts; predictions: keep predictions, and read one''s own; admin: all, and settings.';

REVOKE ALL ON FUNCTION ops.date_prediction(), ops.bound_predictions() FROM PUBLIC, anon, authenticated;
