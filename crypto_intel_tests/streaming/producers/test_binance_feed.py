"""Simulator to feed over real sockets: nothing lost, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from crypto_intel.contracts.events import Heartbeat, Trade
from crypto_intel_tests.streaming.producers.harness import (
    MemorySink,
    eventually,
    feeding,
    inject,
    producer_settings,
    replayed,
    simulated,
)
from streaming.errors import FatalError
from streaming.producers.venue import Mark
from streaming.simulator.app import Simulator

pytestmark = pytest.mark.stack
BTC = "BTC-USDT"


def is_contiguous(ids: list[int]) -> bool:
    return bool(ids) and set(ids) == set(range(min(ids), max(ids) + 1))


def handed_out(simulator: Simulator, symbol: str) -> list[tuple[int, int]]:
    return simulator.world.ledger.account.markets[f"binance:{symbol}"].intervals


async def test_what_the_simulator_sends_arrives_in_order_and_whole(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(lambda: len(sink.trades()) > 300)
    ids = sink.ids(BTC)
    assert ids == sorted(set(ids))
    assert is_contiguous(ids)
    assert sink.rejected() == []
    assert [s.detail for s in sink.statuses("connected")] == [""]


async def test_receive_times_follow_event_times_closely(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(lambda: len(sink.trades()) > 100)
    streamed = [t for t in sink.trades() if t.origin == "ws"]
    assert all(-5_000 < t.received_at - t.event_time < 10_000_000 for t in streamed)


async def test_the_first_start_brings_history_that_joins_the_stream(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path, trades_per_second=25) as simulator:
        async with feeding(producer_settings(simulator, repair={"history_minutes": 5}), sink):
            await eventually(lambda: any(t.origin == "ws" for t in sink.trades(BTC)))
        ids = sink.ids(BTC)
        [(first, last)] = handed_out(simulator, BTC)
    # The market goes on: a frame may be under way to a feed that has ended.
    assert first == min(ids)
    assert last >= max(ids)
    assert is_contiguous(ids)
    span_us = sink.trades(BTC)[-1].event_time - sink.trades(BTC)[0].event_time
    assert span_us >= 300_000_000
    assert {s.stream for s in sink.statuses("poll")} == {"history"}
    assert sink.statuses("gap") == []


async def test_a_gap_is_told_fetched_and_written_before_what_follows(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(lambda: sink.ids(BTC))
        await inject(simulator, kind="gap", count=40, symbol="BTCUSDT")
        await eventually(lambda: sink.statuses("repaired"))
        await eventually(lambda: sink.trades(BTC)[-1].origin == "ws")
    (gap,), (repaired,) = sink.statuses("gap"), sink.statuses("repaired")
    assert (gap.symbol, gap.last_id - gap.first_id + 1) == (BTC, 40)  # type: ignore[operator]
    assert (repaired.first_id, repaired.last_id) == (gap.first_id, gap.last_id)
    assert [t.trade_id for t in sink.trades(BTC) if t.origin == "rest"] == list(
        range(gap.first_id, gap.last_id + 1)  # type: ignore[arg-type, operator]
    )
    assert sink.ids(BTC) == sorted(sink.ids(BTC))


async def test_while_a_gap_is_open_no_heartbeat_speaks_for_its_symbol(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(sink.heartbeats)
        await inject(simulator, kind="rest_error", count=5, status=503)
        await inject(simulator, kind="gap", count=10, symbol="BTCUSDT")
        await eventually(lambda: sink.statuses("gap"))
        await eventually(lambda: sink.statuses("repaired"))
        await eventually(lambda: BTC in sink.heartbeats()[-1].symbols)
    statuses = [getattr(event, "status", "") for event in sink.events]
    during = sink.events[statuses.index("gap") : statuses.index("repaired")]
    beats = [event for event in during if isinstance(event, Heartbeat)]
    assert beats
    assert all(BTC not in beat.symbols and "ETH-USDT" in beat.symbols for beat in beats)


async def test_heartbeats_never_run_ahead_of_what_was_passed_on(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(lambda: len(sink.heartbeats()) > 5)
    latest = 0
    for event in sink.events:
        if isinstance(event, Heartbeat):
            assert event.event_time <= latest
        elif isinstance(event, Trade):
            latest = max(latest, event.event_time)


async def test_a_gap_that_cannot_be_fetched_stays_open_and_the_stream_goes_on(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, repair={"budget_s": 0.5})
        async with feeding(settings, sink):
            await eventually(lambda: sink.ids(BTC))
            await inject(simulator, kind="rest_error", count=100)
            await inject(simulator, kind="gap", count=5, symbol="BTCUSDT")
            await eventually(lambda: sink.statuses("gap"))
            before = len(sink.trades(BTC))
            await eventually(lambda: len(sink.trades(BTC)) > before + 5)
    assert sink.statuses("repaired") == []
    assert any("not done in 0.5 s" in s.detail for s in sink.statuses("poll"))


async def test_a_repair_is_bounded_to_the_newest_ids(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, repair={"limit_ids": 10})
        async with feeding(settings, sink):
            await eventually(lambda: sink.ids(BTC))
            await inject(simulator, kind="gap", count=30, symbol="BTCUSDT")
            await eventually(lambda: sink.statuses("repaired"))
    (gap,), (repaired,) = sink.statuses("gap"), sink.statuses("repaired")
    assert gap.last_id - gap.first_id + 1 == 30  # type: ignore[operator]
    assert (repaired.first_id, repaired.last_id) == (gap.last_id - 9, gap.last_id)  # type: ignore[operator]


async def test_a_cut_is_told_and_what_passed_meanwhile_is_fetched(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), sink):
        await eventually(lambda: len(sink.ids(BTC)) > 5)
        for cut in range(1, 4):
            await inject(simulator, kind="cut")
            await eventually(lambda cut=cut: len(sink.statuses("connected")) == cut + 1)
            before = len(sink.ids(BTC))
            await eventually(lambda before=before: len(sink.ids(BTC)) > before + 5)
        final = max(sink.ids(BTC))
    assert is_contiguous([i for i in sink.ids(BTC) if i <= final])
    assert len(sink.statuses("disconnected")) >= 3


async def test_a_silent_connection_is_given_up_and_made_anew(tmp_path: Path) -> None:
    """Half-open: the peer's host is gone, nothing is refused, nothing answers."""
    sink = MemorySink()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", simulator.ws_port)
        upstream.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await upstream_reader.readuntil(b"\r\n\r\n"))
        if len(connections) > 0:  # only the first one falls silent
            while data := await upstream_reader.read(65_536):
                writer.write(data)
        connections.append(1)
        await asyncio.Event().wait()

    connections: list[int] = []
    async with simulated(tmp_path) as simulator:
        proxy = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        settings = producer_settings(simulator, binance={"ws_url": f"ws://127.0.0.1:{port}"})
        started = time.monotonic()
        async with feeding(settings, sink):
            await eventually(lambda: sink.statuses("disconnected"))
            noticed = time.monotonic() - started
            await eventually(lambda: any(t.origin == "ws" for t in sink.trades()))
        proxy.close()
    assert noticed < 2 * settings.reconnect.silence_s + 1


