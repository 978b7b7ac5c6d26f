"""Alpha Vantage's series, rates and errors."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Quote
from streaming.errors import RejectedInput, RetryableError, StreamingError
from streaming.producers.alphavantage import FUNCTIONS, parameters, parse_object, parse_rate, parse_series, quote_of

RECEIVED = 2_000_000_000_000_000
META = {"1. Information": "Daily", "4. Last Refreshed": "2022-03-21 11:25:00", "5. Time Zone": "UTC"}
CANDLE = {"1. open": "1.1", "2. high": "1.3", "3. low": "1.0", "4. close": "1.2"}


def series(rows: Any, name: str = "Time Series FX (Daily)", **meta: str) -> bytes:
    return json.dumps({"Meta Data": {**META, **meta}, name: rows}).encode()


def us(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


def read(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def test_a_closed_day_is_known_at_its_end_and_the_open_one_at_its_last_refresh() -> None:
    closed, opened = parse_series(series({"2022-03-21": CANDLE, "2022-03-18": CANDLE}), "EUR-USD", RECEIVED).candles
    assert (closed.start, closed.known_at) == (us(2022, 3, 18), us(2022, 3, 19))
    assert (opened.start, opened.known_at) == (us(2022, 3, 21), us(2022, 3, 21, 11, 25))
    quote = quote_of(opened, RECEIVED)
    assert (quote.symbol, quote.price, quote.event_time) == ("EUR-USD", "1.2", us(2022, 3, 21, 11, 25))


def test_times_without_a_zone_are_in_that_of_the_meta_data_daylight_saving_too() -> None:
    body = series({"2021-03-13": CANDLE, "2021-03-14": CANDLE}, **{"5. Time Zone": "US/Eastern"})
    before, after = parse_series(body, "A-USD", RECEIVED).candles
    assert (before.start, before.known_at) == (us(2021, 3, 13, 5), us(2021, 3, 14, 5))
    assert (after.start, after.known_at) == (us(2021, 3, 14, 5), us(2021, 3, 15, 4))  # a day of 23 hours


def test_a_close_is_never_known_before_it_was_received() -> None:
    received = us(2022, 3, 21, 10)
    body = series({"2022-03-21": CANDLE}, **{"4. Last Refreshed": "2022-03-21"})
    assert parse_series(body, "EUR-USD", received).candles[0].known_at == received


@pytest.mark.parametrize(
    ("file", "symbol", "count", "interval"),
    [
        ("FX_DAILY_EURUSD_full.json.gz", "EUR-USD", 5000, "daily"),
        ("TIME_SERIES_INTRADAY_AAPL_15min_20210818.json", "AAPL-USD", 100, "15min"),
        ("mock_romeltorres/mock_time_series", "MSFT-USD", 100, "1min"),
        ("mock_romeltorres/mock_crypto_currencies.gz", "BTC-USD", 923, "5min"),
        ("mock_romeltorres/mock_crypto_currencies.gz", "BTC-CNY", 923, "5min"),
    ],
)
def test_recorded_series_parse_whole(shared_data: Path, file: str, symbol: str, count: int, interval: str) -> None:
    found = parse_series(read(shared_data / "alphavantage" / file), symbol, RECEIVED)
    assert (len(found.candles), len(found.rejected)) == (count, 0)
    assert {candle.interval for candle in found.candles} == {interval}
    assert all(candle.known_at > candle.start or candle == found.candles[-1] for candle in found.candles)
    assert [c.start for c in found.candles] == sorted({c.start for c in found.candles})


def test_two_currencies_of_one_series_are_told_apart(shared_data: Path) -> None:
    body = read(shared_data / "alphavantage" / "mock_romeltorres" / "mock_crypto_currencies.gz")
    dollars, yuan = (parse_series(body, symbol, RECEIVED).candles[-1].close for symbol in ("BTC-USD", "BTC-CNY"))
    assert (dollars, yuan) == ("18780.02814954", "123574.46322682")


@pytest.mark.parametrize(
    ("file", "symbol", "has_spread"),
    [
        ("CURRENCY_EXCHANGE_RATE_EURUSD.json", "EUR-USD", True),
        ("mock_romeltorres/mock_foreign_exchange", "BTC-CNY", False),
    ],
)
def test_recorded_rates_parse(shared_data: Path, file: str, symbol: str, has_spread: bool) -> None:
    quote = parse_rate(read(shared_data / "alphavantage" / file), RECEIVED)
    assert (quote.symbol, quote.bid is not None) == (symbol, has_spread)


def test_a_recorded_error_of_status_200_is_refused_in_its_words(shared_data: Path) -> None:
    body = read(shared_data / "alphavantage" / "error_premium_information.json")
    with pytest.raises(RejectedInput, match=r"venue_error: Information: Thank you .* premium endpoint"):
        parse_series(body, "EUR-USD", RECEIVED)


@pytest.mark.parametrize(
    "body",
    [
        {"Note": "Thank you! Our standard API call frequency is 5 calls per minute and 500 calls per day."},
        {"Information": "Our standard API rate limit is 25 requests per day."},
        {"Information": "Please consider spreading out your free API requests more sparingly (1 request per second)."},
    ],
)
def test_too_many_requests_may_be_asked_again(body: dict[str, str]) -> None:
    with pytest.raises(RetryableError):
        parse_object(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"Error Message": "Invalid API call."}', "venue_error"),
        (b"{}", "missing_field"),
        (b"[]", "malformed_json"),
        (b"", "malformed_json"),
        (series([]), "wrong_type"),
        (series({}, **{"5. Time Zone": "Mars"}), "bad_time"),
        (series({}, **{"5. Time Zone": "../../etc/passwd"}), "bad_time"),
        (series({}, "Time Series (Yearly)"), "missing_field"),
    ],
)
def test_what_is_no_series_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        parse_series(body, "EUR-USD", RECEIVED)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("stamp", "row", "reason"),
    [
        ("2022-03-18", {**CANDLE, "4. close": "NaN"}, "bad_price"),
        ("2022-03-18", {**CANDLE, "4. close": "1e5"}, "bad_price"),
        ("2022-03-18", {**CANDLE, "4. close": 1.2}, "wrong_type"),
        ("2022-03-18", {**CANDLE, "4. close": "9"}, "bad_price"),  # above its high
        ("2022-03-18", {**CANDLE, "3. low": "0"}, "bad_price"),
        ("2022-03-18", {**CANDLE, "5. volume": "-1"}, "bad_quantity"),
        ("2022-03-18", {"1. open": "1"}, "missing_field"),
        ("2022-03-18", 5, "wrong_type"),
        ("someday", CANDLE, "bad_time"),
        ("9999-12-31", CANDLE, "bad_time"),
        ("2099-01-01", CANDLE, "future_time"),
    ],
)
def test_a_row_that_cannot_be_used_is_kept_with_its_reason_and_the_others_stand(
    stamp: str, row: Any, reason: str
) -> None:
    found = parse_series(series({stamp: row, "2022-03-17": CANDLE}), "EUR-USD", RECEIVED)
    assert len(found.candles) == 1
    [(raw, error)] = found.rejected
    assert error.reason == reason
    assert stamp in raw.decode()


def test_every_kind_is_asked_for_with_its_own_parameters() -> None:
    asked = {kind: parameters(kind, "BTC-EUR", "5min") for kind in FUNCTIONS}
    assert asked["fx-daily"] == {"function": "FX_DAILY", "from_symbol": "BTC", "to_symbol": "EUR"}
    assert asked["stock-intraday"] == {"function": "TIME_SERIES_INTRADAY", "symbol": "BTC", "interval": "5min"}
    assert asked["crypto-daily"] == {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "EUR"}
    assert asked["rate"] == {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "BTC", "to_currency": "EUR"}


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(body: bytes) -> None:
    for parse in (parse_object, lambda b: parse_rate(b, RECEIVED), lambda b: parse_series(b, "A-USD", RECEIVED)):
        with contextlib.suppress(StreamingError):
            parse(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda c: st.lists(c) | st.dictionaries(st.text(max_size=9), c),
    max_leaves=8,
)
_price = st.decimals(allow_nan=True, allow_infinity=True).map(str) | _json


@given(
    st.dates().map(str) | st.datetimes().map(str) | st.text(max_size=12),
    st.fixed_dictionaries({}, optional=dict.fromkeys([*CANDLE, "5. volume"], _price)),
)
def test_arbitrary_rows_are_candles_or_rejected(stamp: str, row: dict[str, Any]) -> None:
    found = parse_series(series({stamp: {**CANDLE, **row}}), "EUR-USD", RECEIVED)
    assert len(found.candles) + len(found.rejected) == 1
    for candle in found.candles:
        assert isinstance(quote_of(candle, RECEIVED), Quote)
        assert candle.start > 0
        assert candle.known_at <= RECEIVED


@given(_json, _json)
def test_arbitrary_objects_are_accepted_or_rejected(meta: Any, rows: Any) -> None:
    body = json.dumps(
        {"Meta Data": meta, "Time Series (Daily)": rows, "Realtime Currency Exchange Rate": rows}
    ).encode()
    for parse in (lambda b: parse_rate(b, RECEIVED), lambda b: parse_series(b, "A-USD", RECEIVED)):
        with contextlib.suppress(StreamingError):
            parse(body)
