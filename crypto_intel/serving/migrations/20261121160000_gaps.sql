-- The ledger of gaps learns of ids that venues no longer give, and of the event times around each gap.

ALTER TABLE public.gaps ADD COLUMN IF NOT EXISTS span_start timestamptz;
ALTER TABLE public.gaps ADD COLUMN IF NOT EXISTS span_end timestamptz;
ALTER TABLE public.gaps ADD COLUMN IF NOT EXISTS unrecoverable_count bigint NOT NULL DEFAULT 0;
ALTER TABLE public.gaps ADD COLUMN IF NOT EXISTS unrecoverable_reason text NOT NULL DEFAULT '';

COMMENT ON COLUMN public.gaps.state IS 'open while ids are missing that may still come; unrecoverable: the venue no longer gives what is missing.';
COMMENT ON COLUMN public.gaps.span_start IS 'Event time of the trade right before it; null if unknown.';
COMMENT ON COLUMN public.gaps.span_end IS 'Event time of the trade right after it; null if unknown.';
COMMENT ON COLUMN public.gaps.unrecoverable_count IS 'How many of its ids the venue no longer gives.';
COMMENT ON COLUMN public.gaps.unrecoverable_reason IS 'How the venue said so; empty without such ids.';

CREATE TABLE ops.gap_losses (
  venue    text NOT NULL,
  symbol   text NOT NULL,
  first_id bigint NOT NULL,
  last_id  bigint NOT NULL,
  told_at  timestamptz NOT NULL,
  reason   text NOT NULL,
  CHECK (first_id <= last_id),
  PRIMARY KEY (venue, symbol, first_id, last_id)
);
COMMENT ON TABLE ops.gap_losses IS
  'Ranges of trade ids that a venue no longer gives. public.gaps follows from it, from ops.gap_repairs and from the '
  'gaps that were announced; a range that is repaired after all counts as repaired.';
COMMENT ON COLUMN ops.gap_losses.venue IS 'Venue.';
COMMENT ON COLUMN ops.gap_losses.symbol IS 'Market as BASE-QUOTE.';
COMMENT ON COLUMN ops.gap_losses.first_id IS 'First trade id of the range.';
COMMENT ON COLUMN ops.gap_losses.last_id IS 'Last trade id of the range.';
COMMENT ON COLUMN ops.gap_losses.told_at IS 'Platform clock when the venue said so.';
COMMENT ON COLUMN ops.gap_losses.reason IS 'How the venue said so.';
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.gap_losses TO service_role, ci_writer, ci_migrator;