async def test_broken_frames_go_to_the_dead_letters_whole_and_counted(tmp_path: Path) -> None:
    sink = MemorySink()
    settings_of = partial(producer_settings, binance={"quotes": False})
    async with simulated(tmp_path) as simulator, feeding(settings_of(simulator), sink):
        await eventually(lambda: sink.ids(BTC))
        await inject(simulator, kind="malformed", count=16)
        await inject(simulator, kind="future", count=3)
        await eventually(lambda: len(sink.rejected()) == 19)
        injected = dict(simulator.world.ledger.account.injected)
    reasons = [r.reason for r in sink.rejected()]
    assert reasons.count("future_time") == injected.pop("future") == 3
    assert injected.pop("malformed") == 16
    for name, count in injected.items():
        kind = name.removeprefix("malformed:").removesuffix("_negative")
        assert reasons.count(kind) >= count
    assert all(r.raw and r.stage == "binance" for r in sink.rejected())
    assert len(sink.statuses("connected")) == 1


async def test_a_restart_fetches_what_passed_since_the_last_id_written(tmp_path: Path) -> None:
    first, second = MemorySink(), MemorySink()
    async with simulated(tmp_path) as simulator:
        async with feeding(producer_settings(simulator), first):
            await eventually(lambda: len(first.ids(BTC)) > 5)
        last = {t.symbol: Mark(t.trade_id, t.event_time) for t in first.trades()}
        async with feeding(producer_settings(simulator), second, last):
            await eventually(lambda: any(t.origin == "ws" for t in second.trades(BTC)))
    assert is_contiguous(first.ids(BTC) + second.ids(BTC))
    assert min(second.ids(BTC)) == last[BTC].trade_id + 1


