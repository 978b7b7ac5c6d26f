"""Markets as they are now: which there are, their newest state, and their ranking."""

from __future__ import annotations

from typing import Literal

from crypto_intel.contracts.serving import BARS_1M, LIVE_MARKETS
from crypto_intel.serving.queries.query import Query, Select, column, pick

RankBy = Literal["change_24h_pct", "change_1h_pct", "volume_24h_quote"]
MARKETS_AT_MOST = 1_000
"""Markets that one installation follows are tens; more than this would be a fault of somebody's."""

SYMBOL_COLUMNS = (
    *pick(BARS_1M.columns, "venue", "symbol"),
    column("base", "string", "Asset that is traded."),
    column("quote", "string", "Asset that prices are in."),
    column("first_bar", "timestamp", "Start of the oldest 1-minute bar.", nullable=True),
    column("last_bar", "timestamp", "Start of the newest 1-minute bar.", nullable=True),
    column("source", "string", "Where the market comes from: sim, replay or live."),
)
RANKING_COLUMNS = (
    column("rank", "bigint", "1 is the first."),
    *pick(LIVE_MARKETS.columns, "venue", "symbol", "price", "event_time", "change_1h_pct", "change_24h_pct"),
    column("volume_24h_quote", "double", "Volume of the 24 h before event_time, in quote, from bars of 5 minutes."),
)


def symbols() -> Query:
    """Every market with the range of its bars, by symbol and venue."""
    statement = f"""
      SELECT m.venue, m.symbol, split_part(m.symbol, '-', 1), split_part(m.symbol, '-', 2),
        (SELECT min(window_start) FROM public.bars_1m b WHERE b.venue = m.venue AND b.symbol = m.symbol),
        (SELECT max(window_start) FROM public.bars_1m b WHERE b.venue = m.venue AND b.symbol = m.symbol), m.source
      FROM public.live_markets m ORDER BY m.symbol, m.venue LIMIT {MARKETS_AT_MOST}"""  # noqa: S608 - constants
    return Query("symbols", statement, {}, SYMBOL_COLUMNS, limit=MARKETS_AT_MOST)


def prices(symbols: list[str] | None = None, venue: str | None = None) -> Query:
    """The newest state of each market, by symbol and venue."""
    select = Select("prices", LIVE_MARKETS.columns, "public.live_markets")
    select = select.filter_given("symbol = ANY(%(symbols)s)", symbols=symbols)
    select = select.filter_given("venue = %(venue)s", venue=venue)
    text = select.text(f"ORDER BY symbol, venue LIMIT {MARKETS_AT_MOST}")
    return Query("prices", text, select.params, LIVE_MARKETS.columns, limit=MARKETS_AT_MOST)


def ranking(by: RankBy, *, rising: bool = False, limit: int = 5) -> Query:
    """Markets by their change or volume; those without the figure come last."""
    order = "ASC" if rising else "DESC"
    statement = f"""
      SELECT row_number() OVER (ORDER BY {by} {order} NULLS LAST, symbol, venue), venue, symbol, price, event_time,
        change_1h_pct, change_24h_pct, volume_24h_quote
      FROM (
        SELECT m.*, coalesce((
          SELECT sum(b.volume_quote) FROM public.bars_5m b
          WHERE b.venue = m.venue AND b.symbol = m.symbol
            AND b.window_start > m.event_time - interval '24 hours'), 0) AS volume_24h_quote
        FROM public.live_markets m LIMIT {MARKETS_AT_MOST}
      ) markets ORDER BY 1 LIMIT %(limit)s"""  # noqa: S608 - constants; `by` is one of three words
    return Query("ranking", statement, {"limit": limit}, RANKING_COLUMNS, limit=limit)
