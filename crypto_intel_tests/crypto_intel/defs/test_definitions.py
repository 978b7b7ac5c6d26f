"""The graph loads anywhere, quickly, and is laid out as its folders are."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from crypto_intel.contracts.tables import TABLES
from crypto_intel.definitions import build_defs
from crypto_intel.graph.specs import HOURLY, YEARLY, key_of

pytestmark = pytest.mark.stack

LAYERS = {"sources", "bronze", "silver", "gold", "macro", "publish", "alerts"}


@pytest.fixture(scope="module")
def specs() -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in build_defs().resolve_all_asset_specs()}


def test_group_and_first_part_of_the_key_are_the_layer(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        assert len(key.path) == 2
        assert spec.group_name == key.path[0]
        assert spec.group_name in LAYERS


def test_every_table_of_the_lake_is_an_asset_with_its_columns(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for table in TABLES.values():
        schema = specs[key_of(table)].metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == table.column_names
        assert all(column.description for column in schema.columns)


def test_every_asset_says_what_it_is(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for spec in specs.values():
        assert spec.description and spec.kinds and spec.owners
        assert {"layer", "mode"} <= set(spec.tags)


def test_nothing_is_downstream_of_an_asset_that_does_not_exist(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert {dep.asset_key for spec in specs.values() for dep in spec.deps} <= set(specs)


def test_the_recorded_hours_and_every_year_since_1980_are_partitions() -> None:
    assert HOURLY.has_partition_key("2024-08-08-23") and HOURLY.has_partition_key("2024-08-09-00")
    assert YEARLY.get_first_partition_key() == "1980"
    assert YEARLY.has_partition_key("2024")


def test_the_day_boundary_falls_between_two_partitions() -> None:
    first, second = (HOURLY.time_window_for_partition_key(key) for key in ("2024-08-08-23", "2024-08-09-00"))
    assert first.end == second.start


def test_loading_needs_no_setting_no_network_and_no_data(tmp_path: Path, repo_root: Path) -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('network at import')\n"
        "socket.socket.connect = refuse\n"
        "from crypto_intel.definitions import defs\n"
        "defs().get_repository_def()\n"
        "heavy = {'pyspark', 'pandera'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repo_root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_workspace_names_the_module_that_is_loaded(repo_root: Path) -> None:
    workspace = yaml.safe_load((repo_root / "workspace.yaml").read_text())
    location = {"module_name": "crypto_intel.definitions", "location_name": "crypto_intel"}
    assert workspace == {"load_from": [{"python_module": location}]}
