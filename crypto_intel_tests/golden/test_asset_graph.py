"""The asset graph is the one that was last looked at: `make golden` writes it anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import dagster as dg

from crypto_intel.definitions import build_defs


def describe(graph: dg.Definitions) -> dict[str, Any]:
    """What people rely on in the graph: assets, checks, jobs and sensors, in an order that does not change."""
    repository = graph.get_repository_def()
    return {
        "assets": dict(
            sorted(
                (spec.key.to_user_string(), {**_asset(spec), "pool": _pool(repository, spec.key)})
                for spec in graph.resolve_all_asset_specs()
            )
        ),
        "checks": _checks(repository.asset_graph),
        "jobs": {name: _job(repository, name) for name in sorted(repository.job_names) if not name.startswith("__")},
        "sensors": {
            sensor.name: {
                "every_s": sensor.minimum_interval_seconds,
                "status": sensor.default_status.value,
                **_target(repository, sensor),
            }
            for sensor in sorted(repository.sensor_defs, key=lambda one: one.name)
        },
    }


def _target(repository: dg.RepositoryDefinition, sensor: dg.SensorDefinition) -> dict[str, list[str]]:
    if isinstance(sensor, dg.AutomationConditionSensorDefinition):
        keys = sensor.asset_selection.resolve(repository.asset_graph)
        return {"conditions_of": sorted(key.to_user_string() for key in keys)}
    return {"jobs": sorted(target.job_name for target in sensor.targets)}


def _asset(spec: dg.AssetSpec) -> dict[str, Any]:
    return {
        "group": spec.group_name,
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "kinds": sorted(spec.kinds),
        "mode": spec.tags["mode"],
        "owners": list(spec.owners),
        "partitions": _partitions(spec.partitions_def),
        "automation": spec.automation_condition.get_label() if spec.automation_condition else None,
        "code_version": spec.code_version,
        "columns": [column.name for column in _columns(spec)],
    }


def _pool(repository: dg.RepositoryDefinition, key: dg.AssetKey) -> str | None:
    found = repository.assets_defs_by_key[key]
    return found.op.pool if found.is_executable else None


def _partitions(partitions: dg.PartitionsDefinition[Any] | None) -> str | None:
    if not isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return None
    return f"{partitions.cron_schedule} from {partitions.start:%Y-%m-%dT%H:%M} as {partitions.fmt}"


def _columns(spec: dg.AssetSpec) -> list[dg.TableColumn]:
    schema = spec.metadata.get("dagster/column_schema")
    return list(schema.columns) if isinstance(schema, dg.TableSchema) else []


def _checks(graph: Any) -> dict[str, Any]:
    found = {}
    for key in graph.asset_check_keys:
        node = graph.get(key)
        found[f"{key.asset_key.to_user_string()}:{key.name}"] = {
            "blocking": node.blocking,
            "partitioned": node.partitions_def is not None,
        }
    return dict(sorted(found.items()))


def _job(repository: dg.RepositoryDefinition, name: str) -> dict[str, list[str]]:
    layer = repository.get_job(name).asset_layer
    keys = {key for node in layer.data for key in layer.get_selected_entity_keys_for_node(node.node_handle)}
    return {
        "assets": sorted(key.to_user_string() for key in keys if isinstance(key, dg.AssetKey)),
        "checks": sorted(key.to_user_string() for key in keys if isinstance(key, dg.AssetCheckKey)),
    }


def test_the_asset_graph_is_the_golden_one(golden: Callable[[str, str], None]) -> None:
    golden("asset_graph.json", json.dumps(describe(build_defs()), indent=2) + "\n")
