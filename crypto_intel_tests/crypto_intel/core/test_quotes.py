"""Quotes that can be believed stay, others are refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.derived import SILVER_QUARANTINE, SILVER_QUOTES
from crypto_intel.contracts.tables import BRONZE_QUOTES
from crypto_intel.core.checks import check_rows
from crypto_intel.core.frames import conform
from crypto_intel.core.quarantine import contract_breakers, refused_rows
from crypto_intel.core.quotes import clean_quotes
from streaming.errors import RejectedInput
from streaming.producers.coingecko import Tickers, parse_market, parse_rows

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)


def quote(offset: int = 0, **other: Any) -> dict[str, Any]:
    """A row of bronze.quotes."""
    at = other.pop("at", HOUR)
    row = {
        "venue": "coingecko", "symbol": "BTC-USD", "price": Decimal(100), "bid": None, "ask": None,
        "volume_24h": Decimal(1000), "market_cap_usd": Decimal(10_000), "bid_quantity": None, "ask_quantity": None,
        "volume_24h_base": None, "change_24h_pct": None, "event_time": at, "received_at": at,
        "kafka_topic": "quotes_topic", "kafka_partition": 0, "kafka_offset": offset, "kafka_time": at,
        "event_date": at.date(),
    }  # fmt: skip
    return {**row, **other}


def records(*rows: dict[str, Any]) -> pl.LazyFrame:
    return conform(pl.DataFrame(rows, infer_schema_length=None), BRONZE_QUOTES).lazy()


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"price": Decimal(0)}, "price not positive"),
        ({"price": Decimal(-5)}, "price not positive"),
        ({"price": None}, "no price"),
        ({"bid": Decimal(0)}, "bid or ask not positive"),
        ({"bid": Decimal(101), "ask": Decimal(99)}, "bid above ask"),
        ({"market_cap_usd": Decimal(10**12), "volume_24h": Decimal(5)}, "capitalisation without trading"),
        ({"change_24h_pct": float("nan")}, "change not finite"),
    ],
)
def test_a_quote_that_can_not_be_is_refused_with_its_reason(planted: dict[str, Any], reason: str) -> None:
    found = clean_quotes(records(quote(0), quote(1, symbol="X-USD", **planted)), HOUR)
    assert found.rows["symbol"].to_list() == ["BTC-USD"]
    assert found.refused.select("symbol", "reason").rows() == [("X-USD", reason)]


def test_a_quote_told_twice_is_one_row_and_no_fault() -> None:
    later = HOUR + timedelta(minutes=1)
    found = clean_quotes(records(quote(0), quote(1), quote(2, at=later), quote(3, at=HOUR + timedelta(hours=1))), HOUR)
    assert found.rows["event_time"].to_list() == [HOUR, later]
    assert (found.repeated, found.refused.height) == (1, 0)
    assert check_rows(found.rows, SILVER_QUOTES).failures == []


def test_of_the_recorded_coins_only_the_bogus_first_one_is_refused(shared_data: Path) -> None:
    tickers, at = Tickers(), datetime(2022, 2, 23, 11, 35, tzinfo=UTC)
    rows = []
    for offset, raw in enumerate(
        parse_rows((shared_data / "coingecko" / "coins_markets_250_20220223.json").read_bytes())
    ):
        try:
            told = parse_market(raw, int(at.timestamp() * 1_000_000), tickers)
        except RejectedInput:  # tickers that two coins share: the producer's own tests are about them
            continue
        when = datetime.fromtimestamp(told.event_time / 1_000_000, UTC)
        numbers = {n: _decimal(getattr(told, n)) for n in ("price", "volume_24h", "market_cap_usd")}
        rows.append(quote(offset, symbol=told.symbol, at=when, **numbers))
    found = clean_quotes(records(*rows), datetime(2022, 2, 23, 11, tzinfo=UTC))
    assert found.rows.height > 200
    assert found.refused.select("symbol", "reason").rows() == [("TICO-USD", "capitalisation without trading")]


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def test_what_is_refused_is_kept_whole() -> None:
    refused = clean_quotes(records(quote(7, price=Decimal("-1.5"))), HOUR).refused
    kept = refused_rows(SILVER_QUOTES, "2024-08-08-22", refused, by="cleaning", at=HOUR)
    assert check_rows(kept, SILVER_QUARANTINE).failures == []
    (row,) = kept.iter_rows(named=True)
    assert (row["table_name"], row["partition_key"], row["reason"]) == (
        "silver.quotes",
        "2024-08-08-22",
        "price not positive",
    )
    content = json.loads(row["row"])
    assert Decimal(content["price"]) == Decimal("-1.5") and content["kafka_offset"] == 7


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"price": -1.0}, "price below 0"),
        ({"price": float("inf")}, "price is not finite"),
        ({"venue": "nowhere"}, "venue is no allowed word"),
        ({"symbol": None}, "symbol is null"),
    ],
)
def test_a_contract_names_each_row_that_breaks_it(planted: dict[str, Any], reason: str) -> None:
    good = clean_quotes(records(quote(0)), HOUR).rows
    bad = good.with_columns(**{name: pl.lit(value, good.schema[name]) for name, value in planted.items()})
    bad = bad.with_columns(event_time=pl.col("event_time") + pl.duration(minutes=1))
    found = contract_breakers(pl.concat([good, bad]), SILVER_QUOTES)
    assert found["reason"].to_list() == [reason]


def test_a_repeated_key_is_a_fault_of_every_row_that_has_it() -> None:
    good = clean_quotes(records(quote(0)), HOUR).rows
    assert (
        contract_breakers(pl.concat([good, good]), SILVER_QUOTES)["reason"].to_list()
        == ["key repeated: venue, symbol, event_time"] * 2
    )
