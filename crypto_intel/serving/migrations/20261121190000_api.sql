-- What the API adds: its role, its keys, what people did with alerts, and the revisions that as-of questions need.
-- All of it stands in ops, which no API of a database exposes.

DO $$
BEGIN
  BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ci_api') THEN
      CREATE ROLE ci_api NOLOGIN;
    END IF;
  EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this server is being migrated at the same moment
  END;
  BEGIN
    -- The API logs in as the owner of an installation and works as ci_api; one that is no superuser must be a member.
    IF NOT pg_has_role(current_user, 'ci_api', 'MEMBER') THEN
      GRANT ci_api TO CURRENT_USER;
    END IF;
  EXCEPTION WHEN insufficient_privilege OR unique_violation OR internal_error THEN
    NULL; -- then whoever runs the API grants it; its start says so
  END;
  BEGIN
    -- So it reads what readers read, tables of later migrations too.
    IF NOT pg_has_role('ci_api', 'ci_reader', 'MEMBER') THEN
      GRANT ci_reader TO ci_api;
    END IF;
  EXCEPTION WHEN unique_violation OR internal_error THEN
    NULL; -- another database of this server did it at the same moment
  END;
END
$$;

GRANT USAGE ON SCHEMA public, ops TO ci_api;
GRANT UPDATE (state) ON public.alerts TO ci_api;
CREATE POLICY api_settles ON public.alerts FOR UPDATE TO ci_api USING (true) WITH CHECK (true);

CREATE TABLE ops.api_keys (
  key_id          text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{12}$'),
  secret_sha256   bytea NOT NULL CHECK (length(secret_sha256) = 32),
  name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  scopes          text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'alerts', 'admin'] AND cardinality(scopes) > 0),
  rate_per_minute integer CHECK (rate_per_minute > 0),
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz,
  revoked_at      timestamptz
);
COMMENT ON TABLE ops.api_keys IS 'Keys of the API. A key is shown once, when it is made; here stands only its hash.';
COMMENT ON COLUMN ops.api_keys.key_id IS 'Public part of the key, in logs and lists.';
COMMENT ON COLUMN ops.api_keys.secret_sha256 IS
  'SHA-256 of the secret part. It has 256 random bits, so a slow hash for passwords would add nothing but time.';
COMMENT ON COLUMN ops.api_keys.name IS 'What or whom it is for.';
COMMENT ON COLUMN ops.api_keys.scopes IS 'read: every read; alerts: acknowledge and judge alerts; admin: both, and settings.';
COMMENT ON COLUMN ops.api_keys.rate_per_minute IS 'Requests a minute; null: as the API is set.';
COMMENT ON COLUMN ops.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN ops.api_keys.expires_at IS 'From then on it is refused; null: never.';
COMMENT ON COLUMN ops.api_keys.revoked_at IS 'From then on it is refused; null: not revoked.';
GRANT SELECT ON ops.api_keys TO ci_api;

