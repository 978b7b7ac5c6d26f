"""Kraken's simulator to feed over real sockets: snapshots do not double, gaps are fetched by time, silence is death."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_intel.contracts.events import Trade
from crypto_intel_tests.streaming.producers.harness import (
    MemorySink,
    eventually,
    feeding,
    inject,
    producer_settings,
    simulated,
)
from streaming.producers.venue import Mark

pytestmark = pytest.mark.stack
BTC = "BTC-USD"
EIGHT = {"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOT-USD", "LTC-USD", "DOGE-USD"}


def is_contiguous(ids: list[int]) -> bool:
    return bool(ids) and set(ids) == set(range(min(ids), max(ids) + 1))


async def test_eight_markets_stream_in_order_and_whole_with_the_snapshot_before_them(tmp_path: Path) -> None:
    sink = MemorySink()
    async with (
        simulated(tmp_path, kraken_share=1) as simulator,
        feeding(producer_settings(simulator), sink, venue="kraken"),
    ):
        await eventually(lambda: {t.symbol for t in sink.trades()} == EIGHT and len(sink.ids(BTC)) > 100)
    assert sink.ids(BTC) == sorted(set(sink.ids(BTC)))
    assert is_contiguous(sink.ids(BTC))
    assert sink.rejected() == []
    assert {event.venue for event in sink.events} == {"kraken"}


async def test_quotes_come_with_the_trades_but_not_too_many(tmp_path: Path) -> None:
    sink = MemorySink()
    async with (
        simulated(tmp_path, kraken_share=1) as simulator,
        feeding(producer_settings(simulator), sink, venue="kraken"),
    ):
        await eventually(lambda: len(sink.quotes(BTC)) >= 3)
    quotes = sink.quotes(BTC)
    assert len(quotes) <= (quotes[-1].received_at - quotes[0].received_at) / 1_000_000 + 2
    assert all(quote.bid and quote.ask and quote.change_24h_pct for quote in sink.quotes())


async def test_a_snapshot_that_is_sent_again_doubles_nothing_and_fills_what_was_missed(tmp_path: Path) -> None:
    sink = MemorySink()
    async with (
        simulated(tmp_path, kraken_share=1) as simulator,
        feeding(producer_settings(simulator), sink, venue="kraken"),
    ):
        await eventually(lambda: len(sink.ids(BTC)) > 100)
        for cut in range(1, 4):
            await inject(simulator, kind="cut")
            await eventually(lambda cut=cut: len(sink.statuses("connected")) == cut + 1)
            before = len(sink.ids(BTC))
            await eventually(lambda before=before: len(sink.ids(BTC)) > before + 5)
    assert sink.ids(BTC) == sorted(set(sink.ids(BTC)))
    assert is_contiguous(sink.ids(BTC))


async def test_a_gap_is_fetched_exactly_and_written_before_what_follows(tmp_path: Path) -> None:
    sink = MemorySink()
    async with (
        simulated(tmp_path, kraken_share=1) as simulator,
        feeding(producer_settings(simulator), sink, venue="kraken"),
    ):
        await eventually(lambda: len(sink.ids(BTC)) > 60)
        await inject(simulator, kind="gap", count=40, symbol="BTC/USD", venue="kraken")
        await eventually(lambda: sink.statuses("repaired"))
        await eventually(lambda: sink.trades(BTC)[-1].origin == "ws")
    missing = {i for gap in sink.statuses("gap") for i in range(gap.first_id or 0, (gap.last_id or 0) + 1)}
    fetched = [t.trade_id for t in sink.trades(BTC) if t.origin == "rest"]
    assert len(missing) == 40
    assert sorted(fetched) == sorted(missing)
    assert sink.ids(BTC) == sorted(set(sink.ids(BTC)))


async def test_a_restart_goes_on_behind_the_last_trade_that_was_written(tmp_path: Path) -> None:
    first, second = MemorySink(), MemorySink()
    async with simulated(tmp_path, kraken_share=1, trades_per_second=2_000) as simulator:
        async with feeding(producer_settings(simulator), first, venue="kraken"):
            await eventually(lambda: len(first.ids(BTC)) > 100)
        last = {t.symbol: Mark(t.trade_id, t.event_time) for t in first.trades()}
        seen = len(first.ids(BTC))
        async with feeding(producer_settings(simulator), second, last, venue="kraken"):
            await eventually(lambda: len(second.ids(BTC)) > seen)
    assert second.ids(BTC)[0] == last[BTC].trade_id + 1
    assert is_contiguous(first.ids(BTC) + second.ids(BTC))


async def test_the_first_start_brings_history_that_joins_the_stream(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path, trades_per_second=25) as simulator:
        settings = producer_settings(simulator, repair={"history_minutes": 5})
        async with feeding(settings, sink, venue="kraken"):
            await eventually(lambda: any(t.origin == "ws" for t in sink.trades(BTC)))
    assert is_contiguous(sink.ids(BTC))
    span_us = sink.trades(BTC)[-1].event_time - sink.trades(BTC)[0].event_time
    assert span_us >= 280_000_000
    assert sink.statuses("gap") == []


async def test_trades_of_the_old_protocol_pass_with_negative_ids(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path, kraken_share=1) as simulator:
        settings = producer_settings(simulator, kraken={"ws_url": f"ws://127.0.0.1:{simulator.ws_port}"})
        async with feeding(settings, sink, venue="kraken"):
            await eventually(lambda: len([t for t in sink.trades(BTC) if t.origin == "ws"]) > 20)
    streamed = [event for event in sink.events if isinstance(event, Trade) and event.origin == "ws"]
    assert all(trade.trade_id < 0 for trade in streamed)
    assert len({(t.symbol, t.trade_id) for t in streamed}) == len(streamed)
