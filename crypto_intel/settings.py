"""Settings that only the Dagster code location adds: FRED, the batch Spark session, bursts of news, S3's access.

Read when a resource is used, never at import, so that the graph loads without any of them.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from crypto_intel.contracts.settings import Settings


class Fred(BaseModel):
    """How to reach FRED, or the simulator that speaks its protocol."""

    url: str = "https://api.stlouisfed.org"
    api_key: SecretStr | None = Field(default=None, description="Free of charge at fred.stlouisfed.org.")
    requests_per_minute: int = Field(default=120, ge=1, description="FRED's own limit; more is answered with 429.")
    timeout_s: float = Field(default=30, gt=0)


class Binance(BaseModel):
    """Where the venue's klines are asked for; the producers have settings of their own."""

    rest_url: str = "https://api.binance.com"


class BatchSpark(BaseModel):
    """The short-lived session of a batch run; the streaming application has its own settings."""

    master: str = "local[1]"
    driver_memory: str = Field(default="700m", pattern=r"^\d+[mg]$")


class SparkJars(BaseModel):
    """What a batch run knows of the streaming application's session, whose settings are streaming's."""

    jars: Path | None = Field(
        default=None,
        description="Folder of the connectors. An archive of Spark's classes may stand beside it, with which a batch "
        "session takes a third less CPU.",
    )


class LakeStorage(BaseModel):
    """Access to a lake on S3; what is unset comes from the AWS environment as usual."""

    region: str | None = None
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    allow_http: bool | None = None


class NewsBursts(BaseModel):
    """When the open hour is enriched at once: many stories about one asset within minutes."""

    window_s: float = Field(default=300, gt=0, le=3600, description="News time that a burst spans at most.")
    min_stories: int = Field(default=5, ge=2, description="Stories within it, near-duplicates counted once.")
    times_usual: float = Field(default=6, ge=1, description="And so many times the asset's own mean a window.")
    baseline_hours: float = Field(default=24, ge=1, le=168, description="Before the burst, over which the mean is.")


class PlatformSettings(Settings):
    """Everything that the code location reads."""

    fred: Fred = Fred()
    binance: Binance = Binance()
    batch_spark: BatchSpark = BatchSpark()
    news_bursts: NewsBursts = NewsBursts()
    spark: SparkJars = SparkJars()
    lake_storage: LakeStorage = LakeStorage()
