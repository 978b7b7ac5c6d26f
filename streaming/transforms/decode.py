"""From Kafka's bytes to typed rows: one decoding for every query, so that all see the same good and bad records.

A record is never dropped: each one becomes a row of one bronze table, `bronze.rejected` with a reason among them. The
form of the events is contracts.events', whose own decoder reads them; what is checked here beyond it is what any
producer, ours or another's, may get wrong on our topics. Pure: frames in, frames out; runs in Spark's Python workers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import polars as pl

from crypto_intel.contracts import events
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.events import (
    FUTURE_TOLERANCE_S,
    MAX_RAW_BYTES,
    Article,
    Event,
    FeedStatus,
    Heartbeat,
    Quote,
    Rejected,
    Trade,
)
from crypto_intel.contracts.symbols import SYMBOL_PATTERN
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_QUOTES,
    BRONZE_REJECTED,
    BRONZE_TRADES,
    VENUES,
)
from streaming.errors import RejectedInput
from streaming.transforms.frames import MARKET, TIME, schema_of

Reader = Callable[[bytes], Event]
"""Reads a record's value; raises RejectedInput with one of a few reasons where it can not."""

BRONZE = (BRONZE_TRADES, BRONZE_QUOTES, BRONZE_NEWS, BRONZE_REJECTED, BRONZE_FEED_STATUS)
"""The tables in the order of writing, which is relied on: feed_status comes behind trades and news, so that a heartbeat
in the lake says that what it vouches for is there too."""

_DECIMAL = pl.Decimal(38, 18)
_EXACT_DECIMAL = r"^\d{1,20}(\.\d{1,18})?$"
"""What fits DECIMAL(38,18) without rounding. No sign, no exponent, no NaN."""
_LAST_SECOND_US = 253_402_300_799 * 1_000_000
"""9999-12-31: what lies beyond is no time that any table can hold."""

TRADE_EVENTS = {
    "market": pl.String,
    "trade_id": pl.Int64,
    "price": pl.Float64,
    "quantity": pl.Float64,
    "is_buy": pl.Boolean,
    "is_rest": pl.Boolean,
    "event_time": pl.Int64,
}
"""Good trades as the stateful steps take them: market is `venue:symbol`, event_time in microseconds."""

BEATS = {"market": pl.String, "event_time": pl.Int64, "ended": pl.Boolean}
"""Heartbeats, a row for each market that they name."""


@dataclass(frozen=True)
class Records:
    """Records of one partition, in order of offset. `offsets` and `times_ms` (Kafka's own time) are Int64."""

    topic: str
    partition: int
    values: Sequence[bytes]
    offsets: pl.Series
    times_ms: pl.Series

    @classmethod
    def of(cls, topic: str, partition: int, rows: pl.DataFrame) -> Records:
        """From the columns of Spark's Kafka source: value, offset, timestamp."""
        values = rows["value"].fill_null(b"").to_list()
        return cls(topic, partition, values, rows["offset"].cast(pl.Int64), rows["timestamp"].dt.epoch("ms"))

    @property
    def name(self) -> str:
        """`topic/partition`."""
        return f"{self.topic}/{self.partition}"

    @property
    def newest_ms(self) -> int:
        """Kafka's newest time, in milliseconds; 0 without records."""
        return int(self.times_ms.max() or 0)  # type: ignore[arg-type]

    def part(self, start: int, end: int) -> Records:
        """The records from place `start` up to `end`, exclusive."""
        size = end - start
        offsets, times = self.offsets.slice(start, size), self.times_ms.slice(start, size)
        return Records(self.topic, self.partition, self.values[start:end], offsets, times)

    def origin(self) -> pl.DataFrame:
        """Where each record stood: the contract's lineage columns."""
        return pl.DataFrame({"kafka_offset": self.offsets, "_ms": self.times_ms}).select(
            kafka_topic=pl.lit(self.topic),
            kafka_partition=pl.lit(self.partition, pl.Int32),
            kafka_offset="kafka_offset",
            kafka_time=(pl.col("_ms") * 1000).cast(TIME),
        )


