"""Bars of 1 and 5 minutes as they streamed, of an hour and a day as they are known so far, enriched rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from crypto_intel.contracts.serving import BARS_1D, BARS_1H, BARS_1M, BARS_5M, INDICATORS, MARKET_ENRICHED
from crypto_intel.serving.queries.query import MAX_ROWS, BadQueryError, Order, Query, Select

Interval = Literal["1m", "5m", "1h", "1d"]
_KEY = ("window_start", "venue")
_TABLES = {"1m": BARS_1M, "5m": BARS_5M}
_FINAL = {"1h": BARS_1H, "1d": BARS_1D}
_LENGTHS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
_PARTS = {"1h": 12, "1d": 288}
ROLLED_SPAN = {"1h": timedelta(days=92), "1d": timedelta(days=366)}
"""Longest range of a rolled-up request: 26,000 and 105,000 bars of 5 minutes of one venue."""


@dataclass(frozen=True)
class Range:
    """Which rows: of a symbol (of one venue or all), in [start, end), a page of them."""

    symbol: str
    venue: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 500
    cursor: str | None = None


def bars(interval: Interval, wanted: Range) -> Query:
    """Bars of a symbol; columns of bars_1m, whatever the interval.

    Raises:
        BadQueryError: a range that is too long for the interval, or a cursor of another query.
    """
    if interval in _TABLES:
        table = _TABLES[interval]
        return _ranged(Select(f"bars_{interval}", table.columns, f"public.{table.name}"), wanted)
    return _rolled(interval, wanted)


def newest_bars() -> Query:
    """1-minute bars of the newest 15 minutes, of every market: what followers are told of."""
    select = Select("newest_bars", BARS_1M.columns, "public.bars_1m").filter(
        "window_start > (SELECT max(window_start) FROM public.bars_1m) - interval '15 minutes'"
    )
    return Query("newest_bars", select.text(f"ORDER BY window_start LIMIT {MAX_ROWS}"), {}, BARS_1M.columns)


def indicators(interval: str, wanted: Range) -> Query:
    """Technical indicators of bars; each hour's come with its final rows."""
    select = Select("indicators", INDICATORS.columns, "public.indicators")
    return _ranged(select.filter("interval = %(interval)s", interval=interval), wanted)


def enriched(wanted: Range, *, final_only: bool = False) -> Query:
    """Rows of market_enriched."""
    select = Select("enriched", MARKET_ENRICHED.columns, "public.market_enriched")
    return _ranged(select.filter("is_final") if final_only else select, wanted)


def as_of(symbol: str, venue: str, window_start: datetime, known_by: datetime) -> Query:
    """The enriched row of a minute as it was known at a moment of the platform clock; no row: nothing was known."""
    names = ", ".join(MARKET_ENRICHED.column_names)
    where = "venue = %(venue)s AND symbol = %(symbol)s AND window_start = %(window_start)s AND known_at <= %(known_by)s"
    older = ", ".join(f"(r).{name}" for name in MARKET_ENRICHED.column_names)
    statement = (
        f"SELECT {names} FROM ("  # noqa: S608 - composed of constants
        f"SELECT {names} FROM public.market_enriched WHERE {where} UNION ALL SELECT {older} FROM ("
        f"SELECT jsonb_populate_record(NULL::public.market_enriched, values) AS r "
        f"FROM ops.market_enriched_revisions WHERE {where}) before"
        ") known ORDER BY revision DESC LIMIT 1"
    )
    params = {"venue": venue, "symbol": symbol, "window_start": window_start, "known_by": known_by}
    return Query("as_of", statement, params, MARKET_ENRICHED.columns)


def _ranged(select: Select, wanted: Range) -> Query:
    select = select.filter("symbol = %(symbol)s", symbol=wanted.symbol)
    select = select.filter_given("venue = %(venue)s", venue=wanted.venue)
    select = select.filter_given("window_start >= %(start)s", start=wanted.start)
    select = select.filter_given("window_start < %(end)s", end=wanted.end)
    return select.keyset(_KEY, order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)


