"""Simulator to news feed over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from crypto_intel.contracts.events import Article
from crypto_intel_tests.streaming.producers.harness import (
    MemorySink,
    eventually,
    inject,
    producer_settings,
    replayed,
    simulated,
)
from streaming.clock import PlatformClock
from streaming.producers.http import VenueHttp
from streaming.producers.newsapi_feed import NewsApiFeed, Seen
from streaming.producers.settings import ProducerSettings


@asynccontextmanager
async def polling(settings: ProducerSettings, sink: MemorySink) -> AsyncIterator[NewsApiFeed]:
    key = settings.newsapi.key.get_secret_value() if settings.newsapi.key else ""
    http = VenueHttp(settings.newsapi.url, headers={"X-Api-Key": key} if key else None, attempts=2)
    clock = PlatformClock(settings.clock_url)
    await clock.refresh_async(http.client)
    try:
        yield NewsApiFeed(settings, sink, clock, http)
    finally:
        await http.aclose()


def articles(sink: MemorySink) -> list[Article]:
    return [e for e in sink.events if isinstance(e, Article)]


async def test_each_article_is_written_once_a_run(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(producer_settings(simulator), sink) as feed:
        await feed.poll()
        first = len(articles(sink))
        await feed.poll()
    ids = [a.article_id for a in articles(sink)]
    assert len(set(ids)) == len(ids)
    assert first >= 100
    assert len(ids) - first < 5
    assert [s.status for s in sink.statuses("poll")] == ["poll", "poll"]
    assert all(a.symbols and a.source == "Simulated Wire" for a in articles(sink))


async def test_heartbeats_carry_the_time_of_the_last_poll_that_succeeded(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(producer_settings(simulator), sink) as feed:
        await feed.poll()
        newest = max(a.published_at for a in articles(sink))
        (beat,) = sink.heartbeats()
        await inject(simulator, kind="rest_error", count=2)
        await feed.poll()
    assert newest <= beat.event_time <= beat.received_at
    assert sink.heartbeats() == [beat]
    assert sink.statuses("poll")[-1].detail == "failed: HTTP 503"


async def test_a_refused_key_is_told_in_the_venues_words(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, newsapi={"key": None})
        async with polling(settings, sink) as feed:
            await feed.poll()
    assert sink.statuses("poll")[0].detail == "failed: apiKeyMissing: Your API key is missing."
    assert sink.heartbeats() == []


async def test_live_without_a_key_says_so_at_each_poll_and_stays_up() -> None:
    sink = MemorySink()
    settings = ProducerSettings(source="live")
    settings.newsapi.key = None
    async with polling(settings, sink) as feed:
        await feed.poll()
        await feed.poll()
    assert [s.detail for s in sink.statuses("poll")] == ["failed: no key: set CRYPTO_INTEL_NEWSAPI__KEY"] * 2


async def test_a_replay_ends_with_all_its_articles_and_an_ended_heartbeat(tmp_path: Path, shared_data: Path) -> None:
    sink = MemorySink()
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw", 300) as simulator:
        world = simulator.world
        async with polling(producer_settings(simulator), sink) as feed:
            running = asyncio.create_task(feed.run())
            await eventually(sink.heartbeats)
            world.backing.begin()
            await asyncio.wait_for(running, 60)
        written = world.wire.published(0, world.now_us())
        assert {a.url for a in articles(sink)} == {a.url for a in written}
        assert world.ledger.account.articles == len(written) > 5
    assert sink.heartbeats()[-1].ended
    assert sink.events[-1].status == "ended"


@pytest.mark.parametrize(("source", "speed", "expected"), [("sim", 1, 15), ("live", 1, 900), ("replay", 20, 0.75)])
def test_polls_are_as_far_apart_as_the_source_bears(source: str, speed: float, expected: float) -> None:
    clock = PlatformClock()
    clock.anchors = type(clock.anchors)(source=source, speed=speed)  # type: ignore[arg-type]
    settings = ProducerSettings(source=source)  # type: ignore[arg-type]
    http = VenueHttp("http://unused")
    assert NewsApiFeed(settings, MemorySink(), clock, http).wait_s() == expected


def test_what_was_seen_is_remembered_up_to_a_bound() -> None:
    seen = Seen(limit=2)
    assert [seen.add(key) for key in ("a", "b", "a", "c", "b")] == [True, True, False, True, True]


async def test_a_key_is_in_no_address_and_no_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    caplog.set_level("DEBUG")
    async with simulated(tmp_path) as simulator:
        settings = producer_settings(simulator, newsapi={"key": SecretStr("s3cr3t-key")})
        async with polling(settings, sink) as feed:
            await feed.poll()
            await inject(simulator, kind="rest_error", count=2)
            await feed.poll()
    assert articles(sink)
    assert "s3cr3t-key" not in caplog.text
    assert "s3cr3t-key" not in repr(settings)
    assert not any("s3cr3t-key" in repr(event) for event in sink.events)


async def test_the_simulator_refuses_what_newsapi_refuses(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{simulator.rest_port}/v2/everything"
        missing = await client.get(url, params={"q": "bitcoin"})
        broad = await client.get(url, params={"apiKey": "x"})
        unreadable = await client.get(url, params={"apiKey": "x", "q": "bitcoin", "pageSize": "many"})
    assert [r.status_code for r in (missing, broad, unreadable)] == [401, 400, 400]
    assert [r.json()["code"] for r in (missing, broad, unreadable)] == [
        "apiKeyMissing",
        "parametersMissing",
        "parameterInvalid",
    ]
