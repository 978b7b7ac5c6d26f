"""The API's own clock in a load's report: quantiles within buckets, differences of two looks, and what a tree used."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from crypto_intel_tests.benchmarks.api_seen import Clock, used_by, watch

INF = float("inf")


def test_a_quantile_lies_within_its_bucket_in_proportion() -> None:
    clock = Clock({0.01: 50, 0.05: 99, INF: 100})
    assert clock.quantile_ms(0.5) == pytest.approx(10.0)
    assert clock.quantile_ms(0.745) == pytest.approx(30.0)
    assert clock.quantile_ms(0.999) == 50.0  # no bound above it: the last one is all that is known
    assert clock.within_pct(0.05) == 99.0


def test_two_looks_give_what_came_between_and_routes_add_up() -> None:
    before, after = Clock({0.05: 10, INF: 12}), Clock({0.05: 30, INF: 40})
    assert (after - before).buckets == {0.05: 20, INF: 28}
    assert (after - Clock()).requests == 40
    assert (before + after).buckets == {0.05: 40, INF: 52}
    assert Clock().quantile_ms(0.99) == 0.0


def test_what_a_process_used_is_known_when_it_has_ended() -> None:
    busy = "import time\nuntil = time.process_time() + 0.6\nwhile time.process_time() < until: pass"
    used = watch(psutil.Popen([sys.executable, "-c", busy], stdout=subprocess.DEVNULL), every_s=0.01)
    assert 0.5 < used.cpu_s < 1.5
    assert used_by(psutil.Process(os.getpid())).waited_s >= 0.0
