"""Spark for one batch: a small local session (or a cluster's), started when asked for and stopped right after.

It reads no lake: rows come and go as Arrow, so the session needs none of the streaming application's connectors. It has
them on its class path where that lets it start from the archive of classes that theirs is in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from crypto_intel.settings import PlatformSettings
from streaming import class_archive

JVM_EXIT_S = 30

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

_JVM = "spark.driver.extraJavaOptions"
_CONF = {
    "spark.app.name": "crypto-intel-batch",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # A market an hour is a small group: one shuffle partition avoids 200 empty tasks.
    "spark.sql.shuffle.partitions": "1",
    # A session of seconds: compiling and re-planning for speed later cost more than they give. Together these three
    # halve an hour's run (10 s of CPU instead of 23) and its JVM's memory (440 MB instead of 560).
    _JVM: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


class BatchSpark(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts dagster-pyspark's session for the length of a `with`; a session that was there before is left running.

    Args:
        conf: Spark settings on top of the platform's.
    """

    conf: dict[str, str] = Field(default_factory=dict)

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """A session; stopped at the end, whatever happens."""
        # Here, since only runs need Spark: the code server loads faster and stays smaller without it.
        from dagster_pyspark import PySparkResource  # noqa: PLC0415
        from pyspark import SparkContext  # noqa: PLC0415

        is_ours = SparkContext._active_spark_context is None  # pyspark has no public way to ask without starting one
        platform = PlatformSettings()
        settings = platform.batch_spark
        archived = {}
        if settings.master.startswith("local"):
            # Workers run on the machine's python3 otherwise, which lacks our packages.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            archived = _archived(platform.spark.jars)
        own = {"spark.master": settings.master, "spark.driver.memory": settings.driver_memory}
        conf = {**_CONF, **own, **archived, **self.conf}
        with PySparkResource(spark_config=conf).process_config_and_initialize_cm() as pyspark:
            session: SparkSession = pyspark.spark_session
            try:
                yield session
            finally:
                if is_ours:
                    session.stop()
                    _end_jvm(SparkContext)


def _archived(jars: Path | None) -> dict[str, str]:
    # The archive is used only on the class path that it was made for, which begins with the connectors.
    if jars is None or not (options := class_archive.jvm_options(jars)):
        return {}
    connectors = ":".join(map(str, class_archive.connectors(jars)))
    return {"spark.driver.extraClassPath": connectors, _JVM: " ".join([_CONF[_JVM], *options])}


def _end_jvm(context: type[SparkContext]) -> None:
    # pyspark keeps the JVM for the next session, with its heap, until Python exits; the run still has work to do.
    # The JVM exits when its standard input ends.
    gateway = context._gateway
    if gateway is None:
        return
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=JVM_EXIT_S)
    context._gateway = context._jvm = None
