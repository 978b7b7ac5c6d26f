"""Binance's wire forms: every recording parses, every broken frame has a reason."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S, Quote, Trade, decode, encode
from crypto_intel_tests.streaming.producers.fuzz import json_values
from streaming.errors import RejectedInput
from streaming.producers.binance import STREAMS, parse_frame, stream_url
from streaming.producers.binance_rest import parse_agg_trades, parse_exchange_info, parse_rest_trades
from streaming.producers.venue import Closing, Ignored
from streaming.producers.wire import MAX_FRAME_BYTES

MARKETS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}
RECORDED = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
RECEIVED_AT = 1_723_161_254_087_896  # as recorded: 1.25 s before the venue's own time


def frame(**changes: Any) -> bytes:
    """The recorded frame with other data; a value of None takes the field away."""
    message = json.loads(RECORDED)
    message["data"] = {k: v for k, v in {**message["data"], **changes}.items() if v is not None}
    return json.dumps(message).encode()


def reason(raw: bytes, received_at: int = RECEIVED_AT) -> str:
    with pytest.raises(RejectedInput) as caught:
        parse_frame(raw, received_at, MARKETS)
    return caught.value.reason


def test_a_recorded_frame_is_a_trade_with_its_numbers_untouched() -> None:
    trade = parse_frame(RECORDED, RECEIVED_AT, MARKETS)
    assert trade == Trade(
        venue="binance",
        symbol="BTC-USDT",
        trade_id=3735683259,
        price="61837.63000000",
        quantity="0.02000000",
        taker_side="sell",
        event_time=1_723_161_255_342_000,
        received_at=RECEIVED_AT,
        origin="ws",
    )
    assert decode(encode(trade)) == trade


def test_a_taker_buys_when_the_seller_was_the_maker() -> None:
    trade = parse_frame(frame(m=False), RECEIVED_AT, MARKETS)
    assert isinstance(trade, Trade)
    assert trade.taker_side == "buy"


def test_microsecond_times_are_told_from_milliseconds() -> None:
    trade = parse_frame(frame(T=1_723_161_255_342_123), RECEIVED_AT, MARKETS)
    assert isinstance(trade, Trade)
    assert trade.event_time == 1_723_161_255_342_123


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "malformed_json"),
        (RECORDED[:80], "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b"[1]", "wrong_type"),
        (b'"trade"', "wrong_type"),
        (RECORDED.replace(b'"e":"trade"', b'"e":"\xff"'), "not_utf8"),
        (RECORDED.replace(b'"M":true', b'"M":"\xff"'), "not_utf8"),
        (b" " * (MAX_FRAME_BYTES + 1), "too_large"),
        (b'{"data":{}}', "missing_field"),
        (b'{"stream":"btcusdt@trade"}', "missing_field"),
        (b'{"stream":5}', "wrong_type"),
        (b'{"stream":"btcusdt@trade","data":[]}', "wrong_type"),
        (b'{"error":{"code":2,"msg":"no"},"id":1}', "venue_error"),
        (RECORDED.replace(b'"p":', b'"p":"1","p":', 1), "repeated_key"),
        (RECORDED.replace(b'"M":true', b'"p":"1"', 1), "repeated_key"),
        (RECORDED.replace(b'"stream":', b'"stream":"x@depth","stream":', 1), "repeated_key"),
        (frame(p=None), "missing_field"),
        (frame(t=None), "missing_field"),
        (frame(p=61837.63), "wrong_type"),
        (frame(t="3735683259"), "wrong_type"),
        (frame(t=True), "wrong_type"),
        (frame(m=1), "wrong_type"),
        (frame(t=-1), "bad_id"),
        (frame(t=2**63), "bad_id"),
        (frame(s="NOPEUSDT"), "unknown_symbol"),
        (frame(p="NaN"), "bad_price"),
        (frame(p="Infinity"), "bad_price"),
        (frame(p="-1"), "bad_price"),
        (frame(p="0.00000000"), "bad_price"),
        (frame(p="1e5"), "bad_price"),
        (frame(p=""), "bad_price"),
        (frame(p="٣"), "bad_price"),
        (frame(p="1" * 21), "bad_price"),
        (frame(q="0"), "bad_quantity"),
        (frame(q="1,5"), "bad_quantity"),
        (frame(T=0), "bad_time"),
        (frame(T=1_723_161_255), "bad_time"),
        (frame(T=-5), "bad_time"),
        (frame(T=2**70), "bad_time"),
    ],
)
def test_a_broken_frame_is_rejected_with_its_reason(raw: bytes, expected: str) -> None:
    assert reason(raw) == expected


def test_the_future_begins_behind_the_tolerance() -> None:
    event_time = 1_723_161_255_342_000
    edge = event_time - FUTURE_TOLERANCE_S * 1_000_000
    assert isinstance(parse_frame(RECORDED, edge, MARKETS), Trade)
    assert reason(RECORDED, edge - 1) == "future_time"


@pytest.mark.parametrize(
    ("raw", "stream"),
    [
        (b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate"}}', "btcusdt@depth"),
        (b'{"result":null,"id":1}', "control"),
    ],
)
def test_other_streams_are_ignored_not_rejected(raw: bytes, stream: str) -> None:
    assert parse_frame(raw, RECEIVED_AT, MARKETS) == Ignored(stream)


BOOK_TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
TICKER = (
    b'{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1723161255343,"s":"BTCUSDT","p":"-10.5","P":"-0.017",'
    b'"w":"61000.1","x":"1","c":"61837.63","Q":"0.1","b":"61837.63","B":"3.7","a":"61837.64","A":"1.5","o":"61848.1",'
    b'"h":"62000","l":"60000","v":"123.5","q":"7600000.25","O":1,"C":2,"F":3,"L":4,"n":5}}'
)


def test_a_recorded_book_ticker_is_a_quote_at_the_time_of_its_receipt() -> None:
    assert parse_frame(BOOK_TICKER, RECEIVED_AT, MARKETS) == Quote(
        venue="binance",
        symbol="BTC-USDT",
        price="61837.63500000",
        event_time=RECEIVED_AT,
        received_at=RECEIVED_AT,
        bid="61837.63000000",
        ask="61837.64000000",
        bid_quantity="3.78826000",
        ask_quantity="1.54698000",
    )


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_ticker_is_a_quote_with_the_last_24_hours(unit: int) -> None:
    raw = TICKER.replace(b"1723161255343", str(1723161255343 * unit).encode())
    quote = parse_frame(raw, RECEIVED_AT, MARKETS)
    assert isinstance(quote, Quote)
    assert (quote.price, quote.volume_24h, quote.volume_24h_base) == ("61837.63", "7600000.25", "123.5")
    assert (quote.change_24h_pct, quote.event_time) == ("-0.017", 1723161255343000)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (BOOK_TICKER.replace(b'"a":"61837.64000000"', b'"a":"NaN"'), "bad_price"),
        (BOOK_TICKER.replace(b'"B":"3.78826000"', b'"B":"-3"'), "bad_quantity"),
        (BOOK_TICKER.replace(b'"u":50093239212', b'"u":-1'), "bad_id"),
        (BOOK_TICKER.replace(b'"u":', b'"b":"1","u":'), "repeated_key"),
        (TICKER.replace(b'"-0.017"', b'"Inf"'), "bad_change"),
        (TICKER.replace(b'"E":1723161255343', b'"E":"soon"'), "wrong_type"),
        (TICKER.replace(b'"c":', b'"c":"1","c":'), "repeated_key"),
        (TICKER.replace(b'"c":"61837.63",', b""), "missing_field"),
        (TICKER.replace(b"BTCUSDT", b"NOPE"), "unknown_symbol"),
    ],
)
def test_a_broken_quote_is_rejected_with_its_reason(raw: bytes, expected: str) -> None:
    assert reason(raw) == expected


def test_an_empty_side_of_the_book_is_no_number() -> None:
    quote = parse_frame(BOOK_TICKER.replace(b"1.54698000", b"0.00000000"), RECEIVED_AT, MARKETS)
    assert isinstance(quote, Quote)
    assert quote.ask_quantity is None


@pytest.mark.parametrize("raw", [b'{"e":"serverShutdown","E":1}', b'{"event":{"e":"serverShutdown","E":1}}'])
def test_an_announced_shutdown_is_told(raw: bytes) -> None:
    assert isinstance(parse_frame(raw, RECEIVED_AT, MARKETS), Closing)


fields = st.dictionaries(st.sampled_from(["e", "s", "t", "p", "q", "T", "m"]), json_values)


def accepts_or_rejects(raw: bytes) -> None:
    try:
        parsed = parse_frame(raw, RECEIVED_AT, MARKETS)
    except RejectedInput as error:
        assert error.reason.replace("_", "").isalnum()
    else:
        assert isinstance(parsed, Trade | Quote | Closing | Ignored)


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(raw: bytes) -> None:
    accepts_or_rejects(raw)


@given(json_values)
def test_arbitrary_json_is_accepted_or_rejected(value: Any) -> None:
    accepts_or_rejects(json.dumps(value).encode())


@given(fields)
def test_frames_with_arbitrary_fields_are_accepted_or_rejected(changes: dict[str, Any]) -> None:
    accepts_or_rejects(frame(**changes))


@given(st.integers(0, len(RECORDED) - 1), st.binary(min_size=1, max_size=3))
def test_frames_with_damaged_bytes_are_accepted_or_rejected(at: int, damage: bytes) -> None:
    accepts_or_rejects(RECORDED[:at] + damage + RECORDED[at + len(damage) :])


def lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(file, "rb") as stream:
        for line in stream:
            received_ns, raw = line.rstrip().split(b" ", 1)
            yield int(received_ns) // 1000, raw


@pytest.mark.parametrize(
    ("file", "trades", "tickers", "depths"),
    [  # counts of the manifest
        ("spot_btcusdt_20240808", 9757, 28040, 3451),
        ("spot_btcusdt_20240809", 10147, 45134, 3044),
        ("spot_ethusdt_20240808", 6106, 24077, 3434),
        ("spot_ethusdt_20240809", 8409, 34681, 3036),
    ],
)
def test_every_frame_of_a_recording_is_explained(
    shared_data: Path, file: str, trades: int, tickers: int, depths: int
) -> None:
    counts: Counter[str] = Counter()
    for received_at, raw in lines(shared_data / "binance" / "ws_raw" / f"{file}.txt.gz"):
        if b'"stream"' not in raw[:12]:  # the recorder's own REST snapshots
            continue
        parsed = parse_frame(raw, received_at, MARKETS)
        counts[parsed.stream.split("@")[1] if isinstance(parsed, Ignored) else type(parsed).__name__] += 1
    assert counts == {"Trade": trades, "Quote": tickers, "depth": depths}


@pytest.mark.parametrize(
    ("file", "expected"),
    [  # aggTrades as in the manifest; its other streams were counted by hand
        ("cryptofeed_BINANCE-ee25be_BTC_ETH_DOT_aggTrade", {"aggTrade": 1910, "kline_1m": 118}),
        ("cryptofeed_BINANCE.ws.1_20211012", {"Quote": 84}),
    ],
)
def test_every_frame_of_other_captures_is_explained(shared_data: Path, file: str, expected: dict[str, int]) -> None:
    markets = {n: f"{n[:3]}-{n[3:]}" for n in ("BTCUSDT", "ETHUSDT", "DOTUSDT", "NKNUSDT", "BLZETH", "LRCBTC")}
    markets["RUNEEUR"] = "RUNE-EUR"
    counts: Counter[str] = Counter()
    with gzip.open(shared_data / "binance" / "ws_cryptofeed" / f"{file}.txt.gz", "rb") as stream:
        for line in stream:
            received, _, raw = line.rstrip().partition(b": ")
            if received.replace(b".", b"").isdigit():  # others are the recorder's own requests
                parsed = parse_frame(raw, int(float(received) * 1e6), markets)
                counts[parsed.stream.split("@")[1] if isinstance(parsed, Ignored) else type(parsed).__name__] += 1
    assert {name: counts[name] for name in expected} == expected
    assert set(counts) <= {"aggTrade", "depth", "kline_1m", "Quote"}


def test_aggregated_trades_say_which_ids_they_hold() -> None:
    body = b'[{"a":1,"p":"1.5","q":"2","f":10,"l":12,"T":1723161255342,"m":true,"M":true}]'
    (trade,) = parse_agg_trades(body)
    assert (trade.first_id, trade.last_id, trade.price, trade.quantity) == (10, 12, "1.5", "2")
    with pytest.raises(RejectedInput, match="bad_id"):
        parse_agg_trades(body.replace(b'"l":12', b'"l":9'))


def test_a_recorded_rest_body_parses_whole(shared_data: Path) -> None:
    body = (shared_data / "binance" / "rest" / "api_v1_trades_BTCUSDC_20190822.json").read_bytes()
    trades = parse_rest_trades(body, "BTC-USDC", RECEIVED_AT)
    assert len(trades) == 500
    assert [t.trade_id for t in trades] == list(range(4971577, 4971577 + 500))
    assert {t.origin for t in trades} == {"rest"}


def test_a_rest_body_with_one_bad_price_is_rejected_whole() -> None:
    body = b'[{"id":1,"price":"NaN","qty":"1","time":1723161255342,"isBuyerMaker":true}]'
    with pytest.raises(RejectedInput, match="bad_price"):
        parse_rest_trades(body, "BTC-USDT", RECEIVED_AT)


def test_a_recorded_exchange_info_gives_the_wanted_symbols_that_trade(shared_data: Path) -> None:
    with gzip.open(shared_data / "binance" / "rest" / "cryptofeed_BINANCE_exchangeInfo_20211012.txt.gz") as file:
        body = next(line.split(b": ", 1)[1] for line in file if b"exchangeInfo ->" in line)
    markets = parse_exchange_info(body, ["BTC-USDT", "ETH-USDT", "NOPE-USDT"])
    assert markets == {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}


def test_a_symbol_that_does_not_trade_is_not_offered() -> None:
    body = b'{"symbols":[{"symbol":"BTCUSDT","status":"BREAK","baseAsset":"BTC","quoteAsset":"USDT"}]}'
    assert parse_exchange_info(body, ["BTC-USDT"]) == {}


@pytest.mark.parametrize("base", ["ws://venue:1", "ws://venue:1/", "ws://venue:1/stream"])
def test_the_stream_address_names_every_symbol(base: str) -> None:
    assert stream_url(base, ["ETHUSDT", "BTCUSDT"]) == "ws://venue:1/stream?streams=btcusdt@trade/ethusdt@trade"


def test_the_stream_address_can_name_quotes_too() -> None:
    assert stream_url("ws://venue:1", ["BTCUSDT"], STREAMS) == (
        "ws://venue:1/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@ticker"
    )
