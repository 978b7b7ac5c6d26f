"""The backlog's whole path at a small size, on real servers: the product's output is the truth."""

from __future__ import annotations

from typing import Any

import pytest

from crypto_intel_tests.benchmarks.backlog import FLOOR, PRODUCT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_the_product_and_the_floor_make_the_truth_of_a_small_backlog(backlog: list[dict[str, Any]]) -> None:
    assert {row["name"]: row["wrong"] for row in backlog} == {FLOOR: "", PRODUCT: ""}
    assert all(row["work_s"] > 0 and row["cpu_s"] > 0 and row["peak_mib"] > 0 for row in backlog)
