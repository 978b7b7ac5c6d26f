"""CoinGecko's rows and charts: nulls, numbers of all kinds, tickers that are not unique."""

from __future__ import annotations

import contextlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Quote
from streaming.errors import RejectedInput
from streaming.producers.coingecko import Tickers, parse_chart, parse_market, parse_rows

RECEIVED = 2_000_000_000_000_000
ROW: dict[str, Any] = {
    "id": "bitcoin",
    "symbol": "btc",
    "name": "Bitcoin",
    "current_price": 38938,
    "market_cap": 738310755630,
    "total_volume": 18_000_000_000.5,
    "price_change_percentage_24h": -1.5,
    "last_updated": "2022-02-23T11:31:42.554Z",
}
EXACT = re.compile(r"^\d{1,20}(\.\d{1,18})?$")  # what the lake takes without rounding


def row(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**ROW, **changes}.items() if v != "absent"}).encode()


def test_a_row_becomes_a_quote_with_its_own_time() -> None:
    assert parse_market(row(), RECEIVED, Tickers()) == Quote(
        venue="coingecko",
        symbol="BTC-USD",
        price="38938",
        event_time=1_645_615_902_554_000,
        received_at=RECEIVED,
        volume_24h="18000000000.5",
        market_cap_usd="738310755630",
        change_24h_pct="-1.5",
    )


@pytest.mark.parametrize("field", ["market_cap", "total_volume", "price_change_percentage_24h"])
def test_what_may_be_null_may_be_absent_too(field: str) -> None:
    assert parse_market(row(**{field: None}), RECEIVED, Tickers()).price == "38938"
    assert parse_market(row(**{field: "absent"}), RECEIVED, Tickers()).price == "38938"


@pytest.mark.parametrize(
    ("raw", "price"),
    [
        (b"4.37e-06", "0.00000437"),
        (b"1e3", "1000"),
        (b"0.1", "0.1"),
        (b"1.0000000000000000005", "1.000000000000000000"),
        (b"12345678901.123456789012345678901", "12345678901.123456789012345679"),
    ],
)
def test_numbers_are_written_plainly_and_never_pass_through_a_float(raw: bytes, price: str) -> None:
    assert parse_market(row().replace(b"38938", raw), RECEIVED, Tickers()).price == price


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "malformed_json"),
        (row(current_price=None), "missing_field"),
        (row(last_updated=None), "missing_field"),
        (row(symbol="absent"), "missing_field"),
        (row(current_price="38938x"), "wrong_type"),
        (row(current_price=[1]), "wrong_type"),
        (row(current_price=0), "bad_price"),
        (row(current_price=-1), "bad_price"),
        (row().replace(b"38938", b"NaN"), "malformed_json"),
        (row().replace(b"38938", b'"NaN"'), "bad_price"),
        (row().replace(b"38938", b"1e-25"), "bad_price"),
        (row().replace(b"38938", b"1e999999999"), "bad_price"),
        (row(symbol="usdc.e"), "unknown_symbol"),
        (row(symbol="₿"), "unknown_symbol"),
        (row(id="bitcoin-bridged"), "ambiguous_symbol"),
        (row(last_updated="yesterday"), "bad_time"),
        (row(last_updated="1960-01-01T00:00:00Z"), "bad_time"),
        (row(last_updated="2033-05-18T03:35:00Z"), "future_time"),
    ],
)
def test_a_row_that_is_no_quote_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        parse_market(raw, RECEIVED, Tickers())
    assert caught.value.reason == reason


RECORDED = {
    "coins_markets_250_20220223": 250,
    "coins_markets_bitcoin_2021": 1,
    "coins_markets_category_analytics": 16,
    "coins_markets_category_nft_50": 50,
    "coins_markets_page2_perpage1": 1,
}


@pytest.mark.parametrize(("name", "count"), RECORDED.items())
def test_recorded_rows_parse_whole(shared_data: Path, name: str, count: int) -> None:
    rows = parse_rows((shared_data / "coingecko" / f"{name}.json").read_bytes())
    tickers = Tickers()
    quotes = [parse_market(raw, RECEIVED, tickers) for raw in rows]
    assert len(quotes) == count
    assert all(EXACT.match(quote.price) and Decimal(quote.price) > 0 for quote in quotes)
    assert len({quote.symbol for quote in quotes}) == count


