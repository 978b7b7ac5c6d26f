"""From Kafka's bytes to typed rows: one decoding for every query, so that all see the same good and bad records.

A record is never dropped: `decode` gives each one a `target` (the bronze table that it belongs to) and, for
`rejected`, a reason. What is checked here is what any producer, ours or another's, may get wrong on our topics.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.events import FUTURE_TOLERANCE_S
from crypto_intel.contracts.symbols import SYMBOL_PATTERN
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_QUOTES,
    BRONZE_REJECTED,
    BRONZE_TRADES,
    VENUES,
)

_CORRUPT = "_corrupt"

WIRE_SCHEMA = f"""
    kind string, venue string, symbol string, symbols array<string>, event_time bigint, received_at bigint,
    trade_id bigint, price string, quantity string, taker_side string, origin string, ended boolean,
    bid string, ask string, volume_24h string, market_cap_usd string,
    article_id string, source string, url string, title string, summary string, content string, tags array<string>,
    published_at bigint, first_seen_at bigint, language string,
    status string, stream string, first_id bigint, last_id bigint, detail string,
    stage string, place string, reason string, raw string, {_CORRUPT} string
"""
"""Every field of every kind of event that ends in bronze (contracts.events), as JSON has it."""

DECIMAL = "decimal(38,18)"
_EXACT_DECIMAL = r"^\d{1,20}(\.\d{1,18})?$"
"""What fits DECIMAL without rounding. No sign, no exponent, no NaN."""

_REQUIRED = {
    "trade": ("venue", "symbol", "trade_id", "price", "quantity", "taker_side", "event_time", "received_at"),
    "quote": ("venue", "symbol", "price", "event_time", "received_at"),
    "article": ("article_id", "source", "url", "title", "published_at", "first_seen_at"),
    "heartbeat": ("venue", "symbols", "event_time", "received_at"),
    "feed_status": ("venue", "status", "event_time", "received_at"),
    "rejected": ("stage", "place", "reason", "received_at"),
}
_TARGETS = {
    "trade": BRONZE_TRADES,
    "quote": BRONZE_QUOTES,
    "article": BRONZE_NEWS,
    "heartbeat": BRONZE_FEED_STATUS,
    "feed_status": BRONZE_FEED_STATUS,
    "rejected": BRONZE_REJECTED,
}
_LAST_SECOND_US = 253_402_300_799 * 1_000_000
"""9999-12-31: what lies beyond is no time that any table can hold."""


def decode(records: DataFrame) -> DataFrame:
    """Decode Kafka records (key, value, topic, partition, offset, timestamp).

    Returns:
        A row per record: `e` (struct of WIRE_SCHEMA), `fault` (null, or why it can not be used), `target` (name of
        its bronze table), and the record's own columns, unchanged.
    """
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
    text = F.col("value").cast("string")
    parsed = records.withColumn("e", F.from_json(text, WIRE_SCHEMA, options))
    with_fault = parsed.withColumn("fault", _fault())
    target = F.coalesce(*[F.when(F.col("e.kind") == kind, table.name) for kind, table in _TARGETS.items()])
    return with_fault.withColumn(
        "target", F.when(F.col("fault").isNotNull(), F.lit(BRONZE_REJECTED.name)).otherwise(target)
    )


def _fault() -> Column:
    # First that applies. Each is one short word, the same for the same fault.
    kind = F.col("e.kind")
    return F.coalesce(
        _when(F.col("value").isNull(), "empty"),
        _when(~F.expr("is_valid_utf8(CAST(value AS STRING))"), "not_utf8"),
        _when(F.expr("try_parse_json(CAST(value AS STRING)) IS NULL"), "malformed_json", only_if=_is_corrupt()),
        _when(_is_corrupt(), "wrong_type"),
        _when(kind.isNull() | ~kind.isin(*_REQUIRED), "unknown_kind"),
        *[_when((kind == name) & _lacks(fields), "missing_field") for name, fields in _REQUIRED.items()],
        _when(F.col("e.venue").isNotNull() & ~F.col("e.venue").isin(*VENUES), "unknown_venue"),
        _when(kind.isin("trade", "quote") & ~F.col("e.symbol").rlike(SYMBOL_PATTERN), "unknown_symbol"),
        _when((kind == "trade") & (F.col("e.trade_id") < 0), "bad_trade_id"),
        _when(kind.isin("trade", "quote") & ~_positive("e.price"), "bad_price"),
        _when((kind == "trade") & ~_positive("e.quantity"), "bad_quantity"),
        _when((kind == "trade") & ~F.col("e.taker_side").isin("buy", "sell"), "bad_side"),
        _when((kind == "trade") & ~F.coalesce(F.col("e.origin"), F.lit("ws")).isin("ws", "rest"), "bad_origin"),
        *[_when(_no_time(name), "bad_time") for name in ("event_time", "received_at", "published_at", "first_seen_at")],
        _when(_is_future("event_time", "received_at"), "future_time"),
        _when(_is_future("published_at", "first_seen_at"), "future_time"),
    )


def _when(condition: Column, reason: str, *, only_if: Column | None = None) -> Column:
    # A null condition is no fault: fields that may be absent compare to null.
    return F.when(condition if only_if is None else only_if & condition, F.lit(reason))


def _is_corrupt() -> Column:
    return F.col("e").isNull() | F.col(f"e.{_CORRUPT}").isNotNull()


def _lacks(fields: tuple[str, ...]) -> Column:
    lacking = F.lit(False)
    for field in fields:
        lacking = lacking | F.col(f"e.{field}").isNull()
    return lacking


def _positive(column: str) -> Column:
    return F.coalesce(
        F.col(column).rlike(_EXACT_DECIMAL) & (F.col(column).try_cast(DECIMAL) > 0),
        F.lit(False),
    )


def _no_time(field: str) -> Column:
    return (F.col(f"e.{field}") <= 0) | (F.col(f"e.{field}") > _LAST_SECOND_US)


def _is_future(field: str, clock: str) -> Column:
    # Producers refuse these; on a topic written by others they would shut every window of the market.
    return F.col(f"e.{field}") > F.col(f"e.{clock}") + FUTURE_TOLERANCE_S * 1_000_000


def _time(field: str) -> Column:
    return F.timestamp_micros(f"e.{field}")


def _lineage() -> list[Column]:
    return [
        F.col("topic").alias("kafka_topic"),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        F.col("timestamp").alias("kafka_time"),
    ]


def _rows(decoded: DataFrame, table: Table, columns: dict[str, Column]) -> DataFrame:
    # Columns not named in `columns` are the event's own fields of that name.
    lineage = {"kafka_topic", "kafka_partition", "kafka_offset", "kafka_time"}
    own = [
        columns.get(c.name, F.col(f"e.{c.name}")).cast(c.type).alias(c.name)
        for c in table.columns
        if c.name not in lineage and c.name not in table.partition_by
    ]
    rows = decoded.where(F.col("target") == table.name).select(*own, *_lineage())
    day = F.to_date(F.col(table.time_column or "received_at"))
    return rows.withColumn("event_date", day).select(*table.column_names)


def trades(decoded: DataFrame) -> DataFrame:
    """Rows of bronze.trades among decoded records."""
    times = {name: _time(name) for name in ("event_time", "received_at")}
    return _rows(decoded, BRONZE_TRADES, {**times, "origin": F.coalesce("e.origin", F.lit("ws"))})


def quotes(decoded: DataFrame) -> DataFrame:
    """Rows of bronze.quotes among decoded records."""
    optional = {name: F.col(f"e.{name}").try_cast(DECIMAL) for name in ("bid", "ask", "volume_24h", "market_cap_usd")}
    return _rows(decoded, BRONZE_QUOTES, {**optional, **{n: _time(n) for n in ("event_time", "received_at")}})


def news(decoded: DataFrame) -> DataFrame:
    """Rows of bronze.news among decoded records."""
    times = {name: _time(name) for name in ("event_time", "published_at", "first_seen_at")}
    texts = {name: F.coalesce(F.col(f"e.{name}"), F.lit("")) for name in ("summary", "content")}
    lists = {name: F.coalesce(F.col(f"e.{name}"), F.array().cast("array<string>")) for name in ("tags", "symbols")}
    return _rows(decoded, BRONZE_NEWS, {**times, **texts, **lists})


def feed_status(decoded: DataFrame) -> DataFrame:
    """Rows of bronze.feed_status among decoded records: statuses, and the heartbeats of every topic."""
    is_beat = F.col("e.kind") == "heartbeat"
    beat = F.when(F.coalesce(F.col("e.ended"), F.lit(False)), "ended").otherwise("heartbeat")
    return _rows(
        decoded,
        BRONZE_FEED_STATUS,
        {
            "status": F.when(is_beat, beat).otherwise(F.col("e.status")),
            "stream": F.coalesce(F.when(is_beat, F.col("topic")).otherwise(F.col("e.stream")), F.lit("")),
            "detail": F.coalesce(F.col("e.detail"), F.lit("")),
            "event_time": _time("event_time"),
            "received_at": _time("received_at"),
        },
    )


def rejected(decoded: DataFrame) -> DataFrame:
    """Rows of bronze.rejected among decoded records: dead letters, and records that `decode` found fault with."""
    ours = F.col("fault").isNotNull()
    place = F.concat("topic", F.lit("["), "partition", F.lit("]@"), "offset")
    return _rows(
        decoded,
        BRONZE_REJECTED,
        {
            "stage": F.when(ours, "ingest").otherwise(F.col("e.stage")),
            "place": F.when(ours, place).otherwise(F.col("e.place")),
            "reason": F.when(ours, F.col("fault")).otherwise(F.col("e.reason")),
            "detail": F.when(ours, F.lit("")).otherwise(F.coalesce(F.col("e.detail"), F.lit(""))),
            "raw": F.when(ours, F.substring("value", 1, 262_144)).otherwise(F.expr("try_to_binary(e.raw, 'base64')")),
            "received_at": F.when(ours, F.col("timestamp")).otherwise(_time("received_at")),
        },
    )


BRONZE = {
    BRONZE_TRADES: trades,
    BRONZE_QUOTES: quotes,
    BRONZE_NEWS: news,
    BRONZE_REJECTED: rejected,
    BRONZE_FEED_STATUS: feed_status,
}
"""Each bronze table and what selects its rows among decoded records.

