"""Column lineage: which columns a derived column is computed from, where its name does not say it.

What belongs here: tables' sources and the columns whose source has another name. A column of the same name as one of a
source comes from it. What does not: lineage of assets, which their definitions state.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import (
    GOLD_BARS_1D,
    GOLD_BARS_1H,
    GOLD_BARS_5M,
    GOLD_CROSS_VENUE,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
    GOLD_REPAIRED_BARS_1M,
    GOLD_RETURNS_VOLATILITY,
    SILVER_NEWS,
    SILVER_QUOTES,
)
from crypto_intel.contracts.macro import FEATURE_SOURCES, MACRO_FEATURES, MACRO_FRED_AS_OF, MACRO_FRED_OBSERVATIONS
from crypto_intel.contracts.tables import (
    BRONZE_NEWS,
    BRONZE_QUOTES,
    BRONZE_TRADES,
    GOLD_BARS_1M,
    GOLD_BURST_ENRICHED,
    GOLD_MARKET_ENRICHED,
    SILVER_BARS_1M,
    SILVER_TRADES,
)
from crypto_intel.graph.specs import key_of

_OF_TRADES = {
    **dict.fromkeys(("open", "close"), ("price", "trade_id")),
    **dict.fromkeys(("high", "low", "volatility_pct", "return_pct"), ("price",)),
}
_MINUTES_OF_TRADES = {
    **_OF_TRADES,
    "vwap": ("price", "quantity"),
    "volume_base": ("quantity",),
    "volume_quote": ("price", "quantity"),
    "buy_volume_base": ("quantity", "taker_side"),
    **dict.fromkeys(("trade_count", "first_trade_id", "last_trade_id", "coverage_pct"), ("trade_id",)),
    **dict.fromkeys(("window_start", "window_end"), ("event_time",)),
    "completeness": ("trade_id", "origin"),
}
_OF_CLOSES = ("rsi_14", "macd", "macd_signal", "macd_histogram", "ema_20")
_OF_NEWS_AND_MACRO = {
    **dict.fromkeys(("news_count", "news_before_count", "news_after_count"), ("published_at", "symbols")),
    "sentiment_mean": ("sentiment", "title", "summary"),
    "article_ids": ("article_id", "published_at"),
    **dict.fromkeys(
        ("fed_funds_pct", "treasury_10y_pct", "yield_curve_10y2y_pct", "vix_index", "dollar_index", "cpi_yoy_pct"),
        ("value", "observation_date", "realtime_start", "realtime_end"),
    ),
}
_BANDS = ("bollinger_middle", "bollinger_upper", "bollinger_lower")

SOURCES: dict[str, tuple[Table, ...]] = {
    SILVER_TRADES.full_name: (BRONZE_TRADES,),
    SILVER_NEWS.full_name: (BRONZE_NEWS,),
    SILVER_QUOTES.full_name: (BRONZE_QUOTES,),
    GOLD_BARS_1M.full_name: (SILVER_TRADES,),
    GOLD_REPAIRED_BARS_1M.full_name: (BRONZE_TRADES,),
    GOLD_BARS_5M.full_name: (GOLD_BARS_1M,),
    GOLD_BARS_1H.full_name: (GOLD_BARS_1M,),
    GOLD_BARS_1D.full_name: (GOLD_BARS_1H,),
    GOLD_RETURNS_VOLATILITY.full_name: (GOLD_BARS_1M,),
    GOLD_INDICATORS.full_name: (GOLD_BARS_1M, GOLD_BARS_5M, GOLD_BARS_1H),
    GOLD_MARKET_SUMMARY.full_name: (GOLD_BARS_1H, GOLD_BARS_1M),
    GOLD_CROSS_VENUE.full_name: (GOLD_BARS_1M, SILVER_QUOTES),
    GOLD_MARKET_ENRICHED.full_name: (GOLD_BARS_1M, BRONZE_NEWS, MACRO_FRED_OBSERVATIONS),
    GOLD_BURST_ENRICHED.full_name: (SILVER_BARS_1M, BRONZE_NEWS, MACRO_FRED_OBSERVATIONS),
    MACRO_FRED_AS_OF.full_name: (MACRO_FRED_OBSERVATIONS,),
    MACRO_FEATURES.full_name: (MACRO_FRED_AS_OF,),
}
"""Tables that a table's columns come from."""

OTHERWISE: dict[str, dict[str, tuple[str, ...]]] = {
    SILVER_NEWS.full_name: {
        "is_first": ("cluster_id", "article_id"),
        "sentiment": ("title", "summary", "language"),
        "sentiment_told": ("sentiment",),
    },
    GOLD_BARS_1M.full_name: _MINUTES_OF_TRADES,
    GOLD_REPAIRED_BARS_1M.full_name: _MINUTES_OF_TRADES,
    GOLD_RETURNS_VOLATILITY.full_name: dict.fromkeys(
        (
            "return_pct",
            "log_return_pct",
            "realized_volatility_1h_pct",
            "realized_volatility_24h_pct",
            "annualized_volatility_pct",
        ),
        ("close",),
    ),
    GOLD_INDICATORS.full_name: {
        **dict.fromkeys((*_OF_CLOSES, *_BANDS), ("close",)),
        "atr_14": ("high", "low", "close"),
        "vwap": ("high", "low", "close", "volume_base"),
    },
    GOLD_MARKET_SUMMARY.full_name: {
        **dict.fromkeys(("price_mean", "change_1h_pct", "change_24h_pct", "rank_24h"), ("close",)),
        "price_low": ("low",),
        "price_high": ("high",),
        "volume_base_24h": ("volume_base",),
        "volume_quote_24h": ("volume_quote",),
        "trade_count_24h": ("trade_count",),
        "hours_24h": ("window_start",),
    },
    GOLD_CROSS_VENUE.full_name: {
        "base": ("symbol",),
        **dict.fromkeys(
            ("price", "usd_rate", "price_usd", "reference_usd", "deviation_pct"), ("close", "price", "symbol")
        ),
        "price_age_s": ("event_time",),
    },
    GOLD_MARKET_ENRICHED.full_name: _OF_NEWS_AND_MACRO,
    GOLD_BURST_ENRICHED.full_name: _OF_NEWS_AND_MACRO,
    MACRO_FRED_AS_OF.full_name: {
        "as_of_date": ("realtime_start",),
        "age_days": ("observation_date",),
        **dict.fromkeys(("value_year_before", "yoy_pct"), ("value", "observation_date", "realtime_start")),
    },
    MACRO_FEATURES.full_name: {
        **{name: (column,) for name, (_, column, _) in FEATURE_SOURCES.items()},
        "real_10y_pct": ("value",),
        "known_series": ("series_id",),
    },
}
"""Columns whose source has another name, or several."""


def lineage_metadata(table: Table) -> dict[str, Any]:
    """Materialization metadata with the lineage of the table's columns; empty for a table that is not derived."""
    sources = SOURCES.get(table.full_name)
    if sources is None:
        return {}
    otherwise = OTHERWISE.get(table.full_name, {})
    deps = {
        column.name: [
            dg.TableColumnDep(key_of(source), name)
            for source in sources
            for name in otherwise.get(column.name, (column.name,))
            if name in source.column_names and name not in source.partition_by
        ]
        for column in table.columns
        if column.name not in table.partition_by
    }
    return {"dagster/column_lineage": dg.TableColumnLineage({name: found for name, found in deps.items() if found})}
