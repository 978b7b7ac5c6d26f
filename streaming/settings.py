"""Settings of the streaming application (Spark). Producers and simulator add their own in their packages.

Durations are seconds of wall clock unless the name says feed time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field

from crypto_intel.contracts.settings import Settings


class Spark(BaseModel):
    """Where and how Spark runs. On a cluster `master` and `lake` change, the code does not."""

    master: str = "local[2]"
    jars: Path | None = Field(default=None, description="Folder with the connectors' jars; unset: spark.jars.packages.")
    driver_memory: str = Field(default="1500m", pattern=r"^\d+[mg]$")
    shuffle_partitions: int = Field(default=1, ge=1, description="Frozen in each checkpoint at its first start.")
    jit: Literal["fast_start", "peak"] = Field(
        default="fast_start",
        description="fast_start: the JVM's first compiler only, warm within a minute and idle afterwards. peak: its "
        "optimizing compiler too, for clusters and backlogs of many millions.",
    )
    ui_port: int | None = Field(default=None, description="Spark's own page; unset: no page.")
    conf: dict[str, str] = Field(default_factory=dict, description="Further Spark settings, e.g. fs.s3a.*.")


class Triggers(BaseModel):
    """Seconds between two batches of each query: shorter is fresher and costs more of a core.

    A trade waits for the next batch and then for that batch, so its p99 is a trigger and a batch; a batch costs some
    0.4 CPU-seconds however few records it has. `live` and `ingest` are as wide as p99s of 3 s in PostgreSQL and 5 s in
    bronze allow. Bars close by the minute: what follows them need not look more often.
    """

    ingest_s: float = Field(default=3, gt=0)
    bar_news_s: float = Field(default=30, gt=0)
    live_s: float = Field(default=1.5, gt=0)
    publish_s: float = Field(default=10, gt=0)


class Bars(BaseModel):
    """When a window closes."""

    delay_s: int = Field(
        default=10,
        ge=0,
        description="Feed time that a window stays open past its end. Venues' streams come in order; REST repairs of "
        "a reconnect come within seconds. What comes later is counted as late and reaches the batch tables.",
    )


class News(BaseModel):
    """How late news may come and still join on the stream."""

    delay_minutes: int = Field(
        default=30, ge=1, description="NewsAPI shows an article minutes after its publishing; later ones join in batch."
    )


class StreamingSettings(Settings):
    """Everything that the Spark application reads."""

    spark: Spark = Spark()
    spark_master: str | None = Field(
        default=None, validation_alias=AliasChoices("SPARK_MASTER"), description="Goes before spark.master."
    )
    triggers: Triggers = Triggers()
    bars: Bars = Bars()
    news: News = News()
    clock_url: str | None = Field(default=None, description="The simulator's /sim/clock; unset: system time.")
    checkpoints: str = Field(default="", description="Root of the checkpoints; default <data_dir>/checkpoints.")
    max_records_per_batch: int = Field(
        default=400_000,
        ge=1,
        description="Bounds a batch's memory and what a restart repeats (some 2 s). A batch costs 0.3 s beside its "
        "records: a backlog goes by a sixth faster than with half as many.",
    )
    starting_offsets: str = Field(default="earliest", pattern="^(earliest|latest)$")

    @property
    def master(self) -> str:
        """Spark's master URL."""
        return self.spark_master or self.spark.master

    @property
    def checkpoint_root(self) -> str:
        """Root of the checkpoints as text."""
        return self.checkpoints or str(self.data_dir / "checkpoints")
