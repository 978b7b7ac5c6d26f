"""Kraken's wire forms: every recording parses, numbers stay what they are, every broken frame has a reason."""

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

from crypto_intel.contracts.events import Quote, Trade, decode, encode
from crypto_intel_tests.streaming.producers.fuzz import json_values
from streaming.errors import RejectedInput
from streaming.producers.kraken import Kraken, parse_frame, spellings
from streaming.producers.kraken_v1 import digests, seconds_us
from streaming.producers.venue import Alive, Ignored, Snapshot
from streaming.producers.wire import rfc3339_us

MARKETS = spellings({"BTC/USD": "BTC-USD", "DOGE/USD": "DOGE-USD", "ETH/USDT": "ETH-USDT"})
RECEIVED_AT = 1_695_628_178_000_000
TRADE = {
    "symbol": "ETH/USDT",
    "side": "sell",
    "price": 0.5117,
    "qty": 40.0,
    "ord_type": "market",
    "trade_id": 4665906,
    "timestamp": "2023-09-25T07:49:37.708706Z",
}
TICKER = {
    "symbol": "BTC/USD", "bid": 64000.1, "bid_qty": 0.5, "ask": 64000.2, "ask_qty": 1e-05, "last": 64000.1,
    "volume": 997038.98383185, "vwap": 0.10148, "low": 0.09979, "high": 0.10285, "change": -0.17, "change_pct": -0.17,
}  # fmt: skip
V1_TRADES = (
    b'[321,[["58721.20000","0.02798644","1617666461.465618","s","m",""],["58721.20000","0.02798644",'
    b'"1617666461.465618","s","m",""]],"trade","XBT/USD"]'
)


def trades(*changes: dict[str, Any], kind: str = "update") -> bytes:
    """A frame of the trade channel; a value of None takes the field away."""
    data = [{k: v for k, v in {**TRADE, **change}.items() if v is not None} for change in changes or [{}]]
    return json.dumps({"channel": "trade", "type": kind, "data": data}).encode()


def ticker(**changes: Any) -> bytes:
    data = {k: v for k, v in {**TICKER, **changes}.items() if v is not None}
    return json.dumps({"channel": "ticker", "type": "update", "data": [data]}).encode()


def parse(raw: bytes, received_at: int = RECEIVED_AT) -> Any:
    return parse_frame(raw, received_at, MARKETS)


def reason(raw: bytes, received_at: int = RECEIVED_AT) -> str:
    with pytest.raises(RejectedInput) as caught:
        parse(raw, received_at)
    return caught.value.reason


def test_a_trade_keeps_the_literal_text_of_its_numbers() -> None:
    raw = trades().replace(b"0.5117", b"0.51170000000000000001".replace(b"0001", b"1")).replace(b"40.0", b"40.00")
    (trade,) = parse(raw)
    assert trade == Trade(
        venue="kraken",
        symbol="ETH-USDT",
        trade_id=4665906,
        price="0.51170000000000001",
        quantity="40.00",
        taker_side="sell",
        event_time=1_695_628_177_708_706,
        received_at=RECEIVED_AT,
    )
    assert decode(encode(trade)) == trade


@pytest.mark.parametrize(("text", "exact"), [(b"1.5e-7", "0.00000015"), (b"2E3", "2000"), (b"40", "40")])
def test_numbers_with_an_exponent_are_written_out_exactly(text: bytes, exact: str) -> None:
    (trade,) = parse(trades().replace(b"40.0", text))
    assert trade.quantity == exact


def test_a_frame_of_several_trades_gives_them_in_order() -> None:
    found = parse(trades({"trade_id": 1}, {"trade_id": 2}, {"trade_id": 3, "symbol": "BTC/USD"}))
    assert [(t.symbol, t.trade_id) for t in found] == [("ETH-USDT", 1), ("ETH-USDT", 2), ("BTC-USD", 3)]


def test_a_snapshot_is_told_from_new_trades_market_by_market_in_order_of_id() -> None:
    found = parse(trades({"trade_id": 9}, {"trade_id": 3, "symbol": "BTC/USD"}, {"trade_id": 8}, kind="snapshot"))
    assert all(isinstance(event, Snapshot) for event in found)
    assert [[(t.symbol, t.trade_id) for t in snapshot.trades] for snapshot in found] == [
        [("ETH-USDT", 8), ("ETH-USDT", 9)],
        [("BTC-USD", 3)],
    ]


