"""Columns that several tables share, and the words that some of them may hold.

What belongs here: a column, or a group of columns, that more than one table states. What does not: tables.
"""

from __future__ import annotations

from crypto_intel.contracts.columns import Column, Table

COMPLETENESS = ("complete", "partial", "repaired", "unrecoverable", "quiet")
"""complete: every id of the window is here, the feed was up throughout. partial: something is or may be missing, the
reason says what. repaired: complete with the help of REST. unrecoverable: ids that the venue no longer gives.
quiet: the feed was up and nothing traded."""

GAP_STATES = ("open", "repaired", "unrecoverable")
"""open: ids are missing that may still come. repaired: every id is here. unrecoverable: what is missing never will."""

TRADE_VENUES = ("binance", "kraken")
"""Venues whose trades are streamed; each has a producer of its own, and its markets stand in public.coins."""

QUOTE_FEEDS = ("coingecko", "alphavantage")
"""Aggregators that are polled for quotes; venues that trade tell theirs on their streams."""

NEWS_FEEDS = ("newsapi", "rss")
"""Where news is polled."""

VENUES = (*TRADE_VENUES, *QUOTE_FEEDS, *NEWS_FEEDS, "fred")


def column(name: str, type_: str, doc: str, **more: object) -> Column:
    """A column; `more` are the further fields of Column."""
    return Column(name, type_, doc, **more)  # type: ignore[arg-type]


MARKET = (
    column("venue", "string", "Venue that traded or quoted, in lower case.", allowed=VENUES),
    column("symbol", "string", "Market as BASE-QUOTE, e.g. BTC-USDT."),
)
LINEAGE = (
    column("kafka_topic", "string", "Topic that the record came from."),
    column("kafka_partition", "int", "Partition within the topic.", minimum=0),
    column("kafka_offset", "bigint", "Offset within the partition: dense, so that a hole shows.", minimum=0),
    column("kafka_time", "timestamp", "When Kafka took the record."),
)
EVENT_DATE = (column("event_date", "date", "UTC day of event_time; the table is partitioned by it."),)
EVENT_HOUR = (column("event_hour", "string", "UTC hour as YYYY-MM-DD-HH; the table is partitioned by it."),)
EVENT_DAY = (column("event_day", "string", "UTC day as YYYY-MM-DD; the table is partitioned by it."),)

BAR = (
    *MARKET,
    column("window_start", "timestamp", "Start of the window, inclusive (event time)."),
    column("window_end", "timestamp", "End of the window, exclusive (event time)."),
    column("open", "double", "Price of the trade with the least id; of a quiet bar: the close before.", nullable=True),
    column("high", "double", "Highest price.", nullable=True),
    column("low", "double", "Lowest price.", nullable=True),
    column(
        "close", "double", "Price of the trade with the greatest id; of a quiet bar: the close before.", nullable=True
    ),
    column("vwap", "double", "volume_quote / volume_base; null without volume.", nullable=True),
    column(
        "volume_base", "double", "Sum of quantities, in base; equal to the exact sum within 1e-9 relative.", minimum=0
    ),
    column("volume_quote", "double", "Sum of price x quantity, in quote; within 1e-9 relative.", minimum=0),
    column("buy_volume_base", "double", "Part of volume_base whose taker bought.", minimum=0),
    column("trade_count", "bigint", "Trades, one per trade id.", minimum=0),
    column("return_pct", "double", "100 x (close / close of the window before - 1); null without one.", nullable=True),
    column(
        "volatility_pct",
        "double",
        "100 x ln(high / low) / (2 sqrt(ln 2)): Parkinson's range estimate (1980), which no order of arrival changes.",
        nullable=True,
        minimum=0,
    ),
    column("first_trade_id", "bigint", "Least trade id.", nullable=True),
    column("last_trade_id", "bigint", "Greatest trade id.", nullable=True),
    column(
        "coverage_pct",
        "double",
        "100 x ids seen / ids spanned, from behind the last id before the window; 100 for a quiet bar.",
        minimum=0,
        maximum=100,
    ),
    column("completeness", "string", "Whether all of the window is here.", allowed=COMPLETENESS),
    column("completeness_reason", "string", "Why it is not complete; empty when it is."),
)


def bars_table(layer: str, name: str, doc: str, partition: tuple[Column, ...], writer: str) -> Table:
    """A table of bars, one row per market and window."""
    return Table(
        layer,  # type: ignore[arg-type]
        name,
        doc,
        (*BAR, *partition),
        ("venue", "symbol", "window_start"),
        writer,  # type: ignore[arg-type]
        (partition[0].name,),
        "window_start",
    )
