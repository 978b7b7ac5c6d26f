"""Tracked coins: a producer takes what the table names, follows its changes without a restart, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel_tests.streaming.producers.harness import MemorySink, eventually, producer_settings, simulated
from streaming.clock import PlatformClock
from streaming.producers.coins import Coins
from streaming.producers.http import VenueHttp
from streaming.producers.metrics import FeedCollector
from streaming.producers.settings import ProducerSettings
from streaming.producers.trades import maker_of, stream_wanted
from streaming.producers.venue import Mark


def _set(dsn: str, symbol: str, *, tracked: bool) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO coins (venue, symbol, is_tracked) VALUES ('binance', %s, %s) "
            "ON CONFLICT (venue, symbol) DO UPDATE SET is_tracked = excluded.is_tracked",
            (symbol, tracked),
        )


def _is_whole(ids: list[int]) -> bool:
    return set(ids) == set(range(min(ids), max(ids) + 1))


@asynccontextmanager
async def _following(settings: ProducerSettings, sink: MemorySink) -> AsyncIterator[asyncio.Task[None]]:
    """Binance's producer with a list where Kafka would be; the list also knows where a market was left."""
    maker = maker_of(settings, "binance")
    coins = Coins("binance", maker.options.markets, settings.postgres_dsn, settings.coins_look_s)
    http = VenueHttp(maker.rest_url)
    clock = PlatformClock(settings.clock_url)
    await clock.refresh_async(http.client)
    rest = maker.rest(http)

    async def known(symbols: list[str]) -> dict[str, Mark]:
        return {symbol: Mark(max(sink.ids(symbol))) for symbol in symbols if sink.ids(symbol)}

    async def follow() -> None:
        while not await stream_wanted(
            settings, maker, coins, sink=sink, clock=clock, rest=rest, known=known, shown=FeedCollector(sink)
        ):
            pass

    task = asyncio.create_task(follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        coins.close()
        await http.aclose()


@pytest.mark.stack
async def test_a_producer_follows_the_table_without_a_restart_and_without_a_loss(
    tmp_path: Path, own_postgres_dsn: str
) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        wanted = {"binance": {"symbols": "BTC-USDT,ETH-USDT"}, "postgres_dsn": own_postgres_dsn, "coins_look_s": 0.1}
        async with _following(producer_settings(simulator, **wanted), sink) as task:
            await eventually(lambda: sink.ids("BTC-USDT") and sink.ids("ETH-USDT"))
            _set(own_postgres_dsn, "SOL-USDT", tracked=True)
            _set(own_postgres_dsn, "ETH-USDT", tracked=False)
            await eventually(lambda: sink.ids("SOL-USDT"))
            left_at, before = len(sink.ids("ETH-USDT")), len(sink.ids("BTC-USDT"))
            await eventually(lambda: len(sink.ids("BTC-USDT")) > before + 50)
            assert len(sink.ids("ETH-USDT")) == left_at
            _set(own_postgres_dsn, "ETH-USDT", tracked=True)
            await eventually(lambda: len(sink.ids("ETH-USDT")) > left_at)
            assert not task.done()
    assert all(_is_whole(sink.ids(symbol)) for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"))
    told, mended = ({(s.symbol, s.first_id, s.last_id) for s in sink.statuses(name)} for name in ("gap", "repaired"))
    assert told == mended


@pytest.mark.stack
async def test_a_venue_of_which_nothing_is_tracked_waits_until_something_is(
    tmp_path: Path, own_postgres_dsn: str
) -> None:
    _set(own_postgres_dsn, "BTC-USDT", tracked=False)
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        wanted = {"binance": {"symbols": "BTC-USDT"}, "postgres_dsn": own_postgres_dsn, "coins_look_s": 0.1}
        async with _following(producer_settings(simulator, **wanted), sink) as task:
            await asyncio.wait({task}, timeout=0.5)
            assert (task.done(), sink.events) == (False, [])
            _set(own_postgres_dsn, "BTC-USDT", tracked=True)
            await eventually(lambda: sink.ids("BTC-USDT"))


@pytest.mark.stack
async def test_settings_fill_the_table_at_the_start_and_never_bring_back_what_people_took_out(
    own_postgres_dsn: str,
) -> None:
    _set(own_postgres_dsn, "ETH-USDT", tracked=False)
    for _ in ("first start", "second start"):
        coins = Coins("binance", ["BTC-USDT", "ETH-USDT"], SecretStr(own_postgres_dsn), 0.05)
        assert await coins.wanted() == ["BTC-USDT"]
        coins.close()
    with psycopg.connect(own_postgres_dsn) as connection:
        told = connection.execute("SELECT actor, row_key FROM ops.audit WHERE actor LIKE 'producer%'").fetchall()
        connection.execute("UPDATE coins SET is_tracked = false")
    assert told == [("producer-binance", "binance/BTC-USDT")]
    coins = Coins("binance", ["BTC-USDT"], SecretStr(own_postgres_dsn), 0.05)
    assert await coins.wanted() == []
    coins.close()


async def test_without_a_database_the_settings_count() -> None:
    assert await Coins("binance", ["BTC-USDT"], None, 0.01).wanted() == ["BTC-USDT"]
    away = Coins("binance", ["BTC-USDT"], SecretStr("postgresql://u:canary@127.0.0.1:1/d"), 0.01)
    assert await away.wanted() == ["BTC-USDT"]
    for coins in (Coins("binance", ["BTC-USDT"], None, 0.01), away):
        waiting = asyncio.create_task(coins.changed(["BTC-USDT"]))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        waiting.cancel()
