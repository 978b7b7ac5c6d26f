"""The queries each in a process of its own, one on a standalone Spark cluster; a worker dies, and nothing is lost.

Not part of the usual run: six JVMs want more than two cores. `make test-cluster` runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from crypto_intel.stack.jars import Jars
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import bronze_count, judge
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.helpers.spark_cluster import spark_cluster

pytestmark = [pytest.mark.stack, pytest.mark.cluster, pytest.mark.timeout(1500)]

CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
}
PATIENCE_S = 400


@contextmanager
def running(application: Application) -> Iterator[Application]:
    """An application, stopped in order at the end, killed if that fails."""
    application.start()
    try:
        yield application
        assert application.stop() == 0
    finally:
        application.kill()


def test_a_worker_that_dies_costs_no_trade(tmp_path: Path, kafka_bootstrap: str, java_home: Path, jars: Jars) -> None:
    ground = Ground(tmp_path, kafka_bootstrap, java_home, jars)
    with spark_cluster(tmp_path / "cluster", java_home) as cluster:
        ingest = ground.application(
            "cluster", ("ingest",), SPARK_MASTER=cluster.master, CRYPTO_INTEL_SPARK__CONF=json.dumps(CONF)
        )
        bar_news = replace(ingest, queries=("bar_news",), name="bar_news", extra={})
        load = Load(ingest.topics, minutes=10, trades_per_minute=600, articles=20)
        sender, third = Sender(kafka_bootstrap), len(load.records) // 3
        sender.send(load.records[:third])
        with running(ingest):
            ingest.wait_for(lambda: bronze_count(ingest.lake) >= third, PATIENCE_S)
            flow = sender.in_background(load.records[third:], per_s=500)
            ingest.wait_for(lambda: bronze_count(ingest.lake) > third, PATIENCE_S)
            cluster.workers[0].kill()
            flow.join()
            ingest.wait_for(lambda: bronze_count(ingest.lake) >= len(load.records), PATIENCE_S)
            assert cluster.alive() == 1
    with running(bar_news):
        bar_news.wait_for(lambda: judge(ingest.lake, sender.acked, load).lost == 0, PATIENCE_S)
    verdict = judge(ingest.lake, sender.acked, load)
    assert verdict.is_right, verdict