CREATE TABLE ops.alert_actions (
  action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alert_id  text NOT NULL REFERENCES public.alerts ON DELETE CASCADE,
  action    text NOT NULL CHECK (action IN ('acknowledged', 'closed', 'right', 'wrong')),
  actor     text NOT NULL,
  note      text NOT NULL DEFAULT '' CHECK (length(note) <= 1000),
  acted_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alert_actions_alert_id_idx ON ops.alert_actions (alert_id, action_id);
COMMENT ON TABLE ops.alert_actions IS 'What people did with alerts, one row an act; nothing is ever changed here.';
COMMENT ON COLUMN ops.alert_actions.action_id IS 'In order of the acts.';
COMMENT ON COLUMN ops.alert_actions.alert_id IS 'Alert.';
COMMENT ON COLUMN ops.alert_actions.action IS 'acknowledged, closed: the state that the alert got; right, wrong: a judgement of it.';
COMMENT ON COLUMN ops.alert_actions.actor IS 'Who: key:<key_id> or user:<subject of the JWT>.';
COMMENT ON COLUMN ops.alert_actions.note IS 'In their words; may be empty.';
COMMENT ON COLUMN ops.alert_actions.acted_at IS 'When.';
GRANT SELECT, INSERT ON ops.alert_actions TO ci_api;

CREATE TABLE ops.alert_feed (
  alert_seq bigint PRIMARY KEY,
  alert_id  text NOT NULL UNIQUE REFERENCES public.alerts ON DELETE CASCADE
);
COMMENT ON TABLE ops.alert_feed IS
  'Alerts in the order in which they were committed: who has read up to a number has missed none before it.';
COMMENT ON COLUMN ops.alert_feed.alert_seq IS 'Number in that order.';
COMMENT ON COLUMN ops.alert_feed.alert_id IS 'Alert.';
CREATE SEQUENCE ops.alert_feed_seq;
GRANT SELECT ON ops.alert_feed TO ci_api;

-- The lock is held until the commit, so that numbers become visible in their order. Alerts are rare.
CREATE FUNCTION ops.number_alerts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ops.alert_feed'));
  INSERT INTO ops.alert_feed (alert_seq, alert_id) VALUES (nextval('ops.alert_feed_seq'), NEW.alert_id)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.number_alerts() IS 'Give each new alert its number.';
CREATE TRIGGER number_alerts AFTER INSERT ON public.alerts FOR EACH ROW EXECUTE FUNCTION ops.number_alerts();
INSERT INTO ops.alert_feed (alert_seq, alert_id)
SELECT nextval('ops.alert_feed_seq'), alert_id FROM (SELECT alert_id FROM public.alerts ORDER BY raised_at, alert_id) a;

-- As JSON, so that a column more or less in market_enriched needs no change here; JSON numbers of PostgreSQL read back
-- to the same double.
CREATE TABLE ops.market_enriched_revisions (
  venue        text NOT NULL,
  symbol       text NOT NULL,
  window_start timestamptz NOT NULL,
  revision     bigint NOT NULL,
  known_at     timestamptz NOT NULL,
  values       jsonb NOT NULL,
  PRIMARY KEY (venue, symbol, window_start, revision)
);
CREATE INDEX market_enriched_revisions_known_at_idx ON ops.market_enriched_revisions USING brin (known_at);
COMMENT ON TABLE ops.market_enriched_revisions IS 'Rows of public.market_enriched as they were before a revision.';
COMMENT ON COLUMN ops.market_enriched_revisions.venue IS 'Venue.';
COMMENT ON COLUMN ops.market_enriched_revisions.symbol IS 'Market as BASE-QUOTE.';
COMMENT ON COLUMN ops.market_enriched_revisions.window_start IS 'Start of the minute.';
COMMENT ON COLUMN ops.market_enriched_revisions.revision IS 'Revision that the row was.';
COMMENT ON COLUMN ops.market_enriched_revisions.known_at IS 'Platform clock from which on it was known.';
COMMENT ON COLUMN ops.market_enriched_revisions.values IS 'The whole row.';
GRANT SELECT ON ops.market_enriched_revisions TO ci_api;

CREATE FUNCTION ops.keep_revisions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO ops.market_enriched_revisions (venue, symbol, window_start, revision, known_at, values)
  SELECT o.venue, o.symbol, o.window_start, o.revision, o.known_at, to_jsonb(o) FROM replaced o
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.keep_revisions() IS 'Keep the rows that an update of market_enriched replaced.';
CREATE TRIGGER keep_revisions AFTER UPDATE ON public.market_enriched
  REFERENCING OLD TABLE AS replaced FOR EACH STATEMENT EXECUTE FUNCTION ops.keep_revisions();

CREATE FUNCTION ops.forget_revisions(before timestamptz) RETURNS bigint
LANGUAGE sql SET search_path = '' AS $$
  WITH gone AS (DELETE FROM ops.market_enriched_revisions WHERE known_at < before RETURNING 1)
  SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION ops.forget_revisions(timestamptz) IS 'Retention of revisions; returns how many were forgotten.';

-- A word that something changed, once a transaction and table; who listens reads what is new. Nobody has to listen.
CREATE FUNCTION ops.tell_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_notify('crypto_intel_changes', TG_TABLE_NAME);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.tell_change() IS 'NOTIFY crypto_intel_changes with the name of the table.';
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON public.live_markets
  FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_change();
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON public.bars_1m
  FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_change();
CREATE TRIGGER tell_change AFTER INSERT ON public.alerts
  FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_change();
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON public.gaps
  FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_change();

CREATE INDEX articles_words_idx ON public.articles USING gin (to_tsvector('simple', title || ' ' || summary));
CREATE INDEX articles_published_at_article_id_idx ON public.articles (published_at, article_id);
CREATE INDEX alerts_raised_at_alert_id_idx ON public.alerts (raised_at, alert_id);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ops FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION ops.forget_revisions(timestamptz) TO service_role, ci_writer, ci_migrator;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.api_keys, ops.alert_actions, ops.alert_feed, ops.market_enriched_revisions
  TO service_role, ci_writer, ci_migrator;
REVOKE ALL ON ops.api_keys FROM ci_writer;
