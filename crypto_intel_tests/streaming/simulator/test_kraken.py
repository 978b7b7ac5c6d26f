"""Kraken's protocol: conversations without sockets, and both versions over a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crypto_intel_tests.streaming.simulator.harness import eventually, listening, rest_client, simulated
from streaming.simulator.kraken import joined, rest_name, trade_frames_v1, trade_frames_v2
from streaming.simulator.market import KRAKEN_INSTRUMENTS
from streaming.simulator.venue import VenueTrade, instant_text, number_text

BTC = KRAKEN_INSTRUMENTS[0].symbol
TRADES = [VenueTrade(i, 1_695_627_777_708_706 + i, 6_430_010_000_000, 1_234, i % 2 == 0) for i in (7, 8, 9)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "0.00000001"), (74_000_000_000, "740.0"), (6_430_010_000_000, "64300.1"), (0, "0.0")],
)
def test_numbers_are_printed_without_exponents_or_idle_zeros(value: int, text: str) -> None:
    assert number_text(value) == text
    assert isinstance(json.loads(text), float)


def test_instants_have_microseconds_and_end_with_z() -> None:
    assert instant_text(1_695_627_777_008_706) == "2023-09-25T07:42:57.008706Z"


def test_pairs_have_the_names_that_rest_gives_them() -> None:
    names = [rest_name(instrument.symbol) for instrument in KRAKEN_INSTRUMENTS]
    assert names == ["XXBTZUSD", "XETHZUSD", "SOLUSD", "XXRPZUSD", "ADAUSD", "DOTUSD", "XLTCZUSD", "XDGUSD"]


def test_trades_of_a_pair_that_follow_each_other_share_a_message() -> None:
    messages = joined(trade_frames_v2(BTC, TRADES))
    assert len(messages) == 1
    assert [t["trade_id"] for t in json.loads(messages[0])["data"]] == [7, 8, 9]
    [message] = joined(trade_frames_v1(BTC, TRADES))
    assert [t[3] for t in json.loads(message)[1]] == ["b", "s", "b"]


def test_an_injected_frame_is_never_joined_with_others() -> None:
    frames = trade_frames_v2(BTC, TRADES)
    frames[1] = frames[1]._replace(injected="malformed:not_utf8")
    assert len(joined(frames)) == 3


@pytest.mark.stack
async def test_v2_answers_streams_and_repeats_the_snapshot_on_every_subscribe(tmp_path: Path) -> None:
    subscribe = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "X/USD"]}, "req_id": 5}
    async with simulated(tmp_path) as simulator, listening(simulator, "/v2") as client:
        client.say(subscribe)
        await eventually(lambda: len(client.trades("update")) >= 5)
        client.say(subscribe | {"params": {"channel": "trade", "symbol": ["BTC/USD"]}})
        await eventually(lambda: len(client.trades("snapshot")) == 100)
        account = simulator.world.ledger.account.markets["kraken:BTC-USD"]
        heard = {trade["trade_id"] for trade in client.trades()}
        updates = [trade["trade_id"] for trade in client.trades("update")]
    status, ack, *_ = client.messages
    assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
    assert (ack["method"], ack["success"], ack["req_id"], ack["result"]["symbol"]) == ("subscribe", True, 5, "BTC/USD")
    [refusal] = [m for m in client.messages if m.get("success") is False]
    assert refusal["error"] == "Currency pair not supported X/USD"
    assert heard == set(range(min(heard), max(heard) + 1))
    assert updates == list(range(updates[0], updates[0] + len(updates)))
    assert len(account.intervals) == 1
    assert account.intervals[0][0] == min(heard)


@pytest.mark.stack
async def test_v2_unsubscribes_pings_and_beats_when_quiet(tmp_path: Path) -> None:
    async with simulated(tmp_path, trades_per_second=0.001) as simulator, listening(simulator, "/v2") as client:
        client.say({"method": "ping", "req_id": 9})
        client.say({"method": "subscribe", "params": {"channel": "ticker", "symbol": ["ADA/USD"], "snapshot": False}})
        await eventually(lambda: {"channel": "heartbeat"} in client.messages)
        client.say({"method": "unsubscribe", "params": {"channel": "ticker", "symbol": ["ADA/USD"]}})
        client.say(b"{")
        await eventually(lambda: any(m.get("error") == "Malformed request" for m in client.messages))
    pong = next(m for m in client.messages if m.get("method") == "pong")
    assert (pong["req_id"], set(pong)) == (9, {"method", "req_id", "time_in", "time_out"})
    assert [m["method"] for m in client.messages if m.get("success")] == ["subscribe", "unsubscribe"]


@pytest.mark.stack
async def test_v1_speaks_in_arrays(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, listening(simulator, "/") as client:
        client.say({"event": "subscribe", "pair": ["XBT/USD", "NO/USD"], "subscription": {"name": "trade"}})
        client.say({"event": "subscribe", "pair": ["XDG/USD"], "subscription": {"name": "ticker"}})
        await eventually(lambda: {m[2] for m in client.messages if isinstance(m, list)} == {"trade", "ticker"})
    events = [m for m in client.messages if isinstance(m, dict)]
    assert events[0]["event"] == "systemStatus"
    assert [e.get("status") for e in events[1:4]] == ["subscribed", "error", "subscribed"]
    assert {m[3] for m in client.messages if isinstance(m, list)} == {"XBT/USD", "XDG/USD"}


@pytest.mark.stack
async def test_rest_pages_through_trades_by_time_and_errs_with_200(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, rest_client(simulator) as client:
        ids: list[int] = []
        since = "0"
        for _ in range(3):
            params = {"pair": "XBTUSD", "since": since, "count": "100"}
            result = (await client.get("/0/public/Trades", params=params)).json()["result"]
            ids += [row[6] for row in result["XXBTZUSD"]]
            since = result["last"]
        unknown = await client.get("/0/public/Trades", params={"pair": "NOUSD"})
        bad = await client.get("/0/public/Trades", params={"pair": "XBTUSD", "since": "yesterday"})
        pairs = (await client.get("/0/public/AssetPairs")).json()["result"]
    assert ids == list(range(1, 301))
    assert (unknown.status_code, unknown.json()) == (200, {"error": ["EQuery:Unknown asset pair"]})
    assert bad.json() == {"error": ["EGeneral:Invalid arguments"]}
    assert len(pairs) == 8
    assert pairs["XXBTZUSD"]["wsname"] == "XBT/USD"