def test_both_spellings_of_a_market_mean_the_same() -> None:
    names = [parse(trades({"symbol": name}))[0].symbol for name in ("BTC/USD", "XBT/USD", "DOGE/USD", "XDG/USD")]
    assert names == ["BTC-USD", "BTC-USD", "DOGE-USD", "DOGE-USD"]


def test_a_ticker_is_a_quote_at_its_own_time_or_that_of_its_receipt() -> None:
    (quote,) = parse(ticker())
    assert quote == Quote(
        venue="kraken",
        symbol="BTC-USD",
        price="64000.1",
        event_time=RECEIVED_AT,
        received_at=RECEIVED_AT,
        bid="64000.1",
        ask="64000.2",
        bid_quantity="0.5",
        ask_quantity="0.00001",
        volume_24h_base="997038.98383185",
        change_24h_pct="-0.17",
    )
    (timed,) = parse(ticker(timestamp="2023-09-25T07:49:37.708706Z"))
    assert timed.event_time == 1_695_628_177_708_706


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2023-09-25T07:49:37.708706Z", 1_695_628_177_708_706),
        ("2023-09-25T07:49:37.708706999Z", 1_695_628_177_708_706),
        ("2023-09-25T07:49:37Z", 1_695_628_177_000_000),
    ],
)
def test_times_are_exact_microseconds(text: str, time_us: int) -> None:
    assert rfc3339_us(text) == time_us


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "malformed_json"),
        (trades()[:60], "malformed_json"),
        (b'{"channel":' * 50_000, "malformed_json"),
        (b'"trade"', "wrong_type"),
        (b'{"channel":5}', "wrong_type"),
        (b'{"x":1}', "missing_field"),
        (b'{"channel":"trade","type":"update"}', "missing_field"),
        (b'{"channel":"trade","type":"update","data":{}}', "wrong_type"),
        (b'{"channel":"trade","type":"update","data":[1]}', "wrong_type"),
        (b'{"channel":"trade","data":[]}', "missing_field"),
        (trades(kind="again"), "wrong_type"),
        (trades().replace(b'"market"', b'"\xff"'), "not_utf8"),
        (trades({"price": None}), "missing_field"),
        (trades({"price": "0.5"}), "wrong_type"),
        (trades({"price": True}), "wrong_type"),
        (trades({"price": [1]}), "wrong_type"),
        (trades({"price": 0}), "bad_price"),
        (trades({"price": -1.5}), "bad_price"),
        (trades().replace(b"0.5117", b"NaN"), "malformed_json"),
        (trades().replace(b"0.5117", b"1e999"), "bad_price"),
        (trades().replace(b"0.5117", b"0." + b"1" * 19), "bad_price"),
        (trades({"qty": 2**70}), "bad_quantity"),
        (trades({"side": "hold"}), "bad_side"),
        (trades({"trade_id": -1}), "bad_id"),
        (trades({"trade_id": 2**63}), "bad_id"),
        (trades({"trade_id": "5"}), "wrong_type"),
        (trades({"symbol": "NOPE/USD"}), "unknown_symbol"),
        (trades({"timestamp": "yesterday"}), "bad_time"),
        (trades({"timestamp": "2023-02-30T07:49:37Z"}), "bad_time"),
        (trades({"timestamp": "1970-01-01T00:00:00Z"}), "bad_time"),
        (trades({"timestamp": "2023-09-26T07:49:37Z"}), "future_time"),
        (trades().replace(b'"qty":', b'"qty":1,"qty":'), "repeated_key"),
        (trades({}, {"price": "0.5"}), "wrong_type"),
        (ticker(last=None), "missing_field"),
        (ticker(last=0), "bad_price"),
        (ticker(change_pct="up"), "wrong_type"),
        (ticker(timestamp=5), "wrong_type"),
        (ticker(symbol="NOPE/USD"), "unknown_symbol"),
        (b'{"error":"Currency pair not supported X","method":"subscribe","success":false}', "venue_error"),
        (b'{"errorMessage":"no","event":"subscriptionStatus","status":"error"}', "venue_error"),
        (b"[1]", "wrong_type"),
        (b"[", "malformed_json"),
        (b'[1,[["1","2"]],"trade","XBT/USD"]', "wrong_type"),
        (b'[1,[["1","2"]],7,"XBT/USD"]', "wrong_type"),
        (V1_TRADES.replace(b"XBT/USD", b"NO/PE"), "unknown_symbol"),
        (V1_TRADES.replace(b'"58721.20000"', b'"NaN"'), "bad_price"),
        (V1_TRADES.replace(b'"s","m"', b'"x","m"'), "bad_side"),
        (V1_TRADES.replace(b"1617666461.465618", b"soon"), "bad_time"),
    ],
)
def test_a_broken_frame_is_rejected_with_its_reason(raw: bytes, expected: str) -> None:
    assert reason(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"channel":"heartbeat"}', Alive()),
        (b'{"event":"heartbeat"}', Alive()),
        (b'{"channel":"status","type":"update","data":[{"system":"online"}]}', Ignored("status online")),
        (b'{"event":"systemStatus","status":"online","version":"1.8.3"}', Ignored("status online")),
        (b'{"method":"subscribe","result":{"channel":"trade"},"success":true}', Ignored("subscribe")),
        (b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD"}]}', Ignored("book")),
        (b'[336,{"a":[]},{"b":[]},"book-10","XBT/USD"]', Ignored("book-10")),
    ],
)
def test_what_is_no_trade_is_known(raw: bytes, expected: Any) -> None:
    assert parse(raw) == (expected,)


