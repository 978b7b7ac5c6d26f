"""Connections that end in five ways, REST pages that fail, and a simulator that is killed: over real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from picows import WSError, ws_connect

from crypto_intel.stack.ports import free_port
from crypto_intel_tests.streaming.simulator.harness import (
    Listener,
    eventually,
    inject,
    listening,
    rest_client,
    simulated,
)
from streaming.simulator.ledger import read_account

pytestmark = pytest.mark.stack

BINANCE = "/stream?streams=btcusdt@trade/ethusdt@trade"
SUBSCRIBE = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}}


async def test_a_reset_ends_one_venue_only_and_without_a_word(tmp_path: Path) -> None:
    async with (
        simulated(tmp_path) as simulator,
        listening(simulator, BINANCE) as one,
        listening(simulator, "/v2") as two,
    ):
        await inject(simulator, kind="cut", venue="binance")
        await eventually(lambda: not one.is_connected)
        assert one.close_reason is None
        assert two.is_connected
        assert simulator.world.ledger.account.injected_at["binance"] == {"cut": 1, "cut:reset": 1}


async def test_a_close_says_so(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, listening(simulator, BINANCE) as client:
        await inject(simulator, kind="cut", how="close")
        await eventually(lambda: not client.is_connected)
        assert client.close_reason is not None


async def test_silence_stays_connected_and_answers_no_ping(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, listening(simulator, BINANCE) as client:
        await eventually(lambda: client.raw)
        await inject(simulator, kind="cut", how="silence", seconds=1)
        heard = len(client.raw)
        assert client.transport is not None
        client.transport.send_ping()
        sent = simulator.world.ledger.account.frames
        await eventually(lambda: not client.is_connected)
        assert len(client.raw) - heard <= 5  # what was on its way
        assert simulator.world.ledger.account.frames == sent


async def test_a_forced_close_is_announced(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, listening(simulator, BINANCE) as client:
        await inject(simulator, kind="cut", how="forced", seconds=0.3)
        await eventually(lambda: any(m.get("e") == "serverShutdown" for m in client.messages))
        assert client.is_connected
        await eventually(lambda: not client.is_connected)


async def test_a_stalled_handshake_is_never_answered_until_it_is_over(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, listening(simulator, BINANCE) as client:
        started = time.monotonic()
        await inject(simulator, kind="cut", how="handshake", seconds=1)
        await eventually(lambda: not client.is_connected)
        url = f"ws://127.0.0.1:{simulator.ws_port}{BINANCE}"
        with pytest.raises((TimeoutError, OSError, WSError)):
            await asyncio.wait_for(ws_connect(Listener, url), 0.3)
        await eventually(lambda: not simulator.world.gate.is_deaf)
        assert time.monotonic() - started >= 1
        async with listening(simulator, BINANCE) as again:
            await eventually(lambda: again.raw)


async def test_injected_frames_reach_one_client_only(tmp_path: Path) -> None:
    async with (
        simulated(tmp_path) as simulator,
        listening(simulator, BINANCE) as first,
        listening(simulator, BINANCE) as second,
    ):
        await eventually(lambda: first.raw and second.raw)
        await inject(simulator, kind="future", count=5, symbol="BTC-USDT")
        ahead = time.time() * 1e3 + 3_600_000
        await eventually(lambda: sum(m["data"]["T"] > ahead for m in first.messages) == 5)
        await eventually(lambda: len(second.raw) > 50)
        assert not any(m["data"]["T"] > ahead for m in second.messages)


async def test_an_unknown_symbol_or_venue_is_an_error_that_says_what_is_allowed(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator:
        symbol = await inject(simulator, kind="gap", symbol="FOO-USDT")
        venue = await inject(simulator, kind="cut", venue="coinbase")
    assert (symbol.status_code, venue.status_code) == (400, 400)
    assert "binance:BTC-USDT" in symbol.json()["error"]
    assert venue.json()["error"] == "'coinbase'; allowed: binance, kraken"


async def test_faults_come_by_schedule(tmp_path: Path) -> None:
    schedule = [
        {"at_s": 0.1, "kind": "gap", "count": 3, "symbol": "BTC/USD"},
        {"kind": "rest_error", "venue": "kraken"},
    ]
    async with simulated(tmp_path, faults=schedule) as simulator, listening(simulator, "/v2") as client:
        client.say(SUBSCRIBE)
        await eventually(lambda: simulator.world.ledger.account.injected_at.get("kraken:BTC-USD") == {"gap": 3})
        await eventually(lambda: client.trades("update"))
        async with rest_client(simulator) as rest:
            assert (await rest.get("/0/public/Time")).status_code == 503
            assert (await rest.get("/0/public/Time")).status_code == 200


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"kind": "rest_error", "status": 429, "retry_after_s": 7}, lambda r: r.headers["Retry-After"] == "7"),
        ({"kind": "rest_error", "status": 200}, lambda r: r.json() == {"error": ["EService:Unavailable"]}),
        ({"kind": "rest_empty"}, lambda r: r.json()["result"] == {"last": "5"}),
        ({"kind": "rest_slow", "seconds": 0.3}, lambda r: r.elapsed.total_seconds() >= 0.3),
    ],
)
async def test_rest_pages_fail_in_the_venues_words(
    tmp_path: Path, fault: dict[str, Any], check: Callable[[Any], bool]
) -> None:
    async with simulated(tmp_path) as simulator, rest_client(simulator) as client:
        await inject(simulator, venue="kraken", **fault)
        assert (await client.get("/api/v3/time")).status_code == 200  # another venue
        answer = await client.get("/0/public/Trades", params={"pair": "XBTUSD", "since": "5"})
        assert check(answer)
        assert simulator.world.ledger.account.injected_at["kraken"][fault["kind"]] == 1


async def test_a_killed_simulator_has_written_down_all_that_it_handed_out(tmp_path: Path) -> None:
    port, rest = free_port(), free_port()
    settings = {"WS_PORT": port, "REST_PORT": rest, "TRADES_PER_SECOND": 2000}
    environment = {f"CRYPTO_INTEL_SIMULATOR__{name}": str(value) for name, value in settings.items()}
    environment |= {"CRYPTO_INTEL_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "streaming.simulator", env=environment)
    try:
        await eventually((tmp_path / "run" / "source_ledger.json").exists)
        listener = await connected(f"ws://127.0.0.1:{port}{BINANCE}")
        await eventually(lambda: len(listener.raw) > 3_000)
    finally:
        process.kill()
        await process.wait()
    await eventually(lambda: not listener.is_connected)
    account = read_account(tmp_path / "run" / "source_ledger.json")
    assert account is not None
    for symbol, market in (("BTCUSDT", "binance:BTC-USDT"), ("ETHUSDT", "binance:ETH-USDT")):
        heard = [m["data"]["t"] for m in map(json.loads, listener.raw) if m["data"]["s"] == symbol]
        [(first, last)] = account.markets[market].intervals
        assert first == heard[0]
        assert heard[-1] <= last <= heard[-1] + 2_000  # at most the tick that did not leave any more


async def connected(url: str) -> Listener:
    """A client, as soon as somebody answers."""
    until = time.monotonic() + 20
    while True:
        try:
            _, listener = await ws_connect(Listener, url)
        except OSError:
            assert time.monotonic() < until, "nobody answers"
            await asyncio.sleep(0.05)
        else:
            assert isinstance(listener, Listener)
            return listener
