"""How runs end: which are repeated, how long they may take, and how many go at once."""

from pathlib import Path

import pytest
import yaml

from crypto_intel.automation.jobs import JOBS, LIGHT, WEIGHT
from crypto_intel.stack import dagster_home

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("name", [job.name for job in JOBS])
def test_every_run_has_an_end_and_is_repeated_only_where_its_process_died(name: str) -> None:
    (tags,) = [job.tags or {} for job in JOBS if job.name == name]
    assert (tags["dagster/max_retries"], tags["dagster/retry_on_asset_or_op_failure"]) == ("2", "false")
    assert 60 <= int(tags["dagster/max_runtime"]) <= 3600
    assert tags[WEIGHT] in {"heavy", "light"}


def test_what_somebody_waits_for_goes_first() -> None:
    priority = {job.name: int((job.tags or {}).get("dagster/priority", "0")) for job in JOBS}
    light = {job.name for job in JOBS if (job.tags or {})[WEIGHT] == LIGHT[WEIGHT]}
    assert light == {"repaired_minutes", "alert_verdicts"}
    assert min(priority[name] for name in light) > priority["market_hour"] > priority["macro_years"]


def test_one_heavy_run_goes_at_a_time_and_runs_without_a_process_are_found(tmp_path: Path, repo_root: Path) -> None:
    dagster_home.write(tmp_path, 4266)
    laptop = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    limits = laptop["run_coordinator"]["config"]
    assert limits["tag_concurrency_limits"] == [{"key": WEIGHT, "value": "heavy", "limit": 1}]
    assert limits["max_concurrent_runs"] > 1  # a light one beside it
    assert laptop["run_monitoring"]["enabled"] and laptop["run_monitoring"]["max_runtime_seconds"] <= 3600
    assert laptop["run_retries"] == {"enabled": True, "max_retries": 0}  # as the jobs' tags say
    containers = yaml.safe_load((repo_root / "docker" / "dagster.yaml").read_text(encoding="utf-8"))
    both = ("run_coordinator", "run_monitoring", "run_retries", "sensors", "retention", "event_log_storage")
    assert {name: containers[name] for name in both} == {name: laptop[name] for name in both}
