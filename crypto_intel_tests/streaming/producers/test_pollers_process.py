"""The polled sources as one process, with a real broker: restarts, stories, keys, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException

from crypto_intel.contracts.events import Article, FeedStatus, Heartbeat, Quote
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel_tests.streaming.producers.harness import eventually_outside, simulated
from crypto_intel_tests.streaming.producers.test_process import written
from streaming.producers.pollers import SOURCES
from streaming.producers.recent_news import recent_articles
from streaming.simulator.app import Simulator
from streaming.simulator.rss import PUBLISHERS

pytestmark = pytest.mark.stack

CANARY = "canary-0123456789-key"
MAX_RSS_MB = 250


def environment(simulator: Simulator, bootstrap: str, topics: Topics, data_dir: Path) -> dict[str, str]:
    rest = f"http://127.0.0.1:{simulator.rest_port}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_INTEL_")},
        "CRYPTO_INTEL_SOURCE": "sim",
        "CRYPTO_INTEL_DATA_DIR": str(data_dir),
        "CRYPTO_INTEL_CLOCK_URL": f"{rest}/sim/clock",
        "CRYPTO_INTEL_KAFKA__BOOTSTRAP": bootstrap,
        "CRYPTO_INTEL_NEWSAPI__URL": rest,
        "CRYPTO_INTEL_NEWSAPI__KEY": CANARY,
        "CRYPTO_INTEL_RSS__FEEDS": ",".join(f"{p.name}={rest}/rss/{p.key}.xml" for p in PUBLISHERS),
        "CRYPTO_INTEL_COINGECKO__URL": rest,
        "CRYPTO_INTEL_COINGECKO__KEY": CANARY,
        "CRYPTO_INTEL_ALPHAVANTAGE__URL": rest,
        "CRYPTO_INTEL_ALPHAVANTAGE__KEY": CANARY,
        **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in topics.model_dump().items()},
    }


async def poll_until_told(variables: dict[str, str], bootstrap: str, topics: Topics, polls: int) -> tuple[str, float]:
    """Run all sources until each has said so many times how it went; its output, and its memory in MB."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "streaming.producers", *SOURCES],
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await eventually_outside(lambda: process.returncode is not None or _told(bootstrap, topics, polls), 60)
        assert process.returncode is None
        used_mb = psutil.Process(process.pid).memory_info().rss / 1e6
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(), used_mb


def _told(bootstrap: str, topics: Topics, polls: int) -> bool:
    try:
        statuses = [e for e in written(bootstrap, topics.feed_status) if isinstance(e, FeedStatus)]
    except KafkaException:  # the topic is new and its partitions have no leader yet
        return False
    return all(sum(status.venue == name for status in statuses) >= polls for name in SOURCES)


async def test_one_process_polls_all_sources_and_a_restart_knows_the_stories(
    tmp_path: Path, kafka_bootstrap: str, own_topics: Topics
) -> None:
    async with simulated(tmp_path, trades_per_second=25) as simulator:
        variables = environment(simulator, kafka_bootstrap, own_topics, tmp_path / "data")
        output, used_mb = await poll_until_told(variables, kafka_bootstrap, own_topics, 1)
        before = articles(kafka_bootstrap, own_topics)
        recovered = recent_articles(Kafka(bootstrap=kafka_bootstrap), own_topics.news)
        again, _ = await poll_until_told(variables, kafka_bootstrap, own_topics, 2)
    clusters: dict[str, set[str | None]] = {}
    for article in articles(kafka_bootstrap, own_topics):
        clusters.setdefault(article.article_id, set()).add(article.cluster_id)
    assert len(recovered) == len(before) > 700
    assert all(len(found) == 1 for found in clusters.values())  # written again under the same story
    assert sum(article.cluster_id != article.article_id for article in before) > 150
    quotes = [e for e in written(kafka_bootstrap, own_topics.quotes) if isinstance(e, Quote)]
    statuses = [e for e in written(kafka_bootstrap, own_topics.feed_status) if isinstance(e, FeedStatus)]
    assert [status.detail for status in statuses if not status.detail.startswith("ok: ")] == []
    assert {quote.venue for quote in quotes} == {"coingecko", "alphavantage"}
    beats = [e for t in (own_topics.news, own_topics.quotes) for e in written(kafka_bootstrap, t)]
    assert {beat.venue for beat in beats if isinstance(beat, Heartbeat)} == set(SOURCES)
    assert not written(kafka_bootstrap, own_topics.dead_letters)
    assert used_mb < MAX_RSS_MB
    assert CANARY not in output + again


def articles(bootstrap: str, topics: Topics) -> list[Article]:
    return [event for event in written(bootstrap, topics.news) if isinstance(event, Article)]


@pytest.mark.parametrize("names", [[], ["nope"], ["binance", "rss"], ["rss", "nope"]])
async def test_a_wrong_name_says_what_is_allowed(names: list[str]) -> None:
    command = [sys.executable, "-m", "streaming.producers", *names]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"{newsapi,rss,coingecko,alphavantage} ..." in error
