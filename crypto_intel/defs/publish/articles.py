"""Articles as they are served: the stream writes them within seconds; here comes the mood, when their hour is made."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import SILVER_NEWS
from crypto_intel.contracts.serving import ARTICLES
from crypto_intel.graph.specs import HOURLY, input_of, served_spec_args
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_moods


@dg.asset(
    **served_spec_args(ARTICLES),
    ins={"rows": input_of(SILVER_NEWS)},
    deps=[JOBS["publish"]],
    partitions_def=HOURLY,
    code_version="1",
)
def articles(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The mood alone: everything else of an article is the stream's to say."""
    return publish_moods(postgres, rows)
