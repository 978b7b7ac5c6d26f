"""A venue's klines against bars of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import RejectedInput
from streaming.producers.klines import FIELDS, Difference, differences, parse_klines

# The form of the venue's documentation.
BODY = (
    b'[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499040059999,'
    b'"2434.19055334",308,"1756.87402397","28.46694368","0"]]'
)
NOW = 1_723_161_254_000_000


def test_a_kline_has_the_names_and_units_of_our_bars() -> None:
    (kline,) = parse_klines(BODY, NOW)
    assert (kline.window_start, kline.window_end) == (1_499_040_000_000_000, 1_499_040_060_000_000)
    assert (kline.open, kline.trade_count, kline.buy_volume_base) == (0.0163479, 308, 1756.87402397)


def test_microseconds_are_told_from_milliseconds() -> None:
    body = BODY.replace(b"1499040000000", b"1499040000000000").replace(b"1499040059999", b"1499040059999999")
    assert parse_klines(body, NOW) == parse_klines(BODY, NOW)


def test_a_bar_that_says_the_same_has_no_differences() -> None:
    (kline,) = parse_klines(BODY, NOW)
    bar = {name: kline._asdict()[name] for name in FIELDS}
    bar["volume_quote"] *= 1 + 1e-12
    assert differences(kline, bar) == []


@pytest.mark.parametrize("column", FIELDS)
def test_each_column_that_differs_is_named(column: str) -> None:
    (kline,) = parse_klines(BODY, NOW)
    theirs = kline._asdict()
    bar = {name: theirs[name] for name in FIELDS}
    bar[column] = theirs[column] * 1.001 + 1
    assert differences(kline, bar) == [Difference(column, bar[column], theirs[column])]


def test_a_missing_value_is_a_difference_and_a_quiet_minute_has_no_prices_to_compare() -> None:
    (kline,) = parse_klines(BODY, NOW)
    assert {d.column for d in differences(kline, {})} == set(FIELDS)
    quiet = kline._replace(trade_count=0, volume_base=0.0, volume_quote=0.0, buy_volume_base=0.0)
    bar = {"open": None, "volume_base": 0.0, "volume_quote": 0.0, "buy_volume_base": 0.0, "trade_count": 0}
    assert differences(quiet, bar) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(b'"0.01634790"', b'"NaN"', "bad_price"), (b'"0.01634790"', b'"x"', "bad_price"), (b"[[", b"[", "malformed_json")],
)
def test_a_broken_body_is_rejected(old: bytes, new: bytes, expected: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        parse_klines(BODY.replace(old, new), NOW)
    assert caught.value.reason == expected


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(body: bytes) -> None:
    try:
        assert isinstance(parse_klines(body, NOW), list)
    except RejectedInput as error:
        assert error.reason in {"malformed_json", "bad_price", "bad_time", "future_time"}
