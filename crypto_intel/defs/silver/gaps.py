"""silver.gaps: the ledger of missing trade ids, written anew with each hour. The table is small: a row a gap."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.events import GAP_STATUSES
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, GAP_STATES, SILVER_GAPS
from crypto_intel.core.gaps import fold, with_spans
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import key_of, table_args
from crypto_intel.resources.lake import Lake


@dg.asset(
    **table_args(SILVER_GAPS, {"polars", "deltalake"}),
    deps=[key_of(BRONZE_FEED_STATUS), key_of(BRONZE_TRADES)],
    code_version="1",
)
def gaps(lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """All that feeds said of missing ids, folded; with the event times of the trades around each gap."""
    told = lake.scan(BRONZE_FEED_STATUS).filter(pl.col("status").is_in(GAP_STATUSES)).collect()
    ledger = with_spans(fold(told), lake.scan(SILVER_GAPS).collect(), lake.scan(BRONZE_TRADES))
    counts = {state: ledger.filter(pl.col("state") == state).height for state in GAP_STATES}
    ids = {f"{name}_ids": int(ledger[f"{name}_count"].sum()) for name in ("repaired", "unrecoverable")}
    return dg.MaterializeResult(value=ledger, metadata={**describe_rows(ledger, SILVER_GAPS), **counts, **ids})
