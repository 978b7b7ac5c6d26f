"""Recording from the simulator, and playing the recording back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto_intel.contracts.symbols import Symbol
from crypto_intel_tests.streaming.simulator.harness import (
    eventually,
    inject,
    listening,
    replayed,
    rest_client,
    simulated,
)
from streaming.errors import FatalError
from streaming.producers.settings import ProducerSettings, Reconnect
from streaming.recorder.capture import PROVENANCE, Provenance, read_records, verify
from streaming.recorder.folder import merged, recorded_files
from streaming.recorder.recorder import Recorder, Rotation, record
from streaming.simulator.app import Simulator

pytestmark = pytest.mark.stack

SETTINGS = ProducerSettings(reconnect=Reconnect(wait_initial_s=0.02, wait_max_s=0.1, jitter_s=0.02))
BINANCE = "/stream?streams=btcusdt@trade/ethusdt@trade"
KRAKEN = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"]}}


async def record_both(simulator: Simulator, folder: Path, seconds: float) -> list[Provenance]:
    """Binance and Kraken of a simulator, each in its folder."""
    base = f"ws://127.0.0.1:{simulator.ws_port}"
    return await asyncio.gather(
        record("binance", folder / "b", SETTINGS, symbols=[Symbol("btc/usdt"), "ETH-USDT"], url=base, seconds=seconds),
        record("kraken", folder / "k", SETTINGS, symbols=["BTC-USD", "ETH-USD"], url=f"{base}/v2", seconds=seconds),
    )


def trade_ids(messages: list[Any]) -> dict[str, set[int]]:
    """Ids by symbol of messages of both venues."""
    ids: dict[str, set[int]] = {}
    for message in messages:
        if str(message.get("stream", "")).endswith("@trade"):
            ids.setdefault(message["data"]["s"], set()).add(message["data"]["t"])
        elif message.get("channel") == "trade":
            for trade in message["data"]:
                ids.setdefault(trade["symbol"], set()).add(trade["trade_id"])
    return ids


async def test_a_recording_holds_what_the_venue_handed_out_and_plays_it_again(tmp_path: Path) -> None:
    async with simulated(tmp_path / "one", trades_per_second=400) as simulator:
        provenances = await record_both(simulator, tmp_path / "rec", seconds=3)
        handed_out = simulator.world.ledger.account.markets
    lines = list(merged(recorded_files(tmp_path / "rec")))
    recorded = trade_ids([json.loads(line.payload) for line in lines])
    assert [(p.connects, p.disconnects) for p in provenances] == [(1, 0), (1, 0)]
    for name, market in (("BTCUSDT", "binance:BTC-USDT"), ("BTC/USD", "kraken:BTC-USD")):
        [(first, last)] = handed_out[market].intervals
        assert min(recorded[name]) == first
        assert last - 5 <= max(recorded[name]) <= last  # what was on its way when we left
        assert recorded[name] == set(range(min(recorded[name]), max(recorded[name]) + 1))

    async with replayed(tmp_path / "two", tmp_path / "rec") as player:
        async with listening(player, BINANCE) as one, listening(player, "/v2") as two:
            await eventually(lambda: player.world.hub.clients == 2)
            assert not player.world.backing.has_ended  # Kraken's client has not subscribed yet
            two.say(KRAKEN)
            await eventually(lambda: not one.is_connected and not two.is_connected)
        async with rest_client(player) as rest:
            result = (await rest.get("/0/public/Trades", params={"pair": "XBTUSD", "since": "0"})).json()["result"]
        assert trade_ids(one.messages + two.messages) == recorded
        assert {row[6] for row in result["XXBTZUSD"]} <= recorded["BTC/USD"]
        assert trade_ids_of_ledger(player) == recorded
    played = {message for message in one.raw + two.raw if b"trade" in message[:40] and b"method" not in message}
    assert {line.payload for line in lines if b"trade" in line.payload[:40] and b"method" not in line.payload} <= played


def trade_ids_of_ledger(simulator: Simulator) -> dict[str, set[int]]:
    """What the ledger says, under the venues' names."""
    names = {symbol.market: symbol.name for symbol in simulator.world.backing.symbols}
    return {
        names[market]: {i for first, last in account.intervals for i in range(first, last + 1)}
        for market, account in simulator.world.ledger.account.markets.items()
    }


async def test_cuts_are_in_the_recording_and_files_are_whole(tmp_path: Path) -> None:
    async with simulated(tmp_path / "sim", trades_per_second=2_000) as simulator:
        url = f"ws://127.0.0.1:{simulator.ws_port}"
        out, stop = tmp_path / "rec", asyncio.Event()
        task = asyncio.create_task(
            record("binance", out, SETTINGS, url=url, stop=stop, rotation=Rotation(bytes=100_000, seconds=60))
        )
        await eventually(lambda: simulator.world.hub.frames_sent > 1_000)
        await inject(simulator, kind="cut")
        await eventually(lambda: len(list(out.glob("*.zst"))) > 2)
        stop.set()
        provenance = await task
    written = msgspec.json.decode((out / PROVENANCE).read_bytes(), type=Provenance)
    assert written == provenance
    assert (provenance.connects, provenance.disconnects, provenance.reason) == (2, 1, "stopped")
    assert provenance.ended is not None
    assert verify(out) == []
    records = [record for file in recorded_files(out) for record in read_records(file.path)]
    assert sum(record.kind == "F" for record in records) == provenance.messages
    assert sum(record.kind == "F" for record in records) == sum(facts.messages for facts in provenance.files)
    assert [record.kind for record in records if record.kind in "CD"] == ["C", "D", "C", "D"]
    times = [record.received_ns for record in records]
    assert times == sorted(times)
    (out / provenance.files[0].name).write_bytes(b"x")
    assert verify(out) == [f"{provenance.files[0].name} has another checksum"]


async def test_a_folder_with_a_recording_is_not_written_over(tmp_path: Path) -> None:
    provenance = Provenance(venue="binance", protocol="binance", url="", symbols=[], started="", version="")
    Recorder(tmp_path, provenance)
    with pytest.raises(FatalError, match="holds a recording already"):
        Recorder(tmp_path, provenance)


async def test_memory_is_bounded_by_one_block(tmp_path: Path) -> None:
    provenance = Provenance(venue="binance", protocol="binance", url="", symbols=[], started="", version="")
    recorder = Recorder(tmp_path, provenance)
    for _ in range(30):
        recorder.on_message(b"x" * 100_000)
        assert len(recorder._block) <= (1 << 20)
    recorder.close("done")
    assert provenance.messages == 30