CREATE OR REPLACE FUNCTION public.record_gaps(statuses jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  changed bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('public.record_gaps'));
  INSERT INTO public.gaps AS g (venue, symbol, first_id, last_id, found_at, reason)
  SELECT venue, symbol, first_id, max(last_id), min(received_at), (array_agg(detail ORDER BY received_at))[1]
  FROM jsonb_to_recordset(statuses) AS s(
    venue text, symbol text, status text, first_id bigint, last_id bigint, received_at timestamptz, detail text)
  WHERE status = 'gap'
  GROUP BY venue, symbol, first_id
  ORDER BY venue, symbol, first_id
  ON CONFLICT (venue, symbol, first_id) DO UPDATE SET
    last_id = greatest(g.last_id, excluded.last_id), found_at = least(g.found_at, excluded.found_at),
    span_end = CASE WHEN excluded.last_id <= g.last_id THEN g.span_end END;
  INSERT INTO ops.gap_repairs (venue, symbol, first_id, last_id, repaired_at)
  SELECT venue, symbol, first_id, last_id, min(received_at)
  FROM jsonb_to_recordset(statuses) AS s(
    venue text, symbol text, status text, first_id bigint, last_id bigint, received_at timestamptz)
  WHERE status = 'repaired'
  GROUP BY venue, symbol, first_id, last_id
  ON CONFLICT DO NOTHING;
  INSERT INTO ops.gap_losses (venue, symbol, first_id, last_id, told_at, reason)
  SELECT venue, symbol, first_id, last_id, min(received_at), (array_agg(detail ORDER BY received_at))[1]
  FROM jsonb_to_recordset(statuses) AS s(
    venue text, symbol text, status text, first_id bigint, last_id bigint, received_at timestamptz, detail text)
  WHERE status = 'unrecoverable'
  GROUP BY venue, symbol, first_id, last_id
  ON CONFLICT DO NOTHING;
  WITH touched AS ( -- only gaps that these rows are about: a market may have thousands of old ones
    SELECT DISTINCT g.venue, g.symbol, g.first_id, g.last_id, int8range(g.first_id, g.last_id, '[]') AS ids
    FROM jsonb_to_recordset(statuses) AS s(venue text, symbol text, first_id bigint, last_id bigint)
    JOIN public.gaps g
      ON g.venue = s.venue AND g.symbol = s.symbol AND g.first_id <= s.last_id AND g.last_id >= s.first_id
  ),
  repaired AS (
    SELECT t.venue, t.symbol, t.first_id, max(r.repaired_at) AS newest,
      range_agg(int8range(r.first_id, r.last_id, '[]')) * int8multirange(t.ids) AS ids
    FROM touched t
    JOIN ops.gap_repairs r
      ON r.venue = t.venue AND r.symbol = t.symbol AND r.first_id <= t.last_id AND r.last_id >= t.first_id
    GROUP BY t.venue, t.symbol, t.first_id, t.ids
  ),
  lost AS (
    SELECT t.venue, t.symbol, t.first_id,
      range_agg(int8range(l.first_id, l.last_id, '[]')) * int8multirange(t.ids) AS ids,
      (array_agg(l.reason ORDER BY l.first_id, l.told_at))[1] AS reason
    FROM touched t
    JOIN ops.gap_losses l
      ON l.venue = t.venue AND l.symbol = t.symbol AND l.first_id <= t.last_id AND l.last_id >= t.first_id
    GROUP BY t.venue, t.symbol, t.first_id, t.ids
  ),
  counted AS (
    SELECT t.venue, t.symbol, t.first_id, t.last_id - t.first_id + 1 AS size, r.newest, l.reason,
      (SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM unnest(r.ids) AS part)::bigint AS back,
      (SELECT coalesce(sum(upper(part) - lower(part)), 0)
       FROM unnest(l.ids - coalesce(r.ids, '{}'::int8multirange)) AS part)::bigint AS gone
    FROM touched t
    LEFT JOIN repaired r USING (venue, symbol, first_id)
    LEFT JOIN lost l USING (venue, symbol, first_id)
  ),
  judged AS (
    SELECT c.*, CASE WHEN gone > 0 THEN c.reason ELSE '' END AS why,
      CASE WHEN back + gone < size THEN 'open' WHEN gone > 0 THEN 'unrecoverable' ELSE 'repaired' END AS state
    FROM counted c
  )
  UPDATE public.gaps g SET
    repaired_count = j.back,
    unrecoverable_count = j.gone,
    unrecoverable_reason = j.why,
    state = j.state,
    repaired_at = CASE WHEN j.state = 'repaired' THEN coalesce(g.repaired_at, j.newest) END
  FROM judged j
  WHERE (g.venue, g.symbol, g.first_id) = (j.venue, j.symbol, j.first_id)
    AND (g.repaired_count, g.unrecoverable_count, g.unrecoverable_reason, g.state)
      IS DISTINCT FROM (j.back, j.gone, j.why, j.state);
  GET DIAGNOSTICS changed = ROW_COUNT;
  RETURN changed;
END
$$;
COMMENT ON FUNCTION public.record_gaps(jsonb) IS
  'Enter feed status rows (gap, repaired, unrecoverable; others are ignored) into the ledger of gaps. Any order and '
  'repetition of the same rows gives the same ledger. Returns of how many gaps more became known by these rows.';
