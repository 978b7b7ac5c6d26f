"""The process from which Spark forks its Python workers, with what they need imported once.

Each worker would import Polars, Arrow, delta-rs and librdkafka anew: a second of a core, and 80 MB that none shares.
Only imports happen here: none of them starts a thread, so a fork is safe.
"""

import gc

import confluent_kafka  # noqa: F401
import deltalake  # noqa: F401
import polars  # noqa: F401
import pyarrow.parquet  # noqa: F401
from pyspark.daemon import manager

import streaming.jobs.lake_source
import streaming.steps.ingest
import streaming.steps.live
import streaming.transforms.bar_news  # noqa: F401

if __name__ == "__main__":
    # Workers look for garbage after each task: what stands here is none, and stays shared if nobody counts it.
    gc.freeze()
    manager()
