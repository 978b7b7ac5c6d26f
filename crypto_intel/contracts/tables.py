"""Every table of the lake, stated once.

Spark schemas, Delta tables, Arrow and Polars schemas, pandera checks and API models derive from here; PostgreSQL's
migrations are held to it by a test. A rule for adding a column: someone reads it, and its unit is in its name.
"""

from __future__ import annotations

from dataclasses import replace

from crypto_intel.contracts import alerts, derived, macro, parts
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.parts import BAR as _BAR
from crypto_intel.contracts.parts import EVENT_DATE as _EVENT_DATE
from crypto_intel.contracts.parts import EVENT_HOUR as _EVENT_HOUR
from crypto_intel.contracts.parts import LINEAGE as _LINEAGE
from crypto_intel.contracts.parts import MARKET as _MARKET
from crypto_intel.contracts.parts import bars_table as _bars
from crypto_intel.contracts.parts import column as _c

COMPLETENESS = parts.COMPLETENESS
GAP_STATES = parts.GAP_STATES
VENUES = parts.VENUES
MACRO_SERIES = macro.MACRO_SERIES
MACRO_FRED_OBSERVATIONS = macro.MACRO_FRED_OBSERVATIONS

_TRADE = (
    *_MARKET,
    _c("trade_id", "bigint", "The venue's number of the trade within its market, contiguous; negative: it gave none."),
    _c("price", "decimal(38,18)", "Price of one unit of base, in quote; exactly as the venue sent it.", minimum=0),
    _c("quantity", "decimal(38,18)", "Quantity in base; exactly as the venue sent it.", minimum=0),
    _c("taker_side", "string", "Side of the order that took liquidity.", allowed=("buy", "sell")),
    _c("event_time", "timestamp", "When the venue made the trade (venue's clock)."),
    _c("received_at", "timestamp", "When we received it (platform clock)."),
    _c("origin", "string", "ws: streamed; rest: fetched to fill a gap or as history.", allowed=("ws", "rest")),
)

BRONZE_TRADES = Table(
    "bronze",
    "trades",
    "Every trade record of Kafka, repeated ones too. One row per record.",
    (*_TRADE, *_LINEAGE, *_EVENT_DATE),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
    "spark",
    ("event_date",),
    "event_time",
)
BRONZE_QUOTES = Table(
    "bronze",
    "quotes",
    "Every quote record of Kafka. One row per record.",
    (
        *_MARKET,
        _c("price", "decimal(38,18)", "Last or mid price in quote currency.", minimum=0),
        _c("bid", "decimal(38,18)", "Best bid.", nullable=True),
        _c("ask", "decimal(38,18)", "Best ask.", nullable=True),
        _c("volume_24h", "decimal(38,18)", "Volume of the last 24 h in quote currency.", nullable=True),
        _c("market_cap_usd", "decimal(38,18)", "Market capitalisation.", nullable=True),
        _c("bid_quantity", "decimal(38,18)", "Quantity at the best bid, in base.", nullable=True),
        _c("ask_quantity", "decimal(38,18)", "Quantity at the best ask, in base.", nullable=True),
        _c("volume_24h_base", "decimal(38,18)", "Volume of the last 24 h in base.", nullable=True),
        _c("change_24h_pct", "double", "Change of the price over the last 24 h in percent.", nullable=True),
        _c("event_time", "timestamp", "Time the source gives for the quote."),
        _c("received_at", "timestamp", "When we received it (platform clock)."),
        *_LINEAGE,
        *_EVENT_DATE,
    ),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
    "spark",
    ("event_date",),
    "event_time",
)
_ARTICLE = (
    _c("article_id", "string", "Hash of the canonical URL."),
    _c("source", "string", "Publisher."),
    _c("url", "string", "Canonical URL."),
    _c("title", "string", "Headline."),
    _c("summary", "string", "Description given by the source; may be empty."),
    _c("content", "string", "Text given by the source; may be cut by it."),
    _c("tags", "array<string>", "Tags given by the source."),
    _c("symbols", "array<string>", "Assets that the article is about, e.g. BTC."),
    _c("event_time", "timestamp", "When what it tells of happened, if told.", nullable=True),
    _c("published_at", "timestamp", "When the source says it published."),
    _c("first_seen_at", "timestamp", "When we first saw it (platform clock): before that nobody here could know it."),
    _c("language", "string", "ISO 639-1 code, if known.", nullable=True),
    _c("cluster_id", "string", "Id of the story's first article: near-duplicates share it.", nullable=True),
    _c("sentiment", "double", "-1..1, where the source tells one.", nullable=True, minimum=-1, maximum=1),
)
BRONZE_NEWS = Table(
    "bronze",
    "news",
    "Every article record of Kafka. One row per record.",
    (*_ARTICLE, *_LINEAGE, _c("event_date", "date", "UTC day of published_at; the table is partitioned by it.")),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
    "spark",
    ("event_date",),
    "published_at",
)
BRONZE_FEED_STATUS = Table(
    "bronze",
    "feed_status",
    "What became of each feed: heartbeats (of every topic), connects, cuts, gaps, polls. One row per record.",
    (
        _c("venue", "string", "Feed.", allowed=VENUES),
        _c(
            "status",
            "string",
            "What happened.",
            allowed=("connected", "disconnected", "heartbeat", "poll", "gap", "repaired", "unrecoverable", "ended"),
        ),
        _c("stream", "string", "Stream of the feed, e.g. trade."),
        _c("symbol", "string", "Market concerned, for gaps and repairs.", nullable=True),
        _c("first_id", "bigint", "First trade id concerned, for gaps and repairs.", nullable=True),
        _c("last_id", "bigint", "Last trade id concerned, for gaps and repairs.", nullable=True),
        _c("detail", "string", "For people."),
        _c("event_time", "timestamp", "The feed's own time."),
        _c("received_at", "timestamp", "Platform clock."),
        *_LINEAGE,
        *_EVENT_DATE,
    ),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
    "spark",
    ("event_date",),
    "event_time",
)
BRONZE_REJECTED = Table(
    "bronze",
    "rejected",
    "Every input that could not be used, whole, with place and reason. One row per record.",
    (
        _c("stage", "string", "Who refused it: a producer's name, or ingest."),
        _c("place", "string", "Where it was found: a stream of a venue, or topic[partition]@offset."),
        _c("reason", "string", "Short reason; the same word for the same fault."),
        _c("detail", "string", "For people."),
        _c("raw", "binary", "The input's bytes, cut at 256 KiB.", nullable=True),
        _c("received_at", "timestamp", "Platform clock at the refusal, or Kafka's time."),
        *_LINEAGE,
        _c("event_date", "date", "UTC day of received_at; the table is partitioned by it."),
    ),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
    "spark",
    ("event_date",),
    "received_at",
)

