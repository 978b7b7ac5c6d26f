"""The tables that PostgreSQL (or Supabase) serves, stated once: names, columns and keys.

What belongs here: what the migrations in crypto_intel/serving are held to, what sinks write and what queries read.
Tables that mirror the lake derive from tables.py; the others are stated here. What does not belong here: the
internal tables of schema `ops`, which no reader of market data sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crypto_intel.contracts import derived, macro
from crypto_intel.contracts.alerts import VERDICTS
from crypto_intel.contracts.columns import Column, LogicalType, Table
from crypto_intel.contracts.parts import VENUES
from crypto_intel.contracts.rules import FAMILIES, PLATFORM, RULE_UNITS, SEVERITIES
from crypto_intel.contracts.tables import (
    BRONZE_NEWS,
    COMPLETENESS,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_GAPS,
    SILVER_PRICE_MEANS_5M,
)

SOURCES = ("sim", "replay", "live")
FEED_STATES = ("connected", "disconnected", "alive", "polled", "failing", "ended")
MEASURES = ("price", "return_pct", "up_probability")
ALERT_STATES = ("open", "acknowledged", "resolved", "closed")
"""In order: a person looks at it; what it told of has ended, as the platform sees it; a person has settled it."""


@dataclass(frozen=True)
class ServedTable:
    """A table of schema `public`: its columns, its key (unique, what upserts meet on) and the column it is read by."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time_column: str

    @property
    def column_names(self) -> list[str]:
        """Names in order."""
        return [column.name for column in self.columns]


def _mirror(table: Table, name: str, doc: str, *, without: Iterable[str] = ()) -> ServedTable:
    """A table of the lake as it is served: without the columns that only the lake needs."""
    left_out = ({*table.partition_by} - set(table.key)) | {*without}
    columns = tuple(column for column in table.columns if column.name not in left_out)
    key = table.key if set(table.key) <= {column.name for column in columns} else (columns[0].name,)
    return ServedTable(name, doc, columns, key, table.time_column or columns[0].name)


def _c(name: str, type_: LogicalType, doc: str, *, nullable: bool = False, allowed: tuple[str, ...] = ()) -> Column:
    return Column(name, type_, doc, nullable=nullable, allowed=allowed)


_BAR = {column.name: column for column in SILVER_BARS_1M.columns}
_MARKET = (_BAR["venue"], _BAR["symbol"])
_SOURCE = _c("source", "string", "Where the market comes from: simulated, replayed or live.", allowed=SOURCES)

