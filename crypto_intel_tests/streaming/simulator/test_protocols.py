"""What the simulator says has the form of what the venues were recorded saying: same fields, same types."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streaming.recorder.folder import merged, recorded_files
from streaming.simulator import binance, kraken
from streaming.simulator.klines import Kline
from streaming.simulator.market import INSTRUMENTS, KRAKEN_INSTRUMENTS
from streaming.simulator.venue import Day, VenueTrade

BTC = INSTRUMENTS[0].symbol
PAIR = KRAKEN_INSTRUMENTS[0].symbol
TRADE = VenueTrade(4_665_906, 1_695_627_777_708_706, 6_430_010_000_000, 74_001_000_000, True)
DAY = Day(64_000 * 10**8, 65_000 * 10**8, 63_000 * 10**8, 64_100 * 10**8, 99_703_898_383_185, 812, 4_665_095)


def shape(value: Any) -> Any:
    """Names with the types of their values; a list has the shapes that occur in it."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def recorded(folder: Path, wanted: Callable[[Any], bool]) -> Any:
    """The first recorded message that is wanted."""
    messages = (json.loads(line.payload) for line in merged(recorded_files(folder)))
    return next(message for message in messages if wanted(message))


def fixture(shared_data: Path, name: str) -> tuple[Any, Any]:
    """Acknowledgement and pushed message of a documented exchange."""
    text = (shared_data / "kraken" / "fixtures_v2_jkorf" / name).read_text()
    ack = re.search(r"^< (.*)$", text, re.MULTILINE)
    assert ack
    return json.loads(ack[1].replace("|1|", "1")), json.loads(text.split("\n=", 1)[1])


def binance_frames() -> dict[str, Any]:
    frames = [
        *binance.trade_frames(BTC, [TRADE]),
        *binance.agg_trade_frames(BTC, [TRADE]),
        binance.book_ticker_frame(BTC, TRADE),
    ]
    return {frame.stream.partition("@")[2]: json.loads(frame.payload) for frame in frames}


@pytest.mark.parametrize(
    ("folder", "kind"), [("ws_raw", "trade"), ("ws_raw", "bookTicker"), ("ws_cryptofeed", "aggTrade")]
)
def test_binance_streams_have_the_recorded_form(shared_data: Path, folder: str, kind: str) -> None:
    real = recorded(shared_data / "binance" / folder, lambda m: str(m.get("stream", "")).endswith(f"@{kind}"))
    assert shape(binance_frames()[kind]) == shape(real)
    assert list(binance_frames()[kind]["data"]) == list(real["data"])


def test_a_kraken_v2_trade_has_the_documented_form(shared_data: Path) -> None:
    _, real = fixture(shared_data, "Trades.txt")
    [frame] = kraken.trade_frames_v2(PAIR, [TRADE])
    assert shape(json.loads(frame.payload)) == shape(real)
    assert len(json.loads(frame.payload)["data"][0]["timestamp"]) == len(real["data"][0]["timestamp"])


def test_a_kraken_v2_ticker_has_the_documented_form_and_the_newer_timestamp(shared_data: Path) -> None:
    _, real = fixture(shared_data, "Ticker.txt")
    told = json.loads(kraken.ticker_v2(PAIR, TRADE, DAY, "update"))
    assert told["data"][0].pop("timestamp").endswith("Z")
    assert shape(told) == shape(real)


def of_channel(name: str) -> Callable[[Any], bool]:
    return lambda message: isinstance(message, list) and message[-2] == name


def test_a_kraken_v1_trade_has_the_recorded_form(shared_data: Path) -> None:
    real = recorded(shared_data / "kraken" / "ws_v1_raw", of_channel("trade"))
    [frame] = kraken.trade_frames_v1(PAIR, [TRADE])
    real[1] = real[1][:1]
    assert shape(json.loads(frame.payload)) == shape(real)


def test_a_kraken_v1_ticker_has_the_recorded_form(shared_data: Path) -> None:
    real = recorded(shared_data / "kraken" / "ws_v1_raw", of_channel("ticker"))
    assert shape(json.loads(kraken.ticker_v1(PAIR, TRADE, DAY))) == shape(real)


def test_kraken_rest_trades_have_the_recorded_form_and_an_id_behind_it(shared_data: Path) -> None:
    real = json.loads((shared_data / "kraken" / "rest" / "public_Trades_BCHEUR_20190515.json").read_text())
    told = json.loads(kraken.rest_trades(PAIR, [TRADE], 0))
    assert list(told) == list(real)
    assert shape(told["result"]["last"]) == shape(real["result"]["last"])
    row = told["result"]["XXBTZUSD"][0]
    assert shape(row[:6]) == shape(real["result"]["BCHEUR"][0])
    assert row[6] == TRADE.trade_id


def test_kraken_pairs_have_the_recorded_fields(shared_data: Path) -> None:
    path = shared_data / "kraken" / "rest" / "cryptofeed_KRAKEN_AssetPairs_20210417.txt.gz"
    with gzip.open(path, "rt") as lines:
        body = next(line.split(": ", 1)[1] for line in lines if "AssetPairs ->" in line)
    real = next(iter(json.loads(body)["result"].values()))
    told = kraken.asset_pairs([PAIR])["XXBTZUSD"]
    for name, value in real.items():
        assert type(told[name]) is type(value), name


def golden_text() -> str:
    """Every form that the simulator speaks, of one trade."""
    frames = [
        *binance.trade_frames(BTC, [TRADE]),
        *binance.trade_frames(BTC, [TRADE], in_microseconds=True),
        *binance.agg_trade_frames(BTC, [TRADE]),
        binance.book_ticker_frame(BTC, TRADE),
        binance.ticker_frame(BTC, TRADE, DAY, TRADE.time_us),
        *kraken.trade_frames_v2(PAIR, [TRADE]),
        *kraken.trade_frames_v1(PAIR, [TRADE]),
    ]
    kline = Kline(TRADE.time_us // 60_000_000 * 60_000_000, 5, 7, 3, 6, 10**8, 10**9, 4, 10**7, 10**6)
    bodies = [
        kraken.snapshot_v2(PAIR, [TRADE]),
        kraken.ticker_v2(PAIR, TRADE, DAY, "snapshot"),
        kraken.ticker_v1(PAIR, TRADE, DAY),
        kraken.rest_trades(PAIR, [TRADE], 0),
        msgspec.json.encode(binance.rest_trades([TRADE])),
        msgspec.json.encode(binance.rest_agg_trades([TRADE])),
        msgspec.json.encode(binance.rest_klines([kline], 60_000_000)),
    ]
    return "\n".join([*(frame.payload.decode() for frame in frames), *(body.decode() for body in bodies)]) + "\n"


def test_every_form_is_the_golden_one(golden: Callable[[str, str], None]) -> None:
    golden("simulator_frames.txt", golden_text())
