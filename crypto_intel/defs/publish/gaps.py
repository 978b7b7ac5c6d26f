"""The ledger of gaps as it is served: the stream writes it within seconds; here come the times around each gap."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.serving import GAPS
from crypto_intel.contracts.tables import SILVER_GAPS
from crypto_intel.graph.specs import key_of, served_spec_args
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_spans


@dg.asset(
    **served_spec_args(GAPS),
    ins={"rows": dg.AssetIn(key_of(SILVER_GAPS))},
    deps=[JOBS["publish"]],
    code_version="1",
)
def gaps(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Event times only: what became of a gap is the stream's to say, which is never behind the lake's ledger."""
    return publish_spans(postgres, rows)
