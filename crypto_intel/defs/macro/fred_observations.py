"""macro.fred_observations by series and year: one run covers a range of both with one request a series."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS
from crypto_intel.core.errors import TransientError
from crypto_intel.core.macro import join_clipped, parse_observations
from crypto_intel.core.vintages import merge_vintages
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import FRED_POOL, SERIES_BY_YEAR, keys_of_dimension, source_key, table_args
from crypto_intel.resources.delta_io import partition_filter
from crypto_intel.resources.fred import Fred, FredClient
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.quarantine import Quarantine

MAX_SHOWN = 100
"""Partitions of a run up to which each one's event carries a preview and the lineage of columns."""


def _rows(client: FredClient, series: list[str], start: date, end: date) -> Iterator[pl.DataFrame]:
    fetched_at = datetime.now(UTC)
    for series_id in series:
        yield join_clipped(parse_observations(series_id, client.observations(series_id, start, end), fetched_at))


@dg.asset(
    **table_args(MACRO_FRED_OBSERVATIONS, {"rest", "polars", "deltalake"}, pool=FRED_POOL),
    deps=[source_key("fred")],
    partitions_def=SERIES_BY_YEAR,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="2",
)
def fred_observations(
    context: dg.AssetExecutionContext, fred: Fred, lake: Lake, quarantine: Quarantine
) -> dg.MaterializeResult[pl.DataFrame]:
    """Every vintage of the observations of the run's series and years; known ones stay as they are."""
    keys = context.partition_keys
    series, years = (keys_of_dimension(keys, name) for name in ("series", "year"))
    try:
        with fred.client() as client:
            fetched = pl.concat(_rows(client, series, date(int(years[0]), 1, 1), date(int(years[-1]), 12, 31)))
            requests = client.requests
    except TransientError as error:
        # The client has tried for a minute or two already; a longer wait would hold up the hours behind this run.
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=30) from error
    of_run = partition_filter(MACRO_FRED_OBSERVATIONS, keys)
    merged = merge_vintages(lake.scan(MACRO_FRED_OBSERVATIONS).filter(of_run).collect(), fetched.filter(of_run))
    quarantine.keep(MACRO_FRED_OBSERVATIONS, f"{keys[0]}..{keys[-1]}", merged.refused, "cleaning")
    facts = {
        "requests": requests,
        "series": len(series),
        "vintages_added": merged.added,
        "vintages_closed": merged.closed,
        "vintages_refused": merged.refused.height,
        "missing": merged.rows["value"].null_count(),
    }
    # Dagster writes an event a partition, each with all of this: a preview in 1,598 of them is most of a backfill.
    shown = describe_rows(merged.rows, MACRO_FRED_OBSERVATIONS) if len(keys) <= MAX_SHOWN else {}
    return dg.MaterializeResult(value=merged.rows, metadata={**shown, **facts})