def test_of_two_recorded_coins_with_one_ticker_the_greater_has_it(shared_data: Path) -> None:
    rows = parse_rows((shared_data / "coingecko" / "coins_markets_category_stablecoins_50.json").read_bytes())
    tickers, quotes, rejected = Tickers(), [], []
    for raw in rows:
        try:
            quotes.append(parse_market(raw, RECEIVED, tickers))
        except RejectedInput as error:
            rejected.append(str(error))
    assert len(quotes) == 49
    assert rejected == ["ambiguous_symbol: USDP is paxos-standard, not usdp"]


def test_prices_in_another_currency_have_its_name_and_no_capitalisation_in_dollars(shared_data: Path) -> None:
    rows = parse_rows((shared_data / "coingecko" / "coins_markets_btc_eth_vs_eth_2021.json").read_bytes())
    quotes = [parse_market(raw, RECEIVED, Tickers(), "ETH") for raw in rows]
    assert [(quote.symbol, quote.market_cap_usd) for quote in quotes] == [("BTC-ETH", None), ("ETH-ETH", None)]


def test_the_worthless_token_of_the_first_rank_is_passed_on(shared_data: Path) -> None:
    first = parse_rows((shared_data / "coingecko" / "coins_markets_250_20220223.json").read_bytes())[0]
    quote = parse_market(first, RECEIVED, Tickers())
    assert (quote.symbol, quote.market_cap_usd) == ("TICO-USD", "3333370870735")


CHARTS = {"5min_1d_2021": 288, "daily_2021-22": 368, "daily_90d_2021": 91, "hourly_202103": 722, "hourly_30d_2021": 722}


@pytest.mark.parametrize(("name", "count"), CHARTS.items())
def test_recorded_charts_parse_whole(shared_data: Path, name: str, count: int) -> None:
    body = (shared_data / "coingecko" / f"market_chart_bitcoin_{name}.json").read_bytes()
    quotes = [point for point in parse_chart(body, "BTC-USD", RECEIVED) if isinstance(point, Quote)]
    assert len(quotes) == count
    assert all(EXACT.match(quote.price) and quote.volume_24h and quote.market_cap_usd for quote in quotes)
    assert len({quote.event_time for quote in quotes}) == count


def test_a_point_that_is_no_quote_stands_among_the_others_as_its_reason() -> None:
    body = b'{"prices": [[1000, 1.5], [2000, null], [3000, -1], [99999999999999, 2], [4000, 2]]}'
    points = list(parse_chart(body, "BTC-USD", RECEIVED))
    assert [p.reason if isinstance(p, RejectedInput) else p.price for p in points] == [
        "1.5",
        "missing_field",
        "bad_price",
        "future_time",
        "2",
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"prices": [[1]]}', b'{"prices": [["a", 1]]}', b"[1]"])
def test_a_chart_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(RejectedInput):
        list(parse_chart(body, "BTC-USD", RECEIVED))


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(raw: bytes) -> None:
    for parse in (
        parse_rows,
        lambda body: parse_market(body, RECEIVED, Tickers()),
        lambda b: list(parse_chart(b, "A-USD", 1)),
    ):
        with contextlib.suppress(RejectedInput):
            parse(raw)


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.decimals().map(str) | st.text(max_size=20)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ROW, _values)))
def test_arbitrary_fields_are_accepted_or_rejected(changes: dict[str, Any]) -> None:
    with contextlib.suppress(RejectedInput):
        quote = parse_market(row(**changes), RECEIVED, Tickers())
        assert EXACT.match(quote.price)
        assert quote.volume_24h is None or EXACT.match(quote.volume_24h)
        assert quote.market_cap_usd is None or EXACT.match(quote.market_cap_usd)


@given(st.decimals(min_value=0, allow_nan=False, allow_infinity=False))
def test_any_number_is_exact_plain_text_or_no_quote(number: Decimal) -> None:
    with contextlib.suppress(RejectedInput):
        price = parse_market(row().replace(b"38938", str(number).encode()), RECEIVED, Tickers()).price
        assert EXACT.match(price)
        assert abs(Decimal(price) - number) <= Decimal("5e-19")
