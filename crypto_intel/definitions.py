"""The code location: the asset graph under defs/, with resources, jobs and sensors bound once.

Loading touches neither network nor disk beyond the code, and reads no setting: a missing database or key shows when
it is used, and by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from crypto_intel import defs as defs_folder
from crypto_intel.automation.bursts import news_burst_sensor
from crypto_intel.automation.conditions import CONDITION_SENSORS
from crypto_intel.automation.jobs import JOBS
from crypto_intel.automation.macro import MACRO_SENSORS
from crypto_intel.automation.rebuilding import SENSORS as REBUILDING_SENSORS
from crypto_intel.automation.refetching import REFETCHING_SENSORS
from crypto_intel.automation.streams import SENSORS
from crypto_intel.automation.telling import incidents_sensor, notices_sensor
from crypto_intel.resources.channels import Channels
from crypto_intel.resources.delta_io import DeltaIOManager
from crypto_intel.resources.fred import Fred
from crypto_intel.resources.kafka import KafkaOffsets
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.quarantine import Quarantine
from crypto_intel.resources.spark import BatchSpark
from crypto_intel.resources.venues import Venues


def default_resources() -> dict[str, Any]:
    """Every resource by its key, configured by the environment when it is used."""
    lake = Lake()
    return {
        "lake": lake,
        "delta_io": DeltaIOManager(lake=lake),
        "quarantine": Quarantine(lake=lake),
        "postgres": Postgres(),
        "kafka": KafkaOffsets(),
        "fred": Fred(),
        "spark": BatchSpark(),
        "channels": Channels(),
        "venues": Venues(),
    }


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole graph; tests give resources of their own.

    Args:
        resource_overrides: resources by key that replace the default ones.
    """
    bound = dg.Definitions(
        resources={**default_resources(), **(resource_overrides or {})},
        jobs=JOBS,
        sensors=[
            *SENSORS,
            *MACRO_SENSORS,
            *REBUILDING_SENSORS,
            *REFETCHING_SENSORS,
            *CONDITION_SENSORS,
            news_burst_sensor,
            incidents_sensor,
            notices_sensor,
        ],
        # One process a run: a process a step would load Polars, Dagster and Spark's client once for each asset.
        executor=dg.in_process_executor,
    )
    # Not load_from_defs_folder: it wants pyproject.toml above it, and where a wheel is installed there is none.
    tree = dg.ComponentTree.from_module(defs_module=defs_folder, project_root=Path(__file__).parents[1])
    return dg.Definitions.merge(tree.build_defs(), bound)


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_defs()
