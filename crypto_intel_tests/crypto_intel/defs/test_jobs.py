"""How runs end: which are repeated, how long they may take, and how many go at once."""

from pathlib import Path

import pytest
import yaml

from crypto_intel.automation.jobs import JOBS, LIGHT, WEIGHT
from crypto_intel.contracts.derived import SILVER_QUARANTINE
from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, MACRO_FRED_SERIES, MACRO_RELEASE_DATES
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.tables import TABLES
from crypto_intel.definitions import build_defs
from crypto_intel.graph.specs import FRED_POOL, key_of, refetched_key
from crypto_intel.stack import dagster_home

OF_FRED = (MACRO_FRED_OBSERVATIONS, MACRO_FRED_SERIES, MACRO_RELEASE_DATES)

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("name", [job.name for job in JOBS])
def test_every_run_has_an_end_and_is_repeated_only_where_its_process_died(name: str) -> None:
    (tags,) = [job.tags or {} for job in JOBS if job.name == name]
    assert (tags["dagster/max_retries"], tags["dagster/retry_on_asset_or_op_failure"]) == ("2", "false")
    assert 60 <= int(tags["dagster/max_runtime"]) <= 3600
    assert tags[WEIGHT] in {"heavy", "light", "asking"}


def test_what_somebody_waits_for_goes_first() -> None:
    priority = {job.name: int((job.tags or {}).get("dagster/priority", "0")) for job in JOBS}
    light = {job.name for job in JOBS if (job.tags or {})[WEIGHT] == LIGHT[WEIGHT]}
    assert light == {"repaired_minutes", "news_burst", "alert_verdicts"}
    assert min(priority[name] for name in light) > priority["market_hour"] > priority["macro_years"]


def test_what_asks_a_source_or_writes_a_table_has_a_pool_of_its_own() -> None:
    repository = build_defs().get_repository_def()
    assets = repository.assets_defs_by_key.items()
    steps = {key: asset.op.pool for key, asset in assets if asset.is_executable}
    assert {steps[refetched_key(venue)] for venue in TRADE_VENUES} == {"venue_binance", "venue_kraken"}
    assert {steps[key_of(table)] for table in OF_FRED} == {FRED_POOL}
    others = [table for table in TABLES.values() if table.writer == "dagster" and table not in OF_FRED]
    pools = [steps[key_of(table)] for table in others if table is not SILVER_QUARANTINE]  # steps write it on the way
    assert len(pools) == len(set(pools)) > 10 and None not in pools


def test_one_heavy_run_goes_at_a_time_and_runs_without_a_process_are_found(tmp_path: Path, repo_root: Path) -> None:
    dagster_home.write(tmp_path, 4266)
    laptop = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    limits = laptop["concurrency"]["runs"]
    alone = [{"key": WEIGHT, "value": weight, "limit": 1} for weight in ("heavy", "asking")]
    assert limits["tag_concurrency_limits"] == alone
    assert limits["max_concurrent_runs"] > len(alone)  # a light one beside them
    assert laptop["run_monitoring"]["free_slots_after_run_end_seconds"] > 0  # 0: what a killed run held is never free
    assert laptop["run_monitoring"]["enabled"] and laptop["run_monitoring"]["max_runtime_seconds"] <= 3600
    assert laptop["run_retries"] == {"enabled": True, "max_retries": 0}  # as the jobs' tags say
    containers = yaml.safe_load((repo_root / "docker" / "dagster.yaml").read_text(encoding="utf-8"))
    both = (
        "run_coordinator",
        "concurrency",
        "run_monitoring",
        "run_retries",
        "sensors",
        "retention",
        "event_log_storage",
    )
    assert {name: containers[name] for name in both} == {name: laptop[name] for name in both}
