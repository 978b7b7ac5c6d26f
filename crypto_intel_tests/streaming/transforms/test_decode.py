"""Every record of a topic becomes a typed row or a reject with a reason, and no good record is touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.events import Article, FeedStatus, Heartbeat, Quote, Rejected, encode

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.stack

AT = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z
TRADE = {
    "kind": "trade",
    "venue": "binance",
    "symbol": "BTC-USDT",
    "trade_id": 7,
    "price": "61556.01000000",
    "quantity": "0.00012",
    "taker_side": "buy",
    "event_time": AT,
    "received_at": AT + 5,
    "origin": "ws",
}


def changed(**fields: Any) -> bytes:
    """A good trade with some fields replaced; None takes the field away."""
    return json.dumps({k: v for k, v in {**TRADE, **fields}.items() if v is not None}).encode()


BAD: dict[str, tuple[bytes | None, str]] = {
    "no value": (None, "empty"),
    "not UTF-8": (b"\xff\xfe{}", "not_utf8"),
    "cut JSON": (b'{"kind":"trade","venue":"bin', "malformed_json"),
    "no JSON at all": (b"hello", "malformed_json"),
    "an array": (b"[1,2]", "wrong_type"),
    "another kind": (changed(kind="order"), "unknown_kind"),
    "no kind": (changed(kind=None), "unknown_kind"),
    "id as text": (changed(trade_id="seven"), "wrong_type"),
    "id too large": (changed(trade_id=2**70), "wrong_type"),
    "id below 0": (changed(trade_id=-1), "bad_trade_id"),
    "no price": (changed(price=None), "missing_field"),
    "no time": (changed(event_time=None), "missing_field"),
    "price NaN": (changed(price="NaN"), "bad_price"),
    "price infinite": (changed(price="Infinity"), "bad_price"),
    "price 0": (changed(price="0.0"), "bad_price"),
    "price negative": (changed(price="-1"), "bad_price"),
    "price with an exponent": (changed(price="1e5"), "bad_price"),
    "price with 19 decimals": (changed(price="1.0000000000000000001"), "bad_price"),
    "price with 21 digits": (changed(price="9" * 21), "bad_price"),
    "quantity empty": (changed(quantity=""), "bad_quantity"),
    "side unknown": (changed(taker_side="hold"), "bad_side"),
    "venue unknown": (changed(venue="mtgox"), "unknown_venue"),
    "symbol unknown": (changed(symbol="BTC/USDT"), "unknown_symbol"),
    "origin unknown": (changed(origin="carrier pigeon"), "bad_origin"),
    "61 s in the future": (changed(event_time=AT + 61_000_006), "future_time"),
    "time 0": (changed(event_time=0), "bad_time"),
    "time beyond all calendars": (changed(event_time=2**62, received_at=2**62), "bad_time"),
}

GOOD: dict[str, tuple[bytes, str]] = {
    "trade": (changed(), "trades"),
    "trade from another clock, 59 s ahead": (changed(event_time=AT + 59_000_000), "trades"),
    "trade with a field that we do not know": (changed(maker_fee="0.1"), "trades"),
    "trade without origin": (changed(origin=None), "trades"),
    "trade at the limits of the type": (changed(price="9" * 20 + "." + "9" * 18), "trades"),
    "heartbeat": (encode(Heartbeat(venue="binance", symbols=("A-B",), event_time=AT, received_at=AT)), "feed_status"),
    "status": (encode(FeedStatus(venue="kraken", status="connected", event_time=AT, received_at=AT)), "feed_status"),
    "quote": (
        encode(Quote(venue="coingecko", symbol="BTC-USD", price="1.5", event_time=AT, received_at=AT)),
        "quotes",
    ),
    "article": (
        encode(Article(article_id="a", source="s", url="u", title="t", published_at=AT, first_seen_at=AT + 1)),
        "news",
    ),
    "dead letter": (
        encode(Rejected(stage="binance", place="ws", reason="bad_price", raw=b"\x00\xff", received_at=AT)),
        "rejected",
    ),
}


def decoded(spark: SparkSession, values: list[bytes | None]) -> Any:
    """The values as records of a topic, offsets 0.., decoded."""
    from streaming.transforms.decode import decode

    rows = [(None, value, "trades_topic", 1, offset, datetime(2025, 1, 1)) for offset, value in enumerate(values)]
    schema = "key binary, value binary, topic string, partition int, offset bigint, timestamp timestamp"
    return decode(spark.createDataFrame(rows, schema))  # type: ignore[type-var]


def test_each_fault_is_rejected_with_its_own_reason(spark: SparkSession) -> None:
    rows = decoded(spark, [value for value, _ in BAD.values()]).orderBy("offset").select("fault", "target").collect()
    told = {name: row["fault"] for name, row in zip(BAD, rows, strict=True)}
    assert told == {name: reason for name, (_, reason) in BAD.items()}
    assert {row["target"] for row in rows} == {"rejected"}


def test_good_records_of_each_kind_find_their_table(spark: SparkSession) -> None:
    rows = decoded(spark, [value for value, _ in GOOD.values()]).orderBy("offset").select("fault", "target").collect()
    told = {name: (row["fault"], row["target"]) for name, row in zip(GOOD, rows, strict=True)}
    assert told == {name: (None, target) for name, (_, target) in GOOD.items()}


def test_rows_of_every_bronze_table_have_the_contracts_columns_and_lose_no_record(spark: SparkSession) -> None:
    from streaming.transforms.decode import BRONZE

    values = [value for value, _ in (*BAD.values(), *GOOD.values())]
    all_rows = decoded(spark, values).persist()
    offsets: list[int] = []
    for table, select in BRONZE.items():
        rows = select(all_rows)
        assert _shape(rows.schema.fields) == _contract(table)
        offsets += [row["kafka_offset"] for row in rows.select("kafka_offset").collect()]
    all_rows.unpersist()
    assert sorted(offsets) == list(range(len(values)))


def _shape(fields: Any) -> list[tuple[str, str]]:
    return [(field.name, field.dataType.simpleString()) for field in fields]


def _contract(table: Table) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in table.columns]


def test_prices_stay_exact_and_rejects_keep_their_bytes(spark: SparkSession) -> None:
    from streaming.transforms.decode import rejected, trades

    limit = "9" * 20 + "." + "9" * 18
    rows = decoded(spark, [changed(price=limit), changed(price="NaN"), GOOD["dead letter"][0]])
    (trade,) = trades(rows).collect()
    assert trade["price"] == Decimal(limit)
    assert trade["event_time"] == datetime.fromtimestamp(AT / 1e6, UTC).replace(tzinfo=None)
    ours, theirs = rejected(rows).orderBy("kafka_offset").collect()
    assert (ours["stage"], ours["place"], bytes(ours["raw"])) == ("ingest", "trades_topic[1]@1", changed(price="NaN"))
    assert (theirs["stage"], theirs["reason"], bytes(theirs["raw"])) == ("binance", "bad_price", b"\x00\xff")


def test_a_heartbeat_reaches_every_market_that_it_names(spark: SparkSession) -> None:
    from streaming.transforms.decode import market_events

    beat = encode(Heartbeat(venue="binance", symbols=("A-B", "C-D"), event_time=AT, received_at=AT, ended=True))
    rows = market_events(decoded(spark, [changed(), beat, changed(price="NaN")])).orderBy("market").collect()
    assert [(row["market"], row["is_trade"], row["ended"]) for row in rows] == [
        ("binance:A-B", False, True),
        ("binance:BTC-USDT", True, False),
        ("binance:C-D", False, True),
    ]
