"""The bronze tables, observed: Delta version, rows, newest event."""

from crypto_intel.operations.observing import BRONZE_TABLES, JOBS, streamed_table

tables = [streamed_table(table, JOBS["ingest"]) for table in BRONZE_TABLES]