BARS_1M = _mirror(SILVER_BARS_1M, "bars_1m", "1-minute bars as they streamed.")
BARS_5M = _mirror(SILVER_BARS_5M, "bars_5m", "5-minute bars as they streamed.")
PRICE_MEANS_5M = _mirror(SILVER_PRICE_MEANS_5M, "price_means_5m", SILVER_PRICE_MEANS_5M.doc)
BAR_NEWS = _mirror(SILVER_BAR_NEWS, "bar_news", SILVER_BAR_NEWS.doc)
MARKET_ENRICHED = _mirror(
    GOLD_MARKET_ENRICHED,
    "market_enriched",
    "One row per venue, symbol and 1-minute window: the bar, the news around it, and macro values as known then. "
    "Provisional rows come from the stream and are revised in place; final rows come from the closed hour.",
)
MACRO_OBSERVATIONS = _mirror(MACRO_FRED_OBSERVATIONS, "macro_observations", MACRO_FRED_OBSERVATIONS.doc)
BARS_1H = _mirror(derived.GOLD_BARS_1H, "bars_1h", "1-hour bars of closed hours.")
BARS_1D = _mirror(derived.GOLD_BARS_1D, "bars_1d", "1-day bars (UTC) of closed days.")
INDICATORS = _mirror(derived.GOLD_INDICATORS, "indicators", derived.GOLD_INDICATORS.doc)
MARKET_SUMMARY = _mirror(derived.GOLD_MARKET_SUMMARY, "market_summary", derived.GOLD_MARKET_SUMMARY.doc)
MACRO_FEATURES = _mirror(macro.MACRO_FEATURES, "macro_features", macro.MACRO_FEATURES.doc)
ARTICLES = _mirror(
    BRONZE_NEWS,
    "articles",
    "News articles, one row per article; first_seen_at is the earliest sighting.",
    without=[name for name in BRONZE_NEWS.column_names if name.startswith("kafka_")],
)
ARTICLES = replace(
    ARTICLES,
    columns=tuple(
        replace(
            found,
            doc="-1..1: as the source tells it, else scored once its hour has closed or its news came in a burst; null "
            "where neither does.",
        )
        if found.name == "sentiment"
        else found
        for found in ARTICLES.columns
    ),
)
LIVE_MARKETS = ServedTable(
    "live_markets",
    "The newest state of each market, seconds old: one row per venue and symbol, moving forward in event_time only.",
    (
        *_MARKET,
        _c("price", "double", "Price of the newest trade, in quote."),
        _c("event_time", "timestamp", "When the venue made that trade (venue's clock)."),
        _c("window_start", "timestamp", "Start of the minute that is still open."),
        *(_BAR[name] for name in ("open", "high", "low", "close", "volume_base", "volume_quote", "trade_count")),
        _c("change_1h_pct", "double", "100 x (price / price an hour before - 1); null without one.", nullable=True),
        _c("change_24h_pct", "double", "100 x (price / price a day before - 1); null without one.", nullable=True),
        _c("price_5m_mean", "double", "Mean price of the trades of the last five minutes, in quote.", nullable=True),
        _c("updated_at", "timestamp", "Platform clock at this state."),
        _SOURCE,
    ),
    ("venue", "symbol"),
    "event_time",
)
ALERTS = ServedTable(
    "alerts",
    "Rules that fired, one row per alert; the same events are published to the alerts topic.",
    (
        _c("alert_id", "string", "A function of rule, market and window: the same alert has the same id."),
        _c("rule", "string", "Rule that fired."),
        _c("severity", "string", "How much it matters.", allowed=SEVERITIES),
        _c("venue", "string", "Venue, in lower case; platform for incidents of the platform itself.",
           allowed=(*VENUES, PLATFORM)),
        _c("symbol", "string", "Market as BASE-QUOTE, e.g. BTC-USDT; * for incidents of the platform itself."),
        _c("window_start", "timestamp", "Start of the window that the rule looked at (event time)."),
        _c("window_end", "timestamp", "End of that window, exclusive (event time)."),
        _c("raised_at", "timestamp", "Platform clock at which it was first raised."),
        _c("value", "double", "What the rule measured, in `unit`."),
        _c("threshold", "double", "What it was compared with, in `unit`."),
        _c("unit", "string", "Unit of value and threshold, e.g. pct."),
        _c("message", "string", "For people."),
        _c("coverage_pct", "double", "Coverage of the window when it fired; null if unknown.", nullable=True),
        _c("completeness", "string", "Completeness of the window then.", nullable=True, allowed=COMPLETENESS),
        _SOURCE,
        _c("state", "string", "What people did with it; open when raised.", allowed=ALERT_STATES),
        _c("article_ids", "array<string>", "News that it rests on."),
        _c("evidence", "string", "JSON: bar, the minute in which it fired as it was then; values, what was compared; "
           "rule, by which; tables, their Delta versions then."),
        _c("resolved_at", "timestamp", "Platform clock when what it told of had ended; null until then.",
           nullable=True),
        _c("verdict", "string", "What its rule says of the data when they are whole: the same, another value, or "
           "nothing; null until then.", nullable=True, allowed=VERDICTS),
        _c("verdict_value", "double", "What the rule measures in whole data; null where it finds nothing.",
           nullable=True),
        _c("verdict_at", "timestamp", "Platform clock of the verdict.", nullable=True),
    ),
    ("alert_id",),
    "raised_at",
)  # fmt: skip
ALERT_RULES = ServedTable(
    "alert_rules",
    "The alert rules in force. The stream reads them every few seconds: a change takes effect without a restart.",
    (
        _c("rule", "string", "Its name; its alerts carry it."),
        _c("family", "string", "What it looks at, and so which of the columns it uses.", allowed=FAMILIES),
        _c("enabled", "boolean", "Whether it is judged."),
        _c("threshold", "double", "From which on it fires, in `unit`."),
        _c("unit", "string", "pct: percent of the price; times: the usual minute; s: seconds of the market's time.",
           allowed=RULE_UNITS),
        _c("window_s", "int", "Seconds within which the price has to move; null for other families.", nullable=True),
        _c("baseline_minutes", "int", "Minutes whose median is usual; null but for spikes.", nullable=True),
        _c("least_minutes", "int", "Fewer known minutes make no baseline; null but for spikes.", nullable=True),
        _c("cooldown_s", "int", "Seconds in which it fires once per market and direction."),
        _c("severity", "string", "Of its alerts; null: warning, and critical from twice the threshold on.",
           nullable=True, allowed=SEVERITIES),
        _c("markets", "array<string>", "Patterns of venue:symbol on which it is judged; empty: every market."),
        _c("revision", "bigint", "Grows by 1 with each change."),
        _c("changed_by", "string", "file: as the file of rules says, and it follows the file; else who changed it."),
        _c("changed_at", "timestamp", "Wall clock of the last change."),
    ),
    ("rule",),
    "changed_at",
)  # fmt: skip
FEEDS = ServedTable(
    "feeds",
    "The newest state of each feed's streams; its heartbeats are the stream `heartbeat`. "
    "Moves forward in event_time only.",
    (
        _c("venue", "string", "Feed."),
        _c("stream", "string", "Stream of the feed, e.g. trade; `heartbeat` for its signs of life."),
        _c("state", "string", "What it was last heard to be.", allowed=FEED_STATES),
        _c("detail", "string", "Why, for people."),
        _c("event_time", "timestamp", "When that was (platform clock)."),
        _SOURCE,
    ),
    ("venue", "stream"),
    "event_time",
)
GAPS = _mirror(SILVER_GAPS, "gaps", SILVER_GAPS.doc)
QUOTES = _mirror(derived.SILVER_QUOTES, "quotes", derived.SILVER_QUOTES.doc)
COINS = ServedTable(
    "coins",
    "Markets that are followed, or were. Producers look here every few seconds, and subscribe anew when it changes.",
    (
        *_MARKET,
        _c("is_tracked", "boolean", "Whether its trades are taken now. What was taken before stays."),
        _c("note", "string", "Why, in people's words; may be empty."),
        _c("changed_at", "timestamp", "When the row was last changed (wall clock)."),
    ),
    ("venue", "symbol"),
    "changed_at",
)