_WINDOW_DATE = (_c("event_date", "date", "UTC day of window_start; the table is partitioned by it."),)
SILVER_BARS_1M = _bars(
    "silver", "bars_1m", "1-minute bars as they streamed, written once each, never updated.", _WINDOW_DATE, "spark"
)
SILVER_BARS_5M = _bars(
    "silver", "bars_5m", "5-minute bars as they streamed, written once each, never updated.", _WINDOW_DATE, "spark"
)
SILVER_LATE_ARRIVALS = Table(
    "silver",
    "late_arrivals",
    "Trades that came after their window was written: not in streamed bars, but in bronze and in every batch table. "
    "One row per market, window and batch.",
    (
        *_MARKET,
        _c("window_start", "timestamp", "1-minute window that they belong to."),
        _c("trade_count", "bigint", "How many, one per trade id.", minimum=1),
        _c("first_trade_id", "bigint", "Least trade id among them."),
        _c("last_trade_id", "bigint", "Greatest trade id among them."),
        *_WINDOW_DATE,
    ),
    (),
    "spark",
    ("event_date",),
    "window_start",
)
SILVER_PRICE_MEANS_5M = Table(
    "silver",
    "price_means_5m",
    "Mean price of the last five minutes, once a minute: windows that overlap. Written once each, never updated.",
    (
        *_MARKET,
        _c("window_start", "timestamp", "Start of the five minutes, inclusive (event time)."),
        _c("window_end", "timestamp", "End of the five minutes, exclusive (event time); a full minute."),
        _c("price_mean", "double", "Mean of the trades' prices, each alike; without trades the close before."),
        _c("vwap", "double", "Mean of the trades' prices by volume; null without volume.", nullable=True),
        _c("trade_count", "bigint", "Trades, one per trade id.", minimum=0),
        _c("coverage_pct", "double", "100 x ids seen / ids spanned; 100 without trades.", minimum=0, maximum=100),
        _c("completeness", "string", "Of the five minutes together: the worst of them.", allowed=COMPLETENESS),
        _c("completeness_reason", "string", "Why it is not complete; empty when it is."),
        *_WINDOW_DATE,
    ),
    ("venue", "symbol", "window_start"),
    "spark",
    ("event_date",),
    "window_start",
)
SILVER_BAR_NEWS = Table(
    "silver",
    "bar_news",
    "Pairs of a 1-minute bar and an article about its base asset, published (or, by a setting, first seen) within 5 "
    "minutes of the bar's end. Of near-duplicates the first counts.",
    (
        *_MARKET,
        _c("window_start", "timestamp", "Start of the bar."),
        _c("window_end", "timestamp", "End of the bar."),
        _c("close", "double", "Close of the bar.", nullable=True),
        _c("article_id", "string", "Article."),
        _c("title", "string", "Headline."),
        _c("source", "string", "Publisher."),
        _c("published_at", "timestamp", "When the source says it published."),
        _c("first_seen_at", "timestamp", "When we first saw it."),
        _c("published_after_s", "double", "published_at - window_end in seconds."),
        _c("sentiment", "double", "-1..1; null where the source tells none.", nullable=True, minimum=-1, maximum=1),
        _c(
            "clock",
            "string",
            "Which of the article's times is within 5 minutes of window_end: published_at or first_seen_at.",
            allowed=("published", "first_seen"),
        ),
        *_WINDOW_DATE,
    ),
    ("venue", "symbol", "window_start", "article_id"),
    "spark",
    ("event_date",),
    "window_start",
)
SILVER_TRADES = Table(
    "silver",
    "trades",
    "One row per trade id, sorted by market and id; repairs included.",
    (*_TRADE, *_EVENT_HOUR),
    ("venue", "symbol", "trade_id"),
    "dagster",
    ("event_hour",),
    "event_time",
)
SILVER_GAPS = Table(
    "silver",
    "gaps",
    "Trade ids that the stream missed: the ledger of what was lost, what came back and what never will.",
    (
        *_MARKET,
        _c("first_id", "bigint", "First missing trade id.", minimum=0),
        _c("last_id", "bigint", "Last missing trade id.", minimum=0),
        _c("found_at", "timestamp", "Platform clock when the hole was first seen."),
        _c("reason", "string", "What the producer said about it; may be empty."),
        _c(
            "state",
            "string",
            "open while ids are missing that may still come; unrecoverable: the venue no longer gives what is missing.",
            allowed=GAP_STATES,
        ),
        _c("repaired_at", "timestamp", "Platform clock of the repair that filled it; null until then.", nullable=True),
        _c("repaired_count", "bigint", "How many of its ids are back.", minimum=0),
        _c("span_start", "timestamp", "Event time of the trade right before it; null if unknown.", nullable=True),
        _c("span_end", "timestamp", "Event time of the trade right after it; null if unknown.", nullable=True),
        _c("unrecoverable_count", "bigint", "How many of its ids the venue no longer gives.", minimum=0),
        _c("unrecoverable_reason", "string", "How the venue said so; empty without such ids."),
    ),
    ("venue", "symbol", "first_id"),
    "dagster",
    (),
    "found_at",
)
GOLD_BARS_1M = _bars(
    "gold", "bars_1m", "1-minute bars recomputed from silver.trades, hour by hour.", _EVENT_HOUR, "dagster"
)
_NEWS_COLUMNS = (
    _c("news_count", "bigint", "Articles about the base asset within 5 minutes of window_end.", minimum=0),
    _c("news_before_count", "bigint", "Of these, published at or before window_end.", minimum=0),
    _c("news_after_count", "bigint", "Of these, published after window_end.", minimum=0),
    _c("sentiment_mean", "double", "Mean sentiment of the scored ones.", nullable=True, minimum=-1, maximum=1),
    _c("article_ids", "array<string>", "Their ids, sorted."),
)
_REVISION_COLUMNS = (
    _c(
        "is_final",
        "boolean",
        "true: recomputed from bronze after the hour closed; false: provisional, from the stream.",
    ),
    _c("revision", "bigint", "Grows with each change of the row.", minimum=0),
    _c("known_at", "timestamp", "Platform clock at which this revision could be known."),
)
GOLD_MARKET_ENRICHED = Table(
    "gold",
    "market_enriched",
    "One row per venue, symbol and 1-minute window: the bar, the news around it, and macro values as known then.",
    (
        *(c for c in _BAR),
        *_NEWS_COLUMNS,
        *macro.MACRO_COLUMNS,
        *_REVISION_COLUMNS,
        *_EVENT_HOUR,
    ),
    ("venue", "symbol", "window_start"),
    "dagster",
    ("event_hour",),
    "window_start",
)
GOLD_BURST_ENRICHED = replace(
    GOLD_MARKET_ENRICHED,
    name="burst_enriched",
    doc="Enriched rows of assets whose news came in a burst, of hours that are not made yet: as gold.market_enriched "
    "would have them if the hour ended then.",
)
TABLES: dict[str, Table] = {
    table.full_name: table
    for table in (
        BRONZE_TRADES,
        BRONZE_QUOTES,
        BRONZE_NEWS,
        BRONZE_FEED_STATUS,
        BRONZE_REJECTED,
        SILVER_BARS_1M,
        SILVER_BARS_5M,
        SILVER_PRICE_MEANS_5M,
        SILVER_LATE_ARRIVALS,
        SILVER_BAR_NEWS,
        SILVER_TRADES,
        SILVER_GAPS,
        GOLD_BARS_1M,
        GOLD_MARKET_ENRICHED,
        GOLD_BURST_ENRICHED,
        *derived.DERIVED,
        *macro.MACRO_TABLES,
        *alerts.ALERT_TABLES,
    )
}
"""Every table of the lake by `layer.name`."""