The order is that of writing and is relied on: feed_status comes behind trades and news, so that a heartbeat in the
lake says that what it vouches for is there too."""


def market_events(decoded: DataFrame) -> DataFrame:
    """Trades, and heartbeats once for each market that they name, as the stateful operators take them.

    Returns:
        market (`venue:symbol`), kafka_partition, is_trade, then bars.TRADE_SCHEMA's columns (null for heartbeats but
        event_time, microseconds), and ended.
    """
    good = decoded.where(F.col("fault").isNull() & F.col("e.kind").isin("trade", "heartbeat"))
    is_trade = F.col("e.kind") == "trade"
    symbol = F.explode(F.when(is_trade, F.array("e.symbol")).otherwise(F.col("e.symbols")))
    exploded = good.withColumn("market_symbol", symbol)
    return exploded.select(
        F.concat_ws(":", "e.venue", "market_symbol").alias("market"),
        F.col("partition").alias("kafka_partition"),
        (F.col("e.kind") == "trade").alias("is_trade"),
        F.coalesce("e.trade_id", F.lit(-1)).alias("trade_id"),
        F.coalesce(F.col("e.price").try_cast("double"), F.lit(0.0)).alias("price"),
        F.coalesce(F.col("e.quantity").try_cast("double"), F.lit(0.0)).alias("quantity"),
        F.coalesce(F.col("e.taker_side") == "buy", F.lit(False)).alias("is_buy"),
        F.coalesce(F.col("e.origin") == "rest", F.lit(False)).alias("is_rest"),
        F.col("e.event_time").alias("event_time"),
        F.coalesce("e.ended", F.lit(False)).alias("ended"),
    )
