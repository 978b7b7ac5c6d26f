-- The mood of an article is scored when its hour has closed; what streams later must not take it away again.

COMMENT ON COLUMN public.articles.sentiment IS '-1..1: as the source tells it, else scored once its hour has closed; null where neither does.';

CREATE OR REPLACE FUNCTION ops.keep_first_sighting() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.first_seen_at := least(OLD.first_seen_at, NEW.first_seen_at);
  NEW.sentiment := coalesce(NEW.sentiment, OLD.sentiment);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.keep_first_sighting() IS
  'An article seen again was still first seen when it was first seen; a mood that was scored stays.';
