"""Fixtures of the code location's tests: a lake of its own in a temporary folder, and the graph bound to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crypto_intel.definitions import build_defs
from crypto_intel.resources.delta_io import DeltaIOManager
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.quarantine import Quarantine


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake; settings of the machine that runs the tests do not reach it."""
    for name in (
        "CRYPTO_INTEL_POSTGRES_DSN",
        "SUPABASE_DB_URL",
        "CRYPTO_INTEL_FRED__API_KEY",
        "CRYPTO_INTEL_LAKE",
        "CRYPTO_INTEL_REDIS_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CRYPTO_INTEL_BINANCE__REST_URL", "http://127.0.0.1:9")  # nobody: tests ask no real venue
    return Lake(root=str(tmp_path / "lake"))


@pytest.fixture
def lake_path(lake: Lake) -> Path:
    """Folder of the lake."""
    return Path(lake.root)


@pytest.fixture
def lake_resources(lake: Lake) -> dict[str, Any]:
    """Overrides that bind the graph to the lake."""
    return {"lake": lake, "delta_io": DeltaIOManager(lake=lake), "quarantine": Quarantine(lake=lake)}


@pytest.fixture
def graph(lake_resources: dict[str, Any]) -> dg.Definitions:
    """The whole graph on the lake."""
    return build_defs(resource_overrides=lake_resources)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A real Dagster instance with storage on disk; sensors refuse an in-memory one."""
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found