@dataclass(frozen=True)
class Decoded:
    """The records of one partition of one topic.

    Attributes:
        bronze: rows by table; tables without rows are absent.
        trades: TRADE_EVENTS and kafka_offset, in its order.
        beats: BEATS and kafka_offset.
    """

    bronze: dict[Table, pl.DataFrame]
    trades: pl.DataFrame
    beats: pl.DataFrame


def read_event(value: bytes) -> Event:
    """An event as contracts.events writes it.

    Raises:
        RejectedInput: empty, not_utf8, malformed_json, wrong_type, unknown_kind, missing_field, bad_side, bad_origin.
    """
    try:
        return events.decode(value)
    except msgspec.ValidationError as error:
        raise RejectedInput(_invalid(str(error)), str(error)[:200]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedInput(_unreadable(value), str(error)[:200]) from error


_INVALID = (
    (re.compile(r"required field `kind`|- at `\$\.kind`"), "unknown_kind"),
    (re.compile("required field"), "missing_field"),
    (re.compile(r"- at `\$\.taker_side`"), "bad_side"),
    (re.compile(r"- at `\$\.origin`"), "bad_origin"),
)


def _invalid(message: str) -> str:
    return next((reason for pattern, reason in _INVALID if pattern.search(message)), "wrong_type")


def _unreadable(value: bytes) -> str:
    if not value:
        return "empty"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return "malformed_json"


@dataclass
class _Sorted:
    """Events of each kind with their places among the records, and what is wrong with the others."""

    events: dict[type, list[Any]]
    places: dict[type, Sequence[int]]
    faults: list[tuple[int, str, str]]


def decode(records: Records, read: Reader = read_event) -> Decoded:
    """Decode the records of a partition; `read` reads one value."""
    values = records.values
    found = _read_all(values, read)
    origin = records.origin()
    bronze: dict[Table, list[pl.DataFrame]] = {}
    bronze[BRONZE_TRADES] = [_checked(_frame(found, Trade, origin), _TRADE_CHECKS, found)]
    bronze[BRONZE_QUOTES] = [_checked(_frame(found, Quote, origin), _QUOTE_CHECKS, found)]
    bronze[BRONZE_NEWS] = [_checked(_frame(found, Article, origin), _NEWS_CHECKS, found)]
    beats = _checked(_frame(found, Heartbeat, origin), _FEED_CHECKS, found)
    statuses = _checked(_frame(found, FeedStatus, origin), _FEED_CHECKS, found)
    bronze[BRONZE_FEED_STATUS] = [statuses, _beat_rows(beats, records.topic)]
    letters = _checked(_frame(found, Rejected, origin), _LETTER_CHECKS, found)
    bronze[BRONZE_REJECTED] = [letters, _own_rejects(found, values, origin)]
    return Decoded(
        bronze={table: rows for table, parts in bronze.items() if (rows := _rows(table, parts)).height},
        trades=_trade_events(bronze[BRONZE_TRADES][0]),
        beats=_beat_events(beats),
    )


def _read_all(values: Sequence[bytes], read: Reader) -> _Sorted:
    read_events, faults = _read_each(values, read)
    found = _by_kind(read_events)
    _, alerts = found.pop(events.Alert, ([], []))
    faults += [(place, "unknown_kind", "alerts do not belong here") for place in alerts]
    return _Sorted(
        {kind: of_kind for kind, (of_kind, _) in found.items()}, {kind: at for kind, (_, at) in found.items()}, faults
    )


def _by_kind(read_events: list[Event | None]) -> dict[type, tuple[list[Any], Sequence[int]]]:
    # Events of each kind, and their places.
    kinds = list(map(type, read_events))
    present = set(kinds)
    if len(present) == 1 and type(None) not in present:
        return {kinds[0]: (read_events, range(len(read_events)))}
    found: dict[type, tuple[list[Any], Sequence[int]]] = {}
    for kind in present - {type(None)}:
        at = [place for place, of in enumerate(kinds) if of is kind]
        found[kind] = ([read_events[place] for place in at], at)
    return found


def _read_each(values: Sequence[bytes], read: Reader) -> tuple[list[Event | None], list[tuple[int, str, str]]]:
    read_events: list[Event | None] = []
    faults: list[tuple[int, str, str]] = []
    reading = map(read, values)
    while True:
        try:
            read_events.extend(reading)  # what was read before a fault stays, and the next turn goes on behind it
        except RejectedInput as fault:
            faults.append((len(read_events), fault.reason, fault.detail))
            read_events.append(None)
        else:
            return read_events, faults


_WIRE: dict[type, dict[str, Any]] = {}


def _wire_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    # Polars types of an event's fields as they are on the wire: decimals and names are text, times are integers.
    if kind not in _WIRE:
        _WIRE[kind] = {field.name: _wire_type(str(field.type)) for field in msgspec.structs.fields(kind)}
    return _WIRE[kind]


def _wire_type(annotation: str) -> Any:
    if "tuple" in annotation:
        return pl.List(pl.String)
    if "bytes" in annotation:
        return pl.Binary
    if "bool" in annotation:
        return pl.Boolean
    if "float" in annotation:
        return pl.Float64
    return pl.Int64 if "int" in annotation else pl.String


def _frame(found: _Sorted, kind: type[msgspec.Struct], origin: pl.DataFrame) -> pl.DataFrame:
    """The events of a kind: their fields as on the wire, then where they stood in Kafka, and `place`."""
    rows = found.events.get(kind, [])
    places = pl.Series("place", found.places.get(kind, []), pl.UInt32)
    fields = {name: list(map(attrgetter(name), rows)) for name in _wire_schema(kind)}
    frame = pl.DataFrame(fields, schema=_wire_schema(kind), strict=True)
    return frame.hstack(origin if places.len() == origin.height else origin[places]).with_columns(places)


# --- what is checked beyond the form: (condition of a fault, reason), the first that holds counts ------------------

_Check = tuple[pl.Expr, str]


def _not_positive(column: str) -> pl.Expr:
    text = pl.col(column)
    return ~(text.str.contains(_EXACT_DECIMAL) & text.str.contains("[1-9]"))


def _no_time(column: str) -> pl.Expr:
    return ~pl.col(column).is_between(1, _LAST_SECOND_US)


def _is_future(column: str, clock: str) -> pl.Expr:
    # Producers refuse these; on a topic written by others they would shut every window of the market.
    return pl.col(column) > pl.col(clock) + FUTURE_TOLERANCE_S * 1_000_000


_VENUE: _Check = (~pl.col("venue").is_in(list(VENUES)), "unknown_venue")
_MARKET: list[_Check] = [_VENUE, (~pl.col("symbol").str.contains(SYMBOL_PATTERN), "unknown_symbol")]
_TIMES: list[_Check] = [
    (_no_time("event_time") | _no_time("received_at"), "bad_time"),
    (_is_future("event_time", "received_at"), "future_time"),
]
_TRADE_CHECKS: list[_Check] = [
    *_MARKET,
    (_not_positive("price"), "bad_price"),
    (_not_positive("quantity"), "bad_quantity"),
    *_TIMES,
]
_QUOTE_CHECKS: list[_Check] = [*_MARKET, (_not_positive("price"), "bad_price"), *_TIMES]
_NEWS_CHECKS: list[_Check] = [
    (_no_time("published_at") | _no_time("first_seen_at"), "bad_time"),
    (pl.col("event_time").is_not_null() & _no_time("event_time"), "bad_time"),
    (_is_future("published_at", "first_seen_at"), "future_time"),
]
_FEED_CHECKS: list[_Check] = [_VENUE, *_TIMES]
_LETTER_CHECKS: list[_Check] = [(_no_time("received_at"), "bad_time")]


def _checked(frame: pl.DataFrame, checks: Iterable[_Check], found: _Sorted) -> pl.DataFrame:
    """The good rows; what is wrong with the others goes to the faults."""
    if frame.is_empty():
        return frame
    reason = pl.coalesce(*(pl.when(condition).then(pl.lit(reason)) for condition, reason in checks))
    judged = frame.select("place", reason=reason)
    bad = judged.filter(pl.col("reason").is_not_null())
    if bad.is_empty():
        return frame
    found.faults += [(place, why, "") for place, why in bad.iter_rows()]
    return frame.filter(judged["reason"].is_null())


# --- rows of the tables --------------------------------------------------------------------------------------------


def _rows(table: Table, parts: list[pl.DataFrame]) -> pl.DataFrame:
    schema = schema_of(table)
    return pl.concat([_fit(part, table, schema) for part in parts])


def _fit(frame: pl.DataFrame, table: Table, schema: dict[str, Any]) -> pl.DataFrame:
    day = table.partition_by[0]
    typed = frame.select(
        _fitted(pl.col(column.name), schema[column.name], frame.schema[column.name], is_checked=not column.nullable)
        for column in table.columns
        if column.name != day
    )
    return typed.with_columns(pl.col(table.time_column or "received_at").dt.date().alias(day)).select(
        table.column_names
    )


def _fitted(column: pl.Expr, wanted: Any, has: Any, *, is_checked: bool) -> pl.Expr:
    if wanted == has:
        return column
    # An optional number that does not fit is absent; required ones have been checked.
    if wanted == _DECIMAL and not is_checked:
        return pl.when(column.str.contains(_EXACT_DECIMAL)).then(column).cast(_DECIMAL, strict=False)
    return column.cast(wanted, strict=wanted != pl.Float64)


def _beat_rows(beats: pl.DataFrame, topic: str) -> pl.DataFrame:
    ids = {name: pl.lit(None, pl.Int64) for name in ("first_id", "last_id")}
    return beats.with_columns(
        **ids,
        status=pl.when("ended").then(pl.lit("ended")).otherwise(pl.lit("heartbeat")),
        stream=pl.lit(topic),
        symbol=pl.lit(None, pl.String),
        detail=pl.lit(""),
    )


def _own_rejects(found: _Sorted, values: Sequence[bytes], origin: pl.DataFrame) -> pl.DataFrame:
    faults = sorted(found.faults)
    at = origin[[place for place, _, _ in faults]]
    where = pl.format("{}[{}]@{}", "kafka_topic", "kafka_partition", "kafka_offset")
    return at.with_columns(
        stage=pl.lit("ingest"),
        place=where,
        reason=pl.Series([reason for _, reason, _ in faults], dtype=pl.String),
        detail=pl.Series([detail for _, _, detail in faults], dtype=pl.String),
        raw=pl.Series([values[place][:MAX_RAW_BYTES] for place, _, _ in faults], dtype=pl.Binary),
        received_at="kafka_time",
    )


def trade_columns(event_time: pl.Expr) -> list[pl.Expr]:
    """TRADE_EVENTS out of a trade's own columns; `event_time` is it in microseconds."""
    return [
        MARKET,
        pl.col("trade_id"),
        pl.col("price").cast(pl.Float64),
        pl.col("quantity").cast(pl.Float64),
        (pl.col("taker_side") == "buy").alias("is_buy"),
        (pl.col("origin") == "rest").alias("is_rest"),
        event_time.alias("event_time"),
    ]


def _trade_events(trades: pl.DataFrame) -> pl.DataFrame:
    return trades.select(*trade_columns(pl.col("event_time")), "kafka_offset")


def _beat_events(beats: pl.DataFrame) -> pl.DataFrame:
    named = beats.select("venue", "event_time", "ended", "kafka_offset", symbol="symbols").explode("symbol")
    return named.filter(pl.col("symbol").is_not_null()).select(MARKET, "event_time", "ended", "kafka_offset")
