"""The cache: newest states only, never in a batch's way, rebuilt from PostgreSQL."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import redis
from pydantic import SecretStr

from crypto_intel.contracts.events import Alert
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.streaming.sinks.rows import START, alert, bar, frame, live
from streaming.errors import FatalError
from streaming.sinks.postgres import PostgresSink, Upsert
from streaming.sinks.redis import KEPT_ALERTS, TIMEOUT_S, RedisSink

MARKET_KEY = "market:binance:BTC-USDT"
BAR_KEY = "bar:1m:binance:BTC-USDT"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty server."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def cache(redis_url: str, client: redis.Redis) -> RedisSink:
    """A sink on an empty server."""
    return RedisSink(SecretStr(redis_url))


def _live(*states: dict[str, object]) -> list[Upsert]:
    return [Upsert("live_markets", frame("live_markets", *states))]


def _bars(*minutes: int) -> list[Upsert]:
    return [Upsert("bars_1m", frame("bars_1m", *(bar(minute, close=100.0 + minute) for minute in minutes)))]


@pytest.mark.stack
def test_the_newest_state_of_a_market_stands_there_as_text(cache: RedisSink, client: redis.Redis) -> None:
    assert cache.publish(_live(live(0.1 + 0.2, 3)) + _bars(0))
    found = client.hgetall(MARKET_KEY)
    assert found["price"] == "0.30000000000000004"
    assert found["event_time"] == "2026-11-20T12:00:03.000000+00:00"
    assert "change_24h_pct" not in found  # null
    assert client.hgetall(BAR_KEY)["trade_count"] == "10"


@pytest.mark.stack
def test_states_and_bars_move_forward_only(cache: RedisSink, client: redis.Redis) -> None:
    for second, minutes, price, close in [(10, [5, 2], "10.0", "105.0"), (9, [4], "10.0", "105.0"),
                                          (10, [5], "10.0", "105.0"), (11, [6], "11.0", "106.0")]:  # fmt: skip
        assert cache.publish(_live(live(float(second), second)) + _bars(*minutes))
        assert client.hget(MARKET_KEY, "price") == price
        assert client.hget(BAR_KEY, "close") == close


@pytest.mark.stack
def test_a_field_that_became_null_disappears(cache: RedisSink, client: redis.Redis) -> None:
    cache.publish(_live(live(1.0, 1)))
    cache.publish(_live(live(1.0, 2, change_1h_pct=None)))
    assert client.hexists(MARKET_KEY, "change_1h_pct") == 0


@pytest.mark.stack
def test_alerts_are_kept_newest_first_once_each_and_not_for_ever(cache: RedisSink, client: redis.Redis) -> None:
    for number in range(KEPT_ALERTS + 3):
        cache.publish([], alerts=[alert(f"a{number}")])
    cache.publish([], alerts=[alert("a7")])
    kept = [msgspec.json.decode(text, type=Alert).alert_id for text in client.lrange("alerts", 0, -1)]
    assert (kept[:2], len(kept), len(set(kept))) == (["a7", f"a{KEPT_ALERTS + 2}"], KEPT_ALERTS, KEPT_ALERTS)


@pytest.mark.stack
def test_a_server_that_is_away_is_skipped_and_found_again(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, free_port())
    with server.start() as running:
        running.wait_until_ready()
        cache = RedisSink(SecretStr(server.url))
        assert cache.publish(_live(live(1.0, 1)))
    assert [cache.publish(_live(live(1.0, 2))) for _ in range(3)] == [False] * 3
    assert cache.skipped == 3
    with server.start() as running:
        running.wait_until_ready()
        assert cache.publish(_live(live(1.0, 3)))
        assert cache.skipped == 3


def test_a_server_that_hangs_holds_a_batch_for_a_moment_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        cache = RedisSink(SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        upserts, started = _live(live(1.0, 1)), time.monotonic()
        assert not cache.publish(upserts)
        assert time.monotonic() - started < 1.5 * TIMEOUT_S
        started = time.monotonic()
        assert not any(cache.publish(upserts) for _ in range(98))  # left alone
        assert time.monotonic() - started < TIMEOUT_S
        assert cache.skipped == 99


def test_without_a_server_nothing_happens() -> None:
    cache = RedisSink(None)
    assert not cache.publish(_live(live(1.0, 1)), alerts=[alert()])
    assert cache.skipped == 0
    assert cache.rebuild(SecretStr("never used")) == 0


def test_a_url_that_can_not_be_one_is_refused_without_being_shown() -> None:
    for url in ("http://:canary@host", "redis://:can/ary@host:6379/0", "redis://host:canary"):
        with pytest.raises(FatalError, match="CRYPTO_INTEL_REDIS_URL") as caught:
            RedisSink(SecretStr(url))
        assert "canary" not in str(caught.value)


@pytest.mark.stack
def test_it_is_rebuilt_from_postgresql(
    sink: PostgresSink, cache: RedisSink, client: redis.Redis, own_postgres_dsn: str
) -> None:
    upserts = _live(live(1.0, 7)) + _bars(0, 1, 2)
    raised = [alert("old"), alert("new", raised_at=alert().raised_at + 1)]
    sink.publish(0, upserts, alerts=raised)
    for each in raised:
        cache.publish(upserts, alerts=[each])
    before = {key: client.hgetall(key) for key in (MARKET_KEY, BAR_KEY)}, client.lrange("alerts", 0, -1)
    client.flushall()
    stale = live(5.0, 0, symbol="GONE-USDT", event_time=START + timedelta(days=1))
    cache.publish(_live(stale, {**stale, "symbol": "BTC-USDT"}), alerts=[alert("gone")])
    assert cache.rebuild(SecretStr(own_postgres_dsn)) == 4
    hashes = {key: client.hgetall(key) for key in client.scan_iter() if key not in ("alerts", "whole")}
    assert (hashes, client.lrange("alerts", 0, -1)) == before


@pytest.mark.stack
def test_a_server_that_was_emptied_is_noticed_by_the_next_batch(
    sink: PostgresSink, cache: RedisSink, client: redis.Redis, own_postgres_dsn: str
) -> None:
    sink.publish(0, _live(live(1.0, 7)))
    cache.rebuild(SecretStr(own_postgres_dsn))
    assert cache.publish(_live(live(2.0, 8)))
    assert cache.is_whole
    client.flushall()
    assert cache.publish(_live(live(3.0, 9)))
    assert not cache.is_whole
