-- Rules that hold whoever writes: the stream's sink, Dagster, or a client of the API.

CREATE FUNCTION ops.keep_enriched_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  new_revision bigint := NEW.revision;
  new_known_at timestamptz := NEW.known_at;
BEGIN
  IF OLD.is_final AND NOT NEW.is_final THEN
    RETURN NULL; -- the stream comes late; what was recomputed from the closed hour stays
  END IF;
  NEW.revision := OLD.revision;
  NEW.known_at := OLD.known_at;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NULL; -- nothing new was learned, so it is no revision
  END IF;
  NEW.revision := greatest(OLD.revision + 1, new_revision);
  NEW.known_at := new_known_at;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.keep_enriched_row() IS
  'A final row is never overwritten by a provisional one; revision and known_at move only when something else changed.';
CREATE TRIGGER keep_enriched_row BEFORE UPDATE ON public.market_enriched
  FOR EACH ROW EXECUTE FUNCTION ops.keep_enriched_row();

CREATE FUNCTION ops.move_forward_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF NEW.event_time < OLD.event_time THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.move_forward_only() IS 'An older state never replaces a newer one (event_time).';
CREATE TRIGGER move_forward_only BEFORE UPDATE ON public.live_markets
  FOR EACH ROW EXECUTE FUNCTION ops.move_forward_only();

CREATE FUNCTION ops.keep_first_sighting() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.first_seen_at := least(OLD.first_seen_at, NEW.first_seen_at);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.keep_first_sighting() IS 'An article seen again was still first seen when it was first seen.';
CREATE TRIGGER keep_first_sighting BEFORE UPDATE ON public.articles
  FOR EACH ROW EXECUTE FUNCTION ops.keep_first_sighting();
