"""The short form of the streaming faults: every edge of every query, spoilt and late input, hurt checkpoints, rebuilds.

One seeded load, real servers; the oracle is the ledger of acknowledged records and a recomputation in Polars.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from pydantic import SecretStr
from pyspark.sql import SparkSession

from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.stack.kafka import admin
from crypto_intel_tests.chaos import inputs
from crypto_intel_tests.chaos.application import Sender
from crypto_intel_tests.chaos.crashes import DAMAGES, forget, newest
from crypto_intel_tests.chaos.edges import EDGES
from crypto_intel_tests.chaos.judgement import bronze_count
from crypto_intel_tests.chaos.load import PARTITIONS, Load
from crypto_intel_tests.chaos.rejects import judge_late, judge_rejected
from crypto_intel_tests.chaos.session import Queries, pieces, sent
from crypto_intel_tests.chaos.whole import is_whole, verdict_of
from streaming.settings import StreamingSettings, Triggers

pytestmark = pytest.mark.stack

NOWHERE = SecretStr("postgresql://nobody@127.0.0.1:1/none")
"""The lake's queries do not need PostgreSQL, and must not mind."""

Make = Callable[..., Queries]


@pytest.fixture
def make(
    spark: SparkSession, kafka_bootstrap: str, own_topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Makes the queries on a lake and topics of their own."""

    def made(*names: str, **settings: Any) -> Queries:
        own = {"postgres_dsn": NOWHERE, "max_records_per_batch": 700, **settings}
        chosen = StreamingSettings(
            data_dir=tmp_path,
            kafka=Kafka(bootstrap=kafka_bootstrap),
            topics=own_topics,
            triggers=Triggers(ingest_s=0.2, bar_news_s=0.2, live_s=0.2, publish_s=0.2),
            **own,
        )
        return Queries(spark, chosen, monkeypatch, names or ("ingest",))

    return made


def load_of(queries: Queries, **more: Any) -> Load:
    """A quarter of an hour of three markets and some news."""
    return Load(queries.topics, minutes=15, trades_per_minute=200, articles=30, **more)


def test_a_batch_cut_at_any_edge_of_ingest_and_of_the_join_loses_and_doubles_nothing(make: Make) -> None:
    queries = make("ingest", "bar_news")
    load, sender = inputs.sprinkled(load_of(queries)), Sender(queries.bootstrap)
    first, second, third = pieces(load, 3)
    sender.send([*first, *second])
    for place in EDGES["ingest"]:
        if not place.startswith("partial"):  # a half-written file takes a kill: crashes.py
            queries.cut("ingest", place)
    sender.send(third)
    queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))
    for place in EDGES["bar_news"]:
        queries.cut("bar_news", place)
    queries.run("bar_news", lambda: is_whole(queries, sender, load))
    verdict = verdict_of(queries, sender, load)
    assert verdict.is_right, verdict


def test_a_batch_cut_at_any_edge_of_publishing_serves_each_row_and_alert_once(
    make: Make, own_postgres_dsn: str, redis_url: str
) -> None:
    own = {"postgres_dsn": SecretStr(own_postgres_dsn), "redis_url": SecretStr(redis_url)}
    queries = make("ingest", "publish", "live", **own)
    load = load_of(queries)
    sender = sent(queries, load)
    for place in EDGES["live"]:
        queries.cut("live", place)
    queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))
    for place in EDGES["publish"]:
        queries.cut("publish", place)
    only_live = Queries(queries.session, queries.settings, queries.patch, ("live",))
    queries.run("live", lambda: is_whole(only_live, sender, load))
    queries.run("publish", lambda: is_whole(queries, sender, load))
    verdict = verdict_of(queries, sender, load)
    assert verdict.is_right, verdict


def test_spoilt_late_and_future_records_are_counted_exactly_and_change_no_bar(make: Make) -> None:
    queries = make(max_records_per_batch=5_000)
    load = inputs.drifted(load_of(queries))
    bad = list(inputs.spoilt(load, 1_000))
    ahead = inputs.future(load, 50)
    reasons = {record.value: reason for record, reason in bad} | {record.value: "future_time" for record in ahead}
    mixed = [record for good, (record, _) in zip(load.records, bad, strict=False) for record in (good, record)]
    sender = Sender(queries.bootstrap)
    sender.send([*mixed[:1000], *ahead, *mixed[1000:], *load.records[len(bad) :]])
    queries.run("ingest", lambda: is_whole(queries, sender, load))
    sender.send([*inputs.late(load, 40), *load.beats(load.end_us + 60_000_000)])
    queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))
    verdict = verdict_of(queries, sender, load)
    judge_rejected(queries.lake, sender.acked, reasons, verdict)
    judge_late(queries.lake, 40, verdict)
    assert verdict.is_right, verdict


def test_a_hurt_checkpoint_is_refused_and_a_lost_commit_repeats_its_batch_without_effect(make: Make) -> None:
    queries = make(max_records_per_batch=5_000)
    load, sender = load_of(queries), Sender(queries.bootstrap)
    first, second, third = pieces(load, 3)
    sender.send(first)
    queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))
    checkpoint, kept = queries.checkpoint("ingest"), queries.lake.parent / "kept"
    sender.send(second)
    queries.cut("ingest", "after:bronze.trades")
    sender.send(third)
    before = bronze_count(queries.lake)
    for name, (damage, words) in DAMAGES.items():
        shutil.copytree(checkpoint, kept)
        damage(checkpoint)
        said = queries.fail("ingest")
        assert words in said, f"{name}: {said[-2000:]}"
        assert bronze_count(queries.lake) == before, name
        shutil.rmtree(checkpoint)
        kept.rename(checkpoint)
    forget(newest(checkpoint / "commits"))
    queries.run("ingest", lambda: is_whole(queries, sender, load))
    verdict = verdict_of(queries, sender, load)
    assert verdict.is_right, verdict


def test_a_new_checkpoint_on_a_kafka_that_forgot_takes_open_windows_from_bronze(
    make: Make, kafka_bootstrap: str
) -> None:
    queries = make("ingest")
    load, sender = load_of(queries), Sender(queries.bootstrap)
    first, second, third = pieces(load, 3)
    sender.send(first)
    queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))
    known = Counter(partition for topic, partition, _ in sender.acked if topic == queries.topics.trades)
    sender.send(second)
    queries.cut("ingest", "after:bronze.trades")
    ends = [TopicPartition(queries.topics.trades, number, known[number]) for number in range(PARTITIONS)]
    client = admin(kafka_bootstrap)
    for done in client.delete_records(ends).values():
        done.result(30)
    shutil.rmtree(queries.settings.checkpoint_root)
    sender.send(third)
    for place in ("after:bronze.trades", "after:silver.bars_1m"):
        queries.cut("ingest", place)
    queries.run("ingest", lambda: is_whole(queries, sender, load))
    verdict = verdict_of(queries, sender, load)
    assert verdict.is_right, verdict
