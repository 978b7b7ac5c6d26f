"""Kraken's REST answers: recorded bodies parse, every broken one has a reason, its errors are told apart."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel_tests.streaming.producers.fuzz import json_values
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.http import RequestRefused
from streaming.producers.kraken_rest import parse_pairs, parse_trades

RECEIVED_AT = 1_695_628_178_000_000


def test_a_recorded_rest_body_without_numbers_parses_whole(shared_data: Path) -> None:
    body = (shared_data / "kraken" / "rest" / "public_Trades_BCHEUR_20190515.json").read_bytes()
    page = parse_trades(body, "BCH-EUR", RECEIVED_AT)
    assert len(page.trades) == 1000
    assert len({trade.trade_id for trade in page.trades}) == 1000
    assert page.trades[0].event_time == 1_557_895_726_241_500
    assert {(trade.origin, trade.trade_id < 0) for trade in page.trades} == {("rest", True)}


def rest(*rows: str, last: str = '"1695628177708706001"') -> bytes:
    return f'{{"error":[],"result":{{"XXBTZUSD":[{",".join(rows)}],"last":{last}}}}}'.encode()


ROW = '["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952]'


def test_a_rest_trade_has_its_number_and_an_exact_time() -> None:
    page = parse_trades(rest(ROW), "BTC-USD", RECEIVED_AT)
    (trade,) = page.trades
    assert (trade.trade_id, trade.event_time, trade.taker_side) == (61044952, 1_688_669_597_827_736, "buy")
    assert page.last_ns == 1_695_628_177_708_706_001


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "malformed_json"),
        (b"{}", "malformed_json"),
        (b'{"error":[],"result":{"A":[],"B":[],"last":"1"}}', "malformed_json"),
        (rest(ROW, last='"soon"'), "malformed_json"),
        (rest("[]"), "wrong_type"),
        (rest(ROW.replace('"30243.40000"', "30243.4")), "wrong_type"),
        (rest(ROW.replace('"30243.40000"', '"-1"')), "bad_price"),
        (rest(ROW.replace('"b"', '"x"')), "bad_side"),
        (rest(ROW.replace("61044952", "-5")), "bad_id"),
        (rest(ROW.replace("1688669597.8277369", '"x"')), "wrong_type"),
        (rest(ROW.replace("1688669597.8277369", "5.5")), "bad_time"),
    ],
)
def test_a_broken_rest_body_is_rejected_whole(body: bytes, expected: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        parse_trades(body, "BTC-USD", RECEIVED_AT)
    assert caught.value.reason == expected


def test_an_answer_without_a_market_holds_no_trades() -> None:
    assert parse_trades(b'{"error":[],"result":{}}', "BTC-USD", RECEIVED_AT).trades == []


@given(st.one_of(st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
def test_arbitrary_rest_bodies_are_accepted_or_rejected(body: bytes) -> None:
    with pytest.raises((RejectedInput, RetryableError, RequestRefused)):
        parse_trades(body, "BTC-USD", RECEIVED_AT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EGeneral:Too many requests", RetryableError),
        ("EAPI:Rate limit exceeded", RetryableError),
        ("EService:Unavailable", RetryableError),
        ("EQuery:Unknown asset pair", RequestRefused),
    ],
)
def test_errors_that_come_with_http_200_are_errors(text: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        parse_trades(msgspec.json.encode({"error": [text]}), "BTC-USD", RECEIVED_AT)


def test_recorded_pairs_are_found_by_our_names(shared_data: Path) -> None:
    with gzip.open(shared_data / "kraken" / "rest" / "cryptofeed_KRAKEN_AssetPairs_20210417.txt.gz") as file:
        body = next(line.partition(b": ")[2] for line in file if b"AssetPairs ->" in line)
    found = parse_pairs(body, ["BTC-USD", "DOGE-USD", "NOPE-USD"])
    assert {symbol: pair.altname for symbol, pair in found.items()} == {"BTC-USD": "XBTUSD", "DOGE-USD": "XDGUSD"}
