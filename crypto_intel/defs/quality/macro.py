"""Macro observations against what FRED itself says of its series."""

import dagster as dg

from crypto_intel.checks.hours import outcome_of
from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, MACRO_FRED_SERIES
from crypto_intel.core.judge_macro import against_metadata
from crypto_intel.graph.specs import key_of
from crypto_intel.resources.lake import Lake


@dg.asset_check(
    asset=key_of(MACRO_FRED_SERIES),
    name="observations_agree",
    additional_deps=[key_of(MACRO_FRED_OBSERVATIONS)],
    description="Of each series the last period is loaded, and no period between is absent. If not: materialize the "
    "series' years of macro/fred_observations again; a period that FRED never published has a row without a value.",
)
def observations_agree(lake: Lake) -> dg.AssetCheckResult:
    """Warns: a release may have come out between the two requests."""
    series = lake.scan(MACRO_FRED_SERIES).collect()
    columns = ["series_id", "observation_date"]
    outcome = outcome_of(
        against_metadata(lake.scan(MACRO_FRED_OBSERVATIONS).select(columns).unique().collect(), series), series.height
    )
    return dg.AssetCheckResult(passed=outcome.passed, severity=dg.AssetCheckSeverity.WARN, metadata=outcome.metadata)