def test_trades_of_v1_get_negative_ids_that_say_what_they_are() -> None:
    first, second = parse(V1_TRADES)
    assert (first.symbol, first.price, first.quantity) == ("BTC-USD", "58721.20000", "0.02798644")
    assert (first.taker_side, first.event_time) == ("sell", 1_617_666_461_465_618)
    assert -(2**62) < first.trade_id < 0 > second.trade_id
    assert first.trade_id != second.trade_id  # equal, but two of them
    assert parse(V1_TRADES) == (first, second)


@given(st.lists(st.tuples(st.sampled_from("12"), st.sampled_from("12"), st.just("1.5"), st.sampled_from("bs"))))
def test_digests_differ_within_a_frame_and_repeat_with_it(rows: list[Any]) -> None:
    ids = digests(rows)
    assert len(set(ids)) == len(rows)
    assert all(-(2**62) < i < 0 for i in ids)
    assert digests(rows) == ids


def test_seconds_are_read_exactly() -> None:
    assert seconds_us("1557895726.2415") == 1_557_895_726_241_500
    assert seconds_us("1557895726.241512345") == 1_557_895_726_241_512


def accepts_or_rejects(raw: bytes) -> None:
    try:
        parsed = parse(raw)
    except RejectedInput as error:
        assert error.reason.replace("_", "").isalnum()
    else:
        assert isinstance(parsed, tuple)


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(raw: bytes) -> None:
    accepts_or_rejects(raw)


@given(json_values)
def test_arbitrary_json_is_accepted_or_rejected(value: Any) -> None:
    accepts_or_rejects(json.dumps(value).encode())


@given(
    st.dictionaries(st.sampled_from(["channel", "type", "data", "method", "event", "success", "error"]), json_values)
)
def test_objects_with_known_keys_are_accepted_or_rejected(value: dict[str, Any]) -> None:
    accepts_or_rejects(json.dumps(value).encode())


@given(st.dictionaries(st.sampled_from(list(TRADE)), json_values), st.sampled_from(["update", "snapshot"]))
def test_trades_with_arbitrary_fields_are_accepted_or_rejected(changes: dict[str, Any], kind: str) -> None:
    accepts_or_rejects(trades(changes, kind=kind))


@given(st.dictionaries(st.sampled_from([*TICKER, "timestamp"]), json_values))
def test_tickers_with_arbitrary_fields_are_accepted_or_rejected(changes: dict[str, Any]) -> None:
    accepts_or_rejects(ticker(**changes))


@given(json_values, st.sampled_from(["trade", "ticker", "book-10"]))
def test_arrays_with_arbitrary_payloads_are_accepted_or_rejected(payload: Any, channel: str) -> None:
    accepts_or_rejects(json.dumps([1, payload, channel, "XBT/USD"]).encode())


