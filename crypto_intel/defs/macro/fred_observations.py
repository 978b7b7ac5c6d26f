"""macro.fred_observations by year: one run covers a range of years with one request a series."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from crypto_intel.contracts.tables import MACRO_FRED_OBSERVATIONS, MACRO_SERIES
from crypto_intel.core.errors import TransientError
from crypto_intel.core.macro import join_clipped, parse_observations
from crypto_intel.reports import describe_rows
from crypto_intel.resources.fred import Fred, FredClient
from crypto_intel.specs import YEARLY, source_key, table_args


def _rows(client: FredClient, start: date, end: date) -> Iterator[pl.DataFrame]:
    fetched_at = datetime.now(UTC)
    for series_id in sorted(MACRO_SERIES.values()):
        yield join_clipped(parse_observations(series_id, client.observations(series_id, start, end), fetched_at))


@dg.asset(
    **table_args(MACRO_FRED_OBSERVATIONS, {"rest", "polars", "deltalake"}),
    deps=[source_key("fred")],
    partitions_def=YEARLY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def fred_observations(context: dg.AssetExecutionContext, fred: Fred) -> dg.MaterializeResult[pl.DataFrame]:
    """Every vintage of the observations of the run's years."""
    years = sorted(int(key) for key in context.partition_keys)
    try:
        with fred.client() as client:
            rows = pl.concat(_rows(client, date(years[0], 1, 1), date(years[-1], 12, 31)))
            requests = client.requests
    except TransientError as error:
        # The client has tried for a minute or two already; a longer wait would hold up the hours behind this run.
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=30) from error
    wanted = rows.filter(pl.col("observation_year").is_in([str(year) for year in years]))
    facts = {"requests": requests, "series": wanted["series_id"].n_unique(), "missing": wanted["value"].null_count()}
    return dg.MaterializeResult(value=wanted, metadata={**describe_rows(wanted, MACRO_FRED_OBSERVATIONS), **facts})
