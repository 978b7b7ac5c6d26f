"""The Spark session: one place for its settings, each with its reason.

Figures and sources for the settings stand in streaming/README.md.
"""

from __future__ import annotations

import os
import sys

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession

from crypto_intel.contracts.settings import Kafka
from streaming import class_archive
from streaming.settings import Spark, StreamingSettings

PACKAGES = (
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
)
"""Connectors, for clusters that resolve them themselves; the laptop stack resolves them beforehand."""

_ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

BASE_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # The wire has both `t` and `T`; and a column must not match another that differs in case.
    "spark.sql.caseSensitive": "true",
    "spark.ui.showConsoleProgress": "false",
    # 50 tasks a commit otherwise: half the throughput of a small batch.
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.streaming.stateStore.providerClass": _ROCKSDB,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage": "true",
    "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB": "256",
    "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "true",
    "spark.sql.streaming.minBatchesToRetain": "20",
    "spark.sql.streaming.metricsEnabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Spark's SQL sees bars and articles only, a few a second: compiling its plans would cost more than running them.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.python.daemon.module": "streaming.worker_daemon",
    # Spark sets it for the workers of SQL alone, and forks workers with another environment from another daemon: the
    # same for all, so that there is one.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    # A core each: the tasks are the parallelism.
    "spark.executorEnv.POLARS_MAX_THREADS": "1",
    "spark.scheduler.mode": "FAIR",
    "spark.sql.adaptive.enabled": "false",
}


# A small heap that gives memory back when idle.
_JVM_OPTIONS = (
    "-XX:+UseG1GC",
    "-XX:MaxMetaspaceSize=400m",
    "-XX:G1PeriodicGCInterval=60000",
    "-Dio.netty.tryReflectionSetAccessible=true",
)
_JIT = {"fast_start": ["-XX:TieredStopAtLevel=1"], "peak": ["-XX:ReservedCodeCacheSize=200m"]}


def build_session(settings: StreamingSettings, app_name: str = "crypto-intel") -> SparkSession:
    """The application's session, with the connectors on its class path.

    Raises:
        ValueError: `spark.jars` names a folder without jars.
    """
    spark = settings.spark
    # Python workers run in this environment, whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name).master(settings.master)
    conf = {
        **BASE_CONF,
        **_local_conf(spark, settings.master),
        **_jars_conf(spark, settings.master),
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        **spark.conf,
    }
    for key, value in conf.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    _start_workers(session.sparkContext)
    return session


def _start_workers(context: SparkContext) -> None:
    # The first batch finds its Python workers there, as it finds the JVM.
    count = context.defaultParallelism
    context.parallelize(range(count), count).foreach(_nothing)


def _nothing(_: int) -> None:
    pass


def _local_conf(spark: Spark, master: str) -> dict[str, str]:
    ui = {"spark.ui.enabled": "false"}
    if spark.ui_port:
        ui = {"spark.ui.enabled": "true", "spark.ui.port": str(spark.ui_port), "spark.ui.retainedJobs": "100"}
        ui |= {"spark.sql.ui.retainedExecutions": "50", "spark.sql.streaming.ui.retainedQueries": "20"}
    if not master.startswith("local"):
        return ui
    return {
        **ui,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": spark.driver_memory,
        "spark.driver.extraJavaOptions": " ".join([*_JVM_OPTIONS, *_JIT[spark.jit], *_archived(spark)]),
    }


def _archived(spark: Spark) -> list[str]:
    return class_archive.jvm_options(spark.jars) if spark.jars else []


def _jars_conf(spark: Spark, master: str) -> dict[str, str]:
    if spark.jars is None:
        return {"spark.jars.packages": ",".join(PACKAGES)}
    jars = list(map(str, class_archive.connectors(spark.jars)))
    if not jars:
        raise ValueError(f"no jars in {spark.jars}; `crypto-intel jars` resolves them")
    if master.startswith("local"):
        # One JVM: on its own class path they are in the archive of classes, too, and need not be copied for executors.
        return {"spark.driver.extraClassPath": ":".join(jars)}
    return {"spark.jars": ",".join(jars)}


def read_kafka(session: SparkSession, settings: StreamingSettings, topics: list[str]) -> DataFrame:
    """The topics as a stream of key, value, topic, partition, offset, timestamp (and timestampType)."""
    reader = (
        session.readStream.format("kafka")
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", settings.starting_offsets)
        .option("maxOffsetsPerTrigger", settings.max_records_per_batch)
        # Offsets that Kafka no longer has would be a silent loss: stop instead.
        .option("failOnDataLoss", "true")
    )
    for key, value in kafka_options(settings.kafka).items():
        reader = reader.option(key, value)
    return reader.load()


def _quoted(text: str) -> str:
    # Within the quotes of a JAAS file.
    return text.replace("\\", "\\\\").replace('"', '\\"')


def kafka_options(kafka: Kafka) -> dict[str, str]:
    """Options of Spark's Kafka source. The password is in them, and Spark redacts options of that name in plans."""
    options = {
        "kafka.bootstrap.servers": kafka.bootstrap,
        "kafka.security.protocol": kafka.security_protocol,
    }
    if kafka.sasl_mechanism:
        module = "plain.PlainLoginModule" if kafka.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        password = kafka.password.get_secret_value() if kafka.password else ""
        options["kafka.sasl.mechanism"] = kafka.sasl_mechanism
        options["kafka.sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required "
            f'username="{_quoted(kafka.username or "")}" password="{_quoted(password)}";'
        )
    if kafka.ca_file:
        options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": str(kafka.ca_file)}
    return options
