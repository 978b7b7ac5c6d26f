"""The backlog's whole path at a small size, on real servers: the product's output is the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_intel.stack.jars import Jars
from crypto_intel_tests.benchmarks.backlog import FLOOR, PRODUCT, Backlog
from crypto_intel_tests.benchmarks.servers import Servers

TRADES = 50_000


@pytest.mark.stack
def test_the_product_and_the_floor_make_the_truth_of_a_small_backlog(
    *, tmp_path: Path, kafka_bootstrap: str, postgres_dsn: str, redis_url: str, java_home: Path, jars: Jars
) -> None:
    running = Servers(tmp_path, kafka_bootstrap, postgres_dsn, redis_url, java_home, jars)
    rows = Backlog(running, lambda _: None).measure([TRADES])
    assert {row["name"]: row["wrong"] for row in rows} == {FLOOR: "", PRODUCT: ""}
    assert all(row["work_s"] > 0 and row["cpu_s"] > 0 and row["peak_mib"] > 0 for row in rows)
