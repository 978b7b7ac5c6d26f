"""Macro observations as they are served."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.serving import MACRO_OBSERVATIONS
from crypto_intel.contracts.tables import MACRO_FRED_OBSERVATIONS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_rows
from crypto_intel.specs import SERIES_BY_YEAR, key_of, served_spec_args


@dg.asset(
    **served_spec_args(MACRO_OBSERVATIONS),
    ins={"rows": dg.AssetIn(key_of(MACRO_FRED_OBSERVATIONS))},
    partitions_def=SERIES_BY_YEAR,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def macro_observations(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The observations of the run's series and years, in one transaction."""
    return publish_rows(postgres, MACRO_OBSERVATIONS, rows)