@given(st.integers(0, len(trades()) - 1), st.binary(min_size=1, max_size=3))
def test_frames_with_damaged_bytes_are_accepted_or_rejected(at: int, damage: bytes) -> None:
    raw = trades()
    accepts_or_rejects(raw[:at] + damage + raw[at + len(damage) :])


def recorded(file: Path) -> Iterator[tuple[int, bytes]]:
    """Frames of cryptofeed's form: `<seconds>: <frame>`; its own requests have other prefixes."""
    with gzip.open(file, "rb") as lines:
        for line in lines:
            received, _, raw = line.rstrip().partition(b": ")
            if received.replace(b".", b"").isdigit():
                yield int(float(received) * 1e6), raw


def all_pairs(file: Path) -> dict[str, str]:
    """Every pair that the capture subscribed to."""
    with gzip.open(file, "rt") as lines:
        line = next(line for line in lines if " <- " in line)
    pairs = json.loads(line.partition(": ")[2])["pair"]
    return spellings({pair.replace("XBT", "BTC"): pair.replace("XBT", "BTC").replace("/", "-") for pair in pairs})


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("KRAKEN.ws.48_trade_20210417", {"frames": 8, "Alive": 30, "subscriptionStatus": 10, "status online": 1}),
        ("KRAKEN.ws.49_ticker_20210417", {"Quote": 18, "Alive": 31, "subscriptionStatus": 10, "status online": 1}),
        ("KRAKEN_ticker_20210405", {"Quote": 22, "Alive": 119, "subscriptionStatus": 10, "status online": 1}),
        ("KRAKEN_trade_20210405", {"frames": 12, "Alive": 119, "subscriptionStatus": 10, "status online": 1}),
    ],
)
def test_every_frame_of_a_recording_is_explained(shared_data: Path, file: str, expected: dict[str, int]) -> None:
    path = shared_data / "kraken" / "ws_v1_raw" / f"cryptofeed_{file}.txt.gz"
    known = all_pairs(path)
    counts: Counter[str] = Counter()
    numbers: list[int] = []
    for received_at, raw in recorded(path):
        events = parse_frame(raw, received_at, known)
        first = events[0]
        if isinstance(first, Trade):
            counts["frames"] += 1
            numbers += [event.trade_id for event in events if isinstance(event, Trade)]
        else:
            counts[first.stream if isinstance(first, Ignored) else type(first).__name__] += 1
    assert counts == expected
    assert len(numbers) == len(set(numbers))
    assert all(number < 0 for number in numbers)


@pytest.mark.parametrize(
    ("file", "kind"),
    [("Trades", Trade), ("Ticker", Quote), ("Kline", Ignored), ("AggBook", Ignored), ("IndividualBook", Ignored)],
)
def test_frames_of_version_2_are_understood(shared_data: Path, file: str, kind: type) -> None:
    text = (shared_data / "kraken" / "fixtures_v2_jkorf" / f"{file}.txt").read_text()
    pushed = [part for part in text.split("\n=")[1:] if '"data"' in part]
    assert pushed
    for part in pushed:
        frame = part.partition("\n>")[0].partition("\n<")[0].strip()
        (event,) = parse(frame.encode())
        assert isinstance(event, kind)


def test_a_recorded_book_of_version_2_is_not_for_us(shared_data: Path) -> None:
    with gzip.open(shared_data / "kraken" / "ws_v2_raw" / "python-kraken-sdk_orderbook-v2.json.gz") as file:
        session = json.load(file)
    frames = [session["init"], *session["updates"]]
    assert {parse(json.dumps(frame).encode()) for frame in frames} == {(Ignored("book"),)}


def test_a_subscription_a_channel_is_sent_in_the_version_of_the_address() -> None:
    markets = {"BTC/USD": "BTC-USD"}
    new, old = Kraken("wss://x/v2", markets), Kraken("wss://x", markets, ["trade"])
    assert [json.loads(message)["params"]["channel"] for message in new.greetings()] == ["trade", "ticker"]
    (message,) = old.greetings()
    assert json.loads(message) == {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "trade"}}