PREDICTIONS = ServedTable(
    "predictions",
    "What users' models predicted: written once, dated by the database and never back, seen by its owner alone.",
    (
        _c("owner", "string", "Whose it is: key:<key id> or user:<subject of the token>."),
        _c("predicted_at", "timestamp", "Platform clock when it was taken in: the newest trade's time, never ahead of "
           "the clock on the wall."),
        _c("model", "string", "Model and its version, as the owner names them."),
        *_MARKET,
        _c("measure", "string", "What the value is: price, in quote; return_pct, 100 x (price then / price when "
           "predicted - 1); up_probability, 0..1, that the price is higher then.", allowed=MEASURES),
        _c("target_at", "timestamp", "Moment that it is about (event time): the end of a minute, after predicted_at."),
        _c("value", "double", "What was predicted, as measure says."),
        _c("recorded_at", "timestamp", "Wall clock when it was taken in."),
    ),
    ("owner", "predicted_at", "model", "venue", "symbol", "measure", "target_at"),
    "predicted_at",
)  # fmt: skip

SERVED: dict[str, ServedTable] = {
    table.name: table
    for table in (
        BARS_1M,
        BARS_5M,
        PRICE_MEANS_5M,
        BAR_NEWS,
        MARKET_ENRICHED,
        LIVE_MARKETS,
        ALERTS,
        ALERT_RULES,
        GAPS,
        FEEDS,
        ARTICLES,
        MACRO_OBSERVATIONS,
        MACRO_FEATURES,
        BARS_1H,
        BARS_1D,
        INDICATORS,
        MARKET_SUMMARY,
        QUOTES,
        COINS,
    )
}
"""Every table that the platform fills, by name."""

OWNED: dict[str, ServedTable] = {PREDICTIONS.name: PREDICTIONS}
"""Every table that users fill, by name: each sees rows of their own alone, and none can be rebuilt from the lake."""
