"""Tables that Dagster derives from others, hour by hour and day by day: what is clean, and what is computed from it.

What belongs here: silver's cleaned tables with the quarantine of what was refused, and gold's tables behind bars_1m.
What does not: streamed tables and what is joined with them (tables.py), macro series (macro.py).
"""

from __future__ import annotations

from crypto_intel.contracts.columns import Column, Table
from crypto_intel.contracts.parts import EVENT_DAY, EVENT_HOUR, MARKET, bars_table
from crypto_intel.contracts.parts import column as _c

INTERVALS = ("1m", "5m", "1h")
"""Lengths of the bars that indicators are computed of."""

RATE_SOURCES = ("usd", "quote", "parity")
"""How a price came to US dollars. usd: it was in them. quote: by a quote of its currency. parity: a dollar stablecoin
without a quote counts as a dollar."""

SILVER_NEWS = Table(
    "silver",
    "news",
    "One row per article, in the hour in which it was first seen: a late one never changes a closed hour.",
    (
        _c("article_id", "string", "Hash of the canonical URL."),
        _c("cluster_id", "string", "Id of the story's first article; an article alone is its own story."),
        _c("is_first", "boolean", "It is the article that its story is named after."),
        _c("source", "string", "Publisher."),
        _c("url", "string", "Canonical URL."),
        _c("title", "string", "Headline."),
        _c("summary", "string", "Description given by the source; may be empty."),
        _c("tags", "array<string>", "Tags given by the source."),
        _c("symbols", "array<string>", "Assets that the article is about, sorted, e.g. BTC."),
        _c("language", "string", "ISO 639-1 code, if known.", nullable=True),
        _c(
            "sentiment",
            "double",
            "-1..1: VADER with crypto words on headline and description; null unless they are English.",
            nullable=True,
            minimum=-1,
            maximum=1,
        ),
        _c("sentiment_told", "double", "-1..1, where the source tells one.", nullable=True, minimum=-1, maximum=1),
        _c("event_time", "timestamp", "When what it tells of happened, if told.", nullable=True),
        _c("published_at", "timestamp", "When the source says it published."),
        _c("first_seen_at", "timestamp", "When we first saw it (platform clock)."),
        *EVENT_HOUR,
    ),
    ("article_id",),
    "dagster",
    ("event_hour",),
    "first_seen_at",
)
SILVER_QUOTES = Table(
    "silver",
    "quotes",
    "Quotes that can be believed, one row per market and time of the source; the others stand in silver.quarantine.",
    (
        *MARKET,
        _c("event_time", "timestamp", "Time the source gives for the quote."),
        _c("received_at", "timestamp", "When we first received it (platform clock)."),
        _c("price", "double", "Last or mid price in quote currency.", minimum=0),
        _c("bid", "double", "Best bid.", nullable=True, minimum=0),
        _c("ask", "double", "Best ask.", nullable=True, minimum=0),
        _c("volume_24h", "double", "Volume of the last 24 h in quote currency.", nullable=True, minimum=0),
        _c("volume_24h_base", "double", "Volume of the last 24 h in base.", nullable=True, minimum=0),
        _c("market_cap_usd", "double", "Market capitalisation.", nullable=True, minimum=0),
        _c("change_24h_pct", "double", "Change of the price over the last 24 h in percent.", nullable=True),
        *EVENT_HOUR,
    ),
    ("venue", "symbol", "event_time"),
    "dagster",
    ("event_hour",),
    "event_time",
)
SILVER_QUARANTINE = Table(
    "silver",
    "quarantine",
    "Rows that cleaning or a blocking check refused, whole, with the reason; a partition made again replaces its own.",
    (
        _c("table_name", "string", "Table that they were meant for, as layer.name."),
        _c("partition_key", "string", "Partition of that table; all, for a table without partitions."),
        _c("refused_by", "string", "Who refused it.", allowed=("cleaning", "contract")),
        _c("reason", "string", "Rule that refused the row; the same words for the same fault."),
        _c("row", "string", "The row as JSON."),
        _c("refused_at", "timestamp", "When it was refused (wall clock)."),
    ),
    (),
    "dagster",
    ("table_name", "refused_by", "partition_key"),
    "refused_at",
)

GOLD_REPAIRED_BARS_1M = bars_table(
    "gold",
    "repaired_bars_1m",
    "Minutes that streamed in part and that a repair made whole since, of hours that are not made yet.",
    EVENT_HOUR,
    "dagster",
)
GOLD_BARS_5M = bars_table("gold", "bars_5m", "5-minute bars from gold.bars_1m.", EVENT_HOUR, "dagster")
GOLD_BARS_1H = bars_table("gold", "bars_1h", "1-hour bars from gold.bars_1m.", EVENT_HOUR, "dagster")
GOLD_BARS_1D = bars_table("gold", "bars_1d", "1-day bars (UTC) from gold.bars_1h.", EVENT_DAY, "dagster")

_WINDOW = (
    _c("window_start", "timestamp", "Start of the window, inclusive (event time)."),
    _c("window_end", "timestamp", "End of the window, exclusive (event time)."),
)


def _hourly(name: str, doc: str, columns: tuple[Column, ...], key: tuple[str, ...]) -> Table:
    return Table("gold", name, doc, (*columns, *EVENT_HOUR), key, "dagster", ("event_hour",), "window_start")


