"""Simulated messages look like recorded ones: same fields, same types, same order."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from streaming.simulator.binance import exchange_info, rest_trades, trade_frame
from streaming.simulator.market import INSTRUMENTS
from streaming.simulator.venue import VenueTrade, decimal_text

BTC = INSTRUMENTS[0].symbol
TRADE = VenueTrade(3735683259, 1723161255342_000, 6_183_763_000_000, 2_000_000, True)


def shape(value: Any) -> Any:
    """Names in order with the types of their values."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    return type(value).__name__


def recorded_frame(shared_data: Path, suffix: bytes) -> bytes:
    with gzip.open(shared_data / "binance" / "ws_raw" / "spot_btcusdt_20240808.txt.gz") as lines:
        return next(line.split(b" ", 1)[1].rstrip() for line in lines if suffix in line[:60])


def test_a_simulated_trade_frame_has_the_form_of_a_recorded_one(shared_data: Path) -> None:
    recorded = recorded_frame(shared_data, b"@trade")
    simulated = trade_frame(BTC, TRADE).payload
    assert shape(json.loads(simulated)) == shape(json.loads(recorded))


def test_the_same_trade_gives_the_same_bytes_but_for_the_event_time(shared_data: Path) -> None:
    recorded = json.loads(recorded_frame(shared_data, b"@trade"))
    simulated = trade_frame(BTC, TRADE).payload
    simulated_event = json.loads(simulated)["data"]["E"]
    recorded["data"]["E"] = simulated_event
    assert simulated.decode() == json.dumps(recorded, separators=(",", ":"))
    assert 0 <= simulated_event - TRADE.time_us // 1_000 <= 220  # as recorded


def test_a_simulated_rest_trade_has_the_form_of_a_recorded_one(shared_data: Path) -> None:
    body = (shared_data / "binance" / "rest" / "api_v1_trades_BTCUSDC_20190822.json").read_bytes()
    assert shape(rest_trades([TRADE])[0]) == shape(json.loads(body)[0])


def test_exchange_info_has_the_fields_that_clients_read(shared_data: Path) -> None:
    with gzip.open(shared_data / "binance" / "rest" / "cryptofeed_BINANCE_exchangeInfo_20211012.txt.gz") as file:
        body = next(line.split(b": ", 1)[1] for line in file if b"exchangeInfo ->" in line)
    recorded = json.loads(body)
    simulated = exchange_info([BTC], 1)
    assert list(simulated) == list(recorded)
    for name, value in simulated["symbols"][0].items():
        assert type(value) is type(recorded["symbols"][0][name]), name


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.00000000"), (1, "0.00000001"), (6_183_763_000_000, "61837.63000000")]
)
def test_decimals_are_printed_with_eight_digits(value: int, text: str) -> None:
    assert decimal_text(value) == text
