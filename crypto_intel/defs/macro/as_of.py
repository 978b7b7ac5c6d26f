"""macro.fred_as_of and macro.macro_features by year: what a reader of each day could know."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WHEN_OBSERVATIONS_REACH_THE_YEAR, WITH_WHAT_WAS_KNOWN
from crypto_intel.contracts.macro import MACRO_FEATURES, MACRO_FRED_AS_OF, MACRO_FRED_OBSERVATIONS
from crypto_intel.core.as_of import YEARS_BACK
from crypto_intel.core.as_of import fred_as_of as known_on_days
from crypto_intel.core.as_of import macro_features as features_of
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import REACHED_YEARS, YEARLY, input_of, key_of, table_args, told_spec
from crypto_intel.resources.lake import Lake

_KINDS = {"polars", "deltalake"}

# A year reads the years before it too; Dagster has no mapping from a dimension with an offset.
_observations = dg.AssetDep(key_of(MACRO_FRED_OBSERVATIONS), partition_mapping=dg.AllPartitionMapping())

reached_years = told_spec(
    REACHED_YEARS,
    "Years in which something else may be known since observations were loaded; told without a run.",
    [_observations],
    YEARLY,
)


def _days(context: dg.AssetExecutionContext, lake: Lake) -> tuple[date, date]:
    # First and last day of the run's years, none of them in the platform's future.
    years = sorted(context.partition_keys)
    today = (lake.platform_time() or datetime.now(UTC)).date()
    return date(int(years[0]), 1, 1), min(date(int(years[-1]), 12, 31), today)


@dg.asset(
    **table_args(MACRO_FRED_AS_OF, _KINDS),
    deps=[_observations, REACHED_YEARS],
    partitions_def=YEARLY,
    automation_condition=WHEN_OBSERVATIONS_REACH_THE_YEAR,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def fred_as_of(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """Of each day and series the newest period known, in the vintage of that day."""
    first, last = _days(context, lake)
    years = [str(year) for year in range(first.year - YEARS_BACK, last.year + 1)]
    rows = lake.scan(MACRO_FRED_OBSERVATIONS).filter(pl.col("observation_year").is_in(years)).collect()
    frame = known_on_days(rows, first, max(first, last))
    facts: dict[str, Any] = {"series": frame["series_id"].n_unique(), "days": frame["as_of_date"].n_unique()}
    return dg.MaterializeResult(value=frame, metadata={**describe_rows(frame, MACRO_FRED_AS_OF), **facts})


@dg.asset(
    **table_args(MACRO_FEATURES, _KINDS),
    ins={"as_of": input_of(MACRO_FRED_AS_OF)},
    partitions_def=YEARLY,
    automation_condition=WITH_WHAT_WAS_KNOWN,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def macro_features(
    context: dg.AssetExecutionContext, as_of: pl.LazyFrame, lake: Lake
) -> dg.MaterializeResult[pl.DataFrame]:
    """A row a day, ready to join with markets."""
    first, last = _days(context, lake)
    frame = features_of(as_of.collect(), first, max(first, last))
    unknown = {name: frame[name].null_count() for name in frame.columns if frame[name].null_count()}
    facts: dict[str, Any] = {"days": frame.height, "days_unknown": dg.MetadataValue.json(unknown)}
    return dg.MaterializeResult(value=frame, metadata={**describe_rows(frame, MACRO_FEATURES), **facts})