GOLD_RETURNS_VOLATILITY = _hourly(
    "returns_volatility",
    "Returns of each minute, and the volatility realized over the hour and the day before its end.",
    (
        *MARKET,
        *_WINDOW,
        _c("close", "double", "Close of the minute.", nullable=True),
        _c("return_pct", "double", "100 x (close / close of the minute before - 1).", nullable=True),
        _c("log_return_pct", "double", "100 x ln(close / close of the minute before).", nullable=True),
        _c(
            "realized_volatility_1h_pct",
            "double",
            "Root of the sum of squared log_return_pct of the last 60 minutes; null below 30 of them.",
            nullable=True,
            minimum=0,
        ),
        _c(
            "realized_volatility_24h_pct",
            "double",
            "The same of the last 1,440 minutes; null below 720 of them.",
            nullable=True,
            minimum=0,
        ),
        _c(
            "annualized_volatility_pct",
            "double",
            "realized_volatility_1h_pct x sqrt(8,760): crypto trades every hour of the year.",
            nullable=True,
            minimum=0,
        ),
        _c("return_count_1h", "bigint", "Returns in the last 60 minutes.", minimum=0, maximum=60),
        _c("return_count_24h", "bigint", "Returns in the last 1,440 minutes.", minimum=0, maximum=1440),
    ),
    ("venue", "symbol", "window_start"),
)


def _indicator(name: str, doc: str, **more: object) -> Column:
    return _c(name, "double", doc, nullable=True, **more)


GOLD_INDICATORS = _hourly(
    "indicators",
    "Technical indicators of bars of 1 minute, 5 minutes and 1 hour, by TA-Lib; null until there are bars enough. "
    "Each hour is computed from the 1,440 minutes, 288 five minutes or 288 hours before it.",
    (
        *MARKET,
        _c("interval", "string", "Length of the bars.", allowed=INTERVALS),
        *_WINDOW,
        _c("close", "double", "Close of the bar.", nullable=True),
        _indicator("rsi_14", "Relative strength index over 14 bars (Wilder), 0..100.", minimum=0, maximum=100),
        _indicator("macd", "EMA over 12 less EMA over 26 closes, in quote."),
        _indicator("macd_signal", "EMA over 9 of macd, in quote."),
        _indicator("macd_histogram", "macd less macd_signal, in quote."),
        _indicator("bollinger_middle", "Mean of 20 closes, in quote."),
        _indicator("bollinger_upper", "bollinger_middle plus 2 standard deviations of 20 closes, in quote."),
        _indicator("bollinger_lower", "bollinger_middle less 2 standard deviations of 20 closes, in quote."),
        _indicator("ema_20", "Exponential mean of closes over 20 bars, begun by their plain mean, in quote."),
        _indicator("atr_14", "Average true range over 14 bars (Wilder), in quote.", minimum=0),
        _indicator("vwap", "Typical price weighted by volume_base since 00:00 UTC of the bar's day, in quote."),
        _c("bars_used", "bigint", "Bars up to this one that it is computed from.", minimum=1),
    ),
    ("venue", "symbol", "interval", "window_start"),
)
GOLD_MARKET_SUMMARY = _hourly(
    "market_summary",
    "Each market at the end of an hour: the hour's mean, low and high, the day's volume, and its rank by performance.",
    (
        *MARKET,
        *_WINDOW,
        _c("price_mean", "double", "Mean of the minutes' closes, in quote.", nullable=True),
        _c("price_low", "double", "Lowest price of the hour, in quote.", nullable=True),
        _c("price_high", "double", "Highest price of the hour, in quote.", nullable=True),
        _c("close", "double", "Last price of the hour, in quote.", nullable=True),
        _c("change_1h_pct", "double", "100 x (close / close of the hour before - 1).", nullable=True),
        _c("change_24h_pct", "double", "100 x (close / close 24 hours before - 1); null without.", nullable=True),
        _c(
            "rank_24h", "bigint", "1 is the best change_24h_pct of all markets; null without.", nullable=True, minimum=1
        ),
        _c("volume_base_24h", "double", "Volume of the last 24 hours, in base.", minimum=0),
        _c("volume_quote_24h", "double", "Volume of the last 24 hours, in quote.", minimum=0),
        _c("trade_count_24h", "bigint", "Trades of the last 24 hours.", minimum=0),
        _c("hours_24h", "bigint", "Of the last 24 hours, how many have bars.", minimum=1, maximum=24),
        _c("coverage_pct", "double", "Coverage of the hour's bar.", minimum=0, maximum=100),
    ),
    ("venue", "symbol", "window_start"),
)
GOLD_CROSS_VENUE = _hourly(
    "cross_venue",
    "The same asset on every venue, minute by minute, in US dollars: one venue's bad tick stands out.",
    (
        _c("base", "string", "Asset, e.g. BTC."),
        *MARKET,
        *_WINDOW,
        _c("price", "double", "Close of the minute, or the newest quote of the last 10 minutes, in quote."),
        _c("price_age_s", "double", "window_end less the time of the price, in seconds; 0 for a bar.", minimum=0),
        _c("usd_rate", "double", "US dollars for one unit of the quote currency.", minimum=0),
        _c("usd_rate_source", "string", "How the price came to US dollars.", allowed=RATE_SOURCES),
        _c("price_usd", "double", "price x usd_rate.", minimum=0),
        _c("reference_usd", "double", "Median of price_usd over the asset's markets in this minute.", minimum=0),
        _c("deviation_pct", "double", "100 x (price_usd / reference_usd - 1)."),
        _c("markets", "bigint", "Markets with a price in this minute; with 2 nobody can say who is wrong.", minimum=1),
    ),
    ("base", "venue", "symbol", "window_start"),
)

DERIVED = (
    SILVER_NEWS,
    SILVER_QUOTES,
    SILVER_QUARANTINE,
    GOLD_REPAIRED_BARS_1M,
    GOLD_BARS_5M,
    GOLD_BARS_1H,
    GOLD_BARS_1D,
    GOLD_RETURNS_VOLATILITY,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
    GOLD_CROSS_VENUE,
)
"""All of them, in the order in which they are made."""