async def test_a_venue_that_is_away_at_the_start_is_waited_for(tmp_path: Path, unused_tcp_port: int) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, binance={"ws_url": f"ws://127.0.0.1:{unused_tcp_port}"})
        async with feeding(settings, sink):
            await eventually(lambda: sink.statuses("disconnected"))
            assert sink.statuses("connected") == []
            relay = await asyncio.start_server(_relay_to(simulator.ws_port), "127.0.0.1", unused_tcp_port)
            await eventually(sink.trades)
            relay.close()
    assert "cannot connect" in sink.statuses("disconnected")[0].detail


def _relay_to(port: int):  # type: ignore[no-untyped-def]
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                target.write(data)

        await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer), return_exceptions=True)

    return relay


async def test_symbols_that_the_venue_does_not_offer_are_named(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, binance={"symbols": "BTC-USDT,PEPE-USDT"})
        async with feeding(settings, sink):
            await eventually(sink.trades)
    assert sink.statuses("connected")[0].detail == "not offered: PEPE-USDT"
    assert {t.symbol for t in sink.trades()} == {BTC}


async def test_a_venue_that_offers_none_of_the_symbols_is_fatal(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, binance={"symbols": "PEPE-USDT"})
        with pytest.raises(FatalError, match="offers none"):
            async with feeding(settings, MemorySink()):
                pass


async def test_a_sink_that_fails_ends_the_feed_loudly(tmp_path: Path) -> None:
    class BrokenSink(MemorySink):
        def check(self) -> None:
            if self.trades():
                raise FatalError("not delivered")

    async with simulated(tmp_path) as simulator, feeding(producer_settings(simulator), BrokenSink()) as (_, task):
        with pytest.raises(FatalError, match="not delivered"):
            await asyncio.wait_for(task, 20)


@pytest.mark.parametrize("speed", [0, 200])
async def test_a_recording_arrives_whole_and_ends(tmp_path: Path, shared_data: Path, speed: float) -> None:
    sink = MemorySink()
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw", speed) as simulator:
        async with feeding(producer_settings(simulator), sink) as (_, task):
            await asyncio.wait_for(task, 60)
        assert simulator.world.ledger.account.ended
        for symbol, count in {BTC: 19_904, "ETH-USDT": 14_515}.items():
            ids = sink.ids(symbol)
            assert len(set(ids)) == count
            assert handed_out(simulator, symbol) == [(min(ids), max(ids))]
    assert sink.rejected() == []
    *_, beat = sink.heartbeats()
    assert beat.ended
    assert sink.events[-1].status == "ended"
    assert beat.event_time >= max(t.event_time for t in sink.trades())
    assert sink.flushes >= 2


async def test_in_a_replay_no_heartbeat_overtakes_a_trade_that_follows_it(tmp_path: Path, shared_data: Path) -> None:
    sink = MemorySink()
    capture = shared_data / "binance" / "ws_raw"
    async with replayed(tmp_path, capture, 200) as simulator, feeding(producer_settings(simulator), sink) as (_, task):
        await asyncio.wait_for(task, 60)
    told = dict.fromkeys((BTC, "ETH-USDT"), 0)
    for event in sink.events:
        if isinstance(event, Heartbeat):  # it speaks for the markets that it names: not for one that waits for a repair
            told |= {symbol: max(told[symbol], event.event_time) for symbol in event.symbols}
        elif isinstance(event, Trade):
            assert event.event_time > told[event.symbol] - 2_000_000


async def test_a_replay_joined_late_is_fetched_from_its_beginning(tmp_path: Path, shared_data: Path) -> None:
    sink = MemorySink()
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw") as simulator:
        simulator.world.backing.begin("binance")
        await eventually(lambda: simulator.world.backing.has_ended, 60)
        async with feeding(producer_settings(simulator), sink) as (_, task):
            await asyncio.wait_for(task, 60)
    assert len(set(sink.ids(BTC))) == 19_904
    assert len(set(sink.ids("ETH-USDT"))) == 14_515
