"""The streaming queries on a standalone Spark cluster, each in a process of its own; a worker dies, nothing is lost.

Not part of the usual run: five JVMs want more than two cores. `make test-cluster` runs it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crypto_intel.stack.jars import Jars
from crypto_intel_tests.chaos.application import Sender
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import bronze_count, judge
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.helpers.spark_cluster import spark_cluster

pytestmark = [pytest.mark.stack, pytest.mark.cluster, pytest.mark.timeout(600)]

CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
}


def test_a_worker_that_dies_costs_no_trade(tmp_path: Path, kafka_bootstrap: str, java_home: Path, jars: Jars) -> None:
    ground = Ground(tmp_path, kafka_bootstrap, java_home, jars)
    with spark_cluster(tmp_path / "cluster", java_home) as cluster:
        application = ground.application(
            "cluster", ("ingest",), SPARK_MASTER=cluster.master, CRYPTO_INTEL_SPARK__CONF=json.dumps(CONF)
        )
        load, sender = Load(application.topics, minutes=10, trades_per_minute=600), Sender(kafka_bootstrap)
        third = len(load.records) // 3
        sender.send(load.records[:third])
        application.start()
        try:
            application.wait_for(lambda: bronze_count(application.lake) >= third, 180)
            flow = sender.in_background(load.records[third:], per_s=500)
            application.wait_for(lambda: bronze_count(application.lake) > third, 60)
            cluster.workers[0].kill()
            flow.join()
            application.wait_for(lambda: bronze_count(application.lake) >= len(load.records), 180)
            assert cluster.alive() == 1
            assert application.stop() == 0
        finally:
            application.kill()
    verdict = judge(application.lake, sender.acked, load, with_pairs=False)
    assert verdict.is_right, verdict
