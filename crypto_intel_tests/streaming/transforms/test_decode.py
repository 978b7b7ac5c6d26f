"""Every record of a topic becomes a typed row or a reject with a reason, and no good record is touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Article, FeedStatus, Heartbeat, Quote, Rejected, encode
from crypto_intel.contracts.tables import BRONZE_QUOTES, BRONZE_REJECTED, BRONZE_TRADES
from streaming.transforms.decode import BRONZE, Decoded, Records, decode
from streaming.transforms.frames import TIME, schema_of

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
    "trade without a number": (changed(trade_id=-5), "trades"),
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


def decoded(values: list[bytes | None]) -> Decoded:
    """The values as records of a topic, offsets 0.., decoded."""
    rows = pl.DataFrame(
        {"value": values, "offset": range(len(values)), "timestamp": [datetime(2025, 1, 1, tzinfo=UTC)] * len(values)},
        schema={"value": pl.Binary, "offset": pl.Int64, "timestamp": TIME},
    )
    return decode(Records.of("trades_topic", 1, rows))


def targets(of: Decoded) -> dict[int, str]:
    """The table that each offset went to."""
    return {offset: table.name for table, rows in of.bronze.items() for offset in rows["kafka_offset"]}


def test_each_fault_is_rejected_with_its_own_reason() -> None:
    rows = decoded([value for value, _ in BAD.values()]).bronze
    assert list(rows) == [BRONZE_REJECTED]
    told = dict(zip(BAD, rows[BRONZE_REJECTED].sort("kafka_offset")["reason"], strict=True))
    assert told == {name: reason for name, (_, reason) in BAD.items()}


def test_good_records_of_each_kind_find_their_table() -> None:
    found = targets(decoded([value for value, _ in GOOD.values()]))
    assert {name: found[place] for place, name in enumerate(GOOD)} == {
        name: target for name, (_, target) in GOOD.items()
    }


def test_rows_of_every_bronze_table_have_the_contracts_columns_and_lose_no_record() -> None:
    values = [value for value, _ in (*BAD.values(), *GOOD.values())]
    of = decoded(values)
    assert set(of.bronze) == set(BRONZE)
    for table, rows in of.bronze.items():
        assert dict(rows.schema) == schema_of(table)
    assert sorted(targets(of)) == list(range(len(values)))
    assert sum(rows.height for rows in of.bronze.values()) == len(values)


def test_prices_stay_exact_and_rejects_keep_their_bytes() -> None:
    limit = "9" * 20 + "." + "9" * 18
    of = decoded([changed(price=limit), changed(price="NaN"), GOOD["dead letter"][0]])
    (trade,) = of.bronze[BRONZE_TRADES].iter_rows(named=True)
    assert trade["price"] == Decimal(limit)
    assert trade["event_time"] == datetime.fromtimestamp(AT / 1e6, UTC)
    ours, theirs = of.bronze[BRONZE_REJECTED].sort("kafka_offset").iter_rows(named=True)
    assert (ours["stage"], ours["place"], ours["raw"]) == ("ingest", "trades_topic[1]@1", changed(price="NaN"))
    assert (theirs["stage"], theirs["reason"], theirs["raw"]) == ("binance", "bad_price", b"\x00\xff")


def test_a_heartbeat_reaches_every_market_that_it_names_and_bad_trades_reach_none() -> None:
    beat = encode(Heartbeat(venue="binance", symbols=("A-B", "C-D"), event_time=AT, received_at=AT, ended=True))
    of = decoded([changed(), beat, changed(price="NaN")])
    assert of.trades["market"].to_list() == ["binance:BTC-USDT"]
    assert of.beats.rows() == [("binance:A-B", AT, True, 1), ("binance:C-D", AT, True, 1)]


def test_an_optional_number_that_does_not_fit_is_absent_and_the_quote_stays() -> None:
    quote = Quote(
        venue="kraken", symbol="BTC-USD", price="1.5", event_time=AT, received_at=AT, bid="NaN", change_24h_pct="-2.5"
    )
    (row,) = decoded([encode(quote)]).bronze[BRONZE_QUOTES].iter_rows(named=True)
    assert (row["bid"], row["change_24h_pct"]) == (None, -2.5)


@given(st.binary(max_size=200))
def test_any_bytes_become_one_row(value: bytes) -> None:
    assert targets(decoded([value])).keys() == {0}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_value_in_any_field_becomes_one_row(value: Any) -> None:
    changed_fields = [json.dumps({**TRADE, field: value}).encode() for field in TRADE]
    assert sorted(targets(decoded(changed_fields))) == list(range(len(TRADE)))
