"""Whether data can be trusted: gaps, completeness by hour, feeds, and how far the streams are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_intel.contracts.serving import BARS_1M, FEEDS, GAPS, LIVE_MARKETS
from crypto_intel.serving.queries.query import BadQueryError, Order, Query, Select, column, pick

COMPLETENESS_SPAN = timedelta(days=8)
"""Longest range of one request: 115,000 bars of ten markets."""

COMPLETENESS_COLUMNS = (
    *pick(BARS_1M.columns, "venue", "symbol"),
    column("hour", "timestamp", "Start of the hour."),
    column("bars", "bigint", "1-minute bars that are there; 60 in a whole hour."),
    column("complete", "bigint", "Of these, complete."),
    column("repaired", "bigint", "Of these, repaired."),
    column("quiet", "bigint", "Of these, quiet."),
    column("partial", "bigint", "Of these, partial."),
    column("unrecoverable", "bigint", "Of these, unrecoverable."),
    column("coverage_pct", "double", "Mean coverage of the bars, in percent."),
    column("reason", "string", "One of the reasons; empty when there is none."),
)
FEED_COLUMNS = (
    *pick(LIVE_MARKETS.columns, "venue", "symbol", "event_time", "updated_at", "source"),
    column("last_bar", "timestamp", "Start of the newest 1-minute bar.", nullable=True),
    column("completeness", "string", "Completeness of that bar.", nullable=True),
    column("coverage_pct", "double", "Its coverage.", nullable=True),
    column("open_gaps", "bigint", "Gaps whose ids may still come."),
)
STREAM_COLUMNS = (
    column("query", "string", "Streaming query."),
    column("batch_id", "bigint", "Its newest batch."),
    column("rows_total", "bigint", "Rows since its first start."),
    column("rows_per_second", "double", "Rate of the newest batch.", nullable=True),
    column("batch_ms", "bigint", "How long that batch took.", nullable=True),
    column("lag_records", "bigint", "Kafka records that it has not read yet.", nullable=True),
    column("watermark", "timestamp", "Event time before which it waits for nothing.", nullable=True),
    column("updated_at", "timestamp", "When it reported, by the machine's clock."),
    column("silent_s", "double", "Seconds since then."),
)


@dataclass(frozen=True)
class GapFilter:
    """Which gaps, found in [start, end)."""

    symbol: str | None = None
    venue: str | None = None
    state: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 100
    cursor: str | None = None


def gaps(wanted: GapFilter) -> Query:
    """The ledger of gaps, by the time they were found."""
    select = Select("gaps", GAPS.columns, "public.gaps")
    for name in ("symbol", "venue", "state"):
        select = select.filter_given(f"{name} = %({name})s", **{name: getattr(wanted, name)})
    select = select.filter_given("found_at >= %(start)s", start=wanted.start)
    select = select.filter_given("found_at < %(end)s", end=wanted.end)
    key = ("found_at", "venue", "symbol", "first_id")
    return select.keyset(key, order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)


def completeness(
    symbol: str | None = None, venue: str | None = None, start: datetime | None = None, end: datetime | None = None
) -> Query:
    """How complete each market's hours are; without a range: the newest day.

    Raises:
        BadQueryError: the range is longer than `COMPLETENESS_SPAN`.
    """
    if start and end and end - start > COMPLETENESS_SPAN:
        raise BadQueryError(f"range: at most {COMPLETENESS_SPAN.days} days a request")
    statement = """
      SELECT venue, symbol, date_trunc('hour', window_start), count(*),
        count(*) FILTER (WHERE completeness = 'complete'), count(*) FILTER (WHERE completeness = 'repaired'),
        count(*) FILTER (WHERE completeness = 'quiet'), count(*) FILTER (WHERE completeness = 'partial'),
        count(*) FILTER (WHERE completeness = 'unrecoverable'), avg(coverage_pct),
        coalesce(min(completeness_reason) FILTER (WHERE completeness_reason <> ''), '')
      FROM public.bars_1m
      WHERE window_start >= coalesce(%(start)s::timestamptz, %(end)s::timestamptz - %(span)s::interval,
          (SELECT date_trunc('hour', max(window_start)) - interval '23 hours' FROM public.bars_1m))
        AND window_start < coalesce(%(end)s::timestamptz, %(start)s::timestamptz + %(span)s::interval, 'infinity')
        AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s) AND (%(venue)s::text IS NULL OR venue = %(venue)s)
      GROUP BY 1, 2, 3 ORDER BY 3, 2, 1 LIMIT 20000"""
    params = {"symbol": symbol, "venue": venue, "start": start, "end": end, "span": COMPLETENESS_SPAN}
    return Query("completeness", statement, params, COMPLETENESS_COLUMNS, limit=20_000)


def feeds() -> Query:
    """What is known of each market's feed."""
    statement = """
      SELECT m.venue, m.symbol, m.event_time, m.updated_at, m.source, b.window_start, b.completeness, b.coverage_pct,
        (SELECT count(*) FROM public.gaps g WHERE g.venue = m.venue AND g.symbol = m.symbol AND g.state = 'open')
      FROM public.live_markets m
      LEFT JOIN LATERAL (
        SELECT window_start, completeness, coverage_pct FROM public.bars_1m b
        WHERE b.venue = m.venue AND b.symbol = m.symbol ORDER BY window_start DESC LIMIT 1
      ) b ON true
      ORDER BY m.symbol, m.venue LIMIT 1000"""
    return Query("feeds", statement, {}, FEED_COLUMNS)


def sources() -> Query:
    """What each source's streams were last heard to be."""
    text = Select("sources", FEEDS.columns, "public.feeds").text("ORDER BY venue, stream LIMIT 1000")
    return Query("sources", text, {}, FEEDS.columns)


def streams() -> Query:
    """How far each streaming query is."""
    statement = """
      SELECT query, batch_id, rows_total, rows_per_second, batch_ms, lag_records, watermark, updated_at,
        extract(epoch FROM now() - updated_at)::double precision
      FROM ops.stream_progress ORDER BY query LIMIT 100"""
    return Query("streams", statement, {}, STREAM_COLUMNS)


def counts() -> Query:
    """What each served table holds, by PostgreSQL's own estimate: it costs nothing, and is exact after an ANALYZE."""
    columns = (column("name", "string", "Table."), column("row_estimate", "bigint", "Rows, estimated."))
    statement = """
      SELECT relname::text, greatest(n_live_tup, 0) FROM pg_stat_user_tables
      WHERE schemaname = 'public' AND relname !~ 'yoyo' ORDER BY 1 LIMIT 100"""
    return Query("counts", statement, {}, columns)
