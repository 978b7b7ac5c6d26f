"""The silver tables that the Spark application writes, observed."""

from crypto_intel.contracts.tables import SILVER_BAR_NEWS
from crypto_intel.operations.observing import JOBS, STREAMED_SILVER_TABLES, streamed_table

tables = [
    streamed_table(table, JOBS["bar_news"] if table is SILVER_BAR_NEWS else JOBS["ingest"])
    for table in STREAMED_SILVER_TABLES
]
