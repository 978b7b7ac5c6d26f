"""Macro observations and features as they are served."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WITH_THE_FEATURES
from crypto_intel.contracts.macro import MACRO_FEATURES, MACRO_FRED_OBSERVATIONS
from crypto_intel.contracts.serving import MACRO_FEATURES as SERVED_FEATURES
from crypto_intel.contracts.serving import MACRO_OBSERVATIONS
from crypto_intel.graph.specs import YEARLY, input_of, key_of, served_spec_args
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_changed, publish_rows


# Without partitions: a load reaches 1,598 of them, and each would be an event of its own in Dagster's log.
@dg.asset(
    **served_spec_args(MACRO_OBSERVATIONS),
    ins={"rows": dg.AssetIn(key_of(MACRO_FRED_OBSERVATIONS), partition_mapping=dg.AllPartitionMapping())},
    code_version="2",
)
def macro_observations(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The series whose vintages are not those of the lake, whole, in one transaction."""
    return publish_changed(postgres, MACRO_OBSERVATIONS, rows, by="series_id", changed_at="fetched_at")


@dg.asset(
    **served_spec_args(SERVED_FEATURES),
    ins={"rows": input_of(MACRO_FEATURES)},
    partitions_def=YEARLY,
    automation_condition=WITH_THE_FEATURES,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def macro_features(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """What was known on each day of the years, in one transaction."""
    return publish_rows(postgres, SERVED_FEATURES, rows)