def _rolled(interval: Interval, wanted: Range) -> Query:
    span, length = ROLLED_SPAN[interval], _LENGTHS[interval]
    if wanted.start and wanted.end and wanted.end - wanted.start > span:
        raise BadQueryError(f"range: at most {span.days} days a request with interval={interval}")
    # Whole windows, so that none is rolled up from a part of its bars; one more before, for the first one's return.
    params = {
        "symbol": wanted.symbol,
        "venue": wanted.venue,
        "start": _floor(wanted.start, length) - length if wanted.start else None,
        "end": _floor(wanted.end + length - _LEAST, length) if wanted.end else None,
        "length": length,
        "parts": _PARTS[interval],
        "span": span + 2 * length,
    }
    newest = _NEWEST.format(final=_FINAL[interval].name)
    lower = "%(start)s" if wanted.start else f"{'%(end)s' if wanted.end else newest} - %(span)s"
    upper = "%(end)s" if wanted.end else "%(start)s + %(span)s" if wanted.start else "timestamptz 'infinity'"
    source = _longer_bars(_FINAL[interval].name, lower, upper)
    select = Select(f"bars_{interval}", BARS_1M.columns, source, (), params)
    select = select.filter_given("window_start >= %(asked_start)s", asked_start=wanted.start)
    select = select.filter_given("window_start < %(asked_end)s", asked_end=wanted.end)
    return select.keyset(_KEY, order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)


def _longer_bars(final: str, lower: str, upper: str) -> str:
    """Final bars, made of every trade of the closed window; where there is none yet, rolled up from what streamed."""
    names = ", ".join(BARS_1M.column_names)
    return f"""(
      SELECT {names} FROM public.{final}
      WHERE symbol = %(symbol)s AND (%(venue)s::text IS NULL OR venue = %(venue)s)
        AND window_start >= {lower} AND window_start < {upper}
      UNION ALL
      SELECT {names} FROM ({_ROLLED.format(lower=lower, upper=upper)}) r
      WHERE NOT EXISTS (SELECT FROM public.{final} f
        WHERE f.venue = r.venue AND f.symbol = r.symbol AND f.window_start = r.window_start)
    ) bars"""  # noqa: S608 - composed of constants


def _floor(moment: datetime, length: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return moment - (moment - epoch) % length


_LEAST = timedelta(microseconds=1)
_NEWEST = """greatest((SELECT max(window_start) FROM public.bars_5m WHERE symbol = %(symbol)s),
  (SELECT max(window_start) FROM public.{final} WHERE symbol = %(symbol)s))"""
_ROLLED = """
  SELECT venue, symbol, window_start, window_start + %(length)s AS window_end, open, high, low, close,
    volume_quote / nullif(volume_base, 0) AS vwap, volume_base, volume_quote, buy_volume_base, trade_count,
    100 * (close / nullif(lag(close) OVER w, 0) - 1) AS return_pct,
    100 * ln(high / nullif(low, 0)) / (2 * sqrt(ln(2))) AS volatility_pct,
    first_trade_id, last_trade_id, coverage_pct,
    CASE WHEN bars < %(parts)s OR 'partial' = ANY(states) THEN 'partial'
      WHEN 'unrecoverable' = ANY(states) THEN 'unrecoverable'
      WHEN 'repaired' = ANY(states) THEN 'repaired'
      WHEN 'complete' = ANY(states) THEN 'complete' ELSE 'quiet' END AS completeness,
    CASE WHEN bars < %(parts)s THEN format('%%s of %%s bars of 5 minutes', bars, %(parts)s)
      ELSE coalesce(reason, '') END AS completeness_reason
  FROM (
    SELECT venue, symbol, date_bin(%(length)s, window_start, timestamptz '1970-01-01 00:00+00') AS window_start,
      (array_agg(open ORDER BY window_start) FILTER (WHERE open IS NOT NULL))[1] AS open,
      max(high) AS high, min(low) AS low,
      (array_agg(close ORDER BY window_start DESC) FILTER (WHERE close IS NOT NULL))[1] AS close,
      sum(volume_base) AS volume_base, sum(volume_quote) AS volume_quote, sum(buy_volume_base) AS buy_volume_base,
      sum(trade_count)::bigint AS trade_count, min(first_trade_id) AS first_trade_id,
      max(last_trade_id) AS last_trade_id,
      coalesce(100 * sum(trade_count) / nullif(sum(trade_count * 100 / nullif(coverage_pct, 0)), 0), min(coverage_pct))
        AS coverage_pct,
      count(*) AS bars, array_agg(DISTINCT completeness) AS states,
      min(completeness_reason) FILTER (WHERE completeness_reason <> '') AS reason
    FROM public.bars_5m
    WHERE symbol = %(symbol)s AND (%(venue)s::text IS NULL OR venue = %(venue)s)
      AND window_start >= {lower} AND window_start < {upper}
    GROUP BY 1, 2, 3
  ) grouped
  WINDOW w AS (PARTITION BY venue, symbol ORDER BY window_start)
"""
