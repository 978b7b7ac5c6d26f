"""Quotes of closed hours as they are served, in parts of a day that retention drops whole."""

from typing import Any

import dagster as dg
import polars as pl
import psycopg

from crypto_intel.contracts.derived import SILVER_QUOTES
from crypto_intel.contracts.serving import QUOTES
from crypto_intel.core.errors import TransientError
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.specs import HOURLY, input_of, served_spec_args
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import RETRIES, RETRY_AFTER_S, publish_rows
from crypto_intel.resources.retention import ensure_partitions


@dg.asset(**served_spec_args(QUOTES), ins={"rows": input_of(SILVER_QUOTES)}, partitions_def=HOURLY, code_version="1")
def quotes(context: dg.AssetExecutionContext, rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The hour's quotes, in one transaction; the day's part of the table is made before."""
    day = hour_start(context.partition_key).date()
    try:
        with postgres.connect() as connection:
            ensure_partitions(connection, QUOTES, day, day)
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    return publish_rows(postgres, QUOTES, rows)
