"""Settings of the embedded stack: ports, memory, what the simulator plays. Same prefix as all others."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError

from crypto_intel.contracts.settings import Settings, Source
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.jars import default_folder


class Ports(BaseModel):
    """Wanted ports on loopback; one that is taken is replaced by a free one, and `up` says so."""

    kafka: int = Field(default=29092, ge=1, le=65535)
    kafka_controller: int = Field(default=29093, ge=1, le=65535)
    postgres: int = Field(default=25432, ge=1, le=65535)
    valkey: int = Field(default=26379, ge=1, le=65535)
    simulator_ws: int = Field(default=29443, ge=1, le=65535)
    simulator_rest: int = Field(default=29080, ge=1, le=65535)
    spark: int = Field(default=4040, ge=1, le=65535)
    metrics: int = Field(default=29464, ge=1, le=65535, description="Of the streaming application.")
    metrics_binance: int = Field(default=29465, ge=1, le=65535)
    metrics_kraken: int = Field(default=29466, ge=1, le=65535)
    metrics_pollers: int = Field(default=29467, ge=1, le=65535)
    metrics_api: int = Field(default=29468, ge=1, le=65535)
    exporter: int = Field(default=29469, ge=1, le=65535, description="Metrics of Dagster, Kafka's lag and the stores.")
    dagster_code: int = Field(default=24266, ge=1, le=65535)
    dagster: int = Field(default=3000, ge=1, le=65535)
    api: int = Field(default=8000, ge=1, le=65535)
    dashboard: int = Field(default=8501, ge=1, le=65535)


class SparkShare(BaseModel):
    """What the stack must know of Spark; the application's own settings are streaming's."""

    driver_memory: str = Field(default="1500m", pattern=r"^\d+[mg]$")


class Supervision(BaseModel):
    """When a part counts as ill, and when as lost."""

    unhealthy_after: int = Field(default=3, ge=1, description="Failed probes in a row (one each 5 s) before a restart.")
    start_retries: int = Field(default=4, ge=0, description="Failed starts in a row, each after a longer pause.")
    restarts: int = Field(default=6, ge=1, description="Restarts within `restart_window_s` before a part is given up.")
    restart_window_s: float = Field(default=600, gt=0)
    log_bytes: int = Field(default=10_000_000, ge=10_000, description="Size at which a log is rotated; three are kept.")


class StackSettings(Settings):
    """Everything that `crypto-intel up` reads itself."""

    ports: Ports = Ports()
    spark: SparkShare = SparkShare()
    supervision: Supervision = Supervision()
    jars_dir: Path = Field(default_factory=default_folder, description="Cache of JVM jars, shared by checkouts.")
    kafka_heap_mb: int = Field(default=512, ge=256)
    seed: int = Field(default=7, ge=0, description="Of the simulated market.")
    newsapi_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CRYPTO_INTEL_NEWSAPI__KEY", "NEWSAPI_KEY")
    )
    fred_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CRYPTO_INTEL_FRED__API_KEY", "FRED_API_KEY")
    )
    coingecko_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CRYPTO_INTEL_COINGECKO__KEY", "COINGECKO_API_KEY")
    )
    alphavantage_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CRYPTO_INTEL_ALPHAVANTAGE__KEY", "ALPHAVANTAGE_API_KEY")
    )

    def folder(self, source: Source, given: Path | None = None) -> Path:
        """The data folder: given, or CRYPTO_INTEL_DATA_DIR, or `.demo/<source>`, so that sources never mix."""
        if given is None and "data_dir" in self.model_fields_set:
            given = self.data_dir
        return (given or Path(".demo") / source).resolve()


def load_settings() -> StackSettings:
    """The settings from the environment.

    Raises:
        StackError: a value does not fit; the message names it and says what is allowed.
    """
    try:
        return StackSettings()
    except ValidationError as error:
        lines = [
            f"{_variable(fault['loc'])} {fault['msg'].lower()}, not {fault['input']!r}" for fault in error.errors()
        ]
        raise StackError(
            "wrong settings: " + "; ".join(lines), "unset the variable or give it a value that fits"
        ) from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = "__".join(str(part) for part in location).upper()
    return name if name.startswith(("CRYPTO_INTEL_", "SUPABASE_")) else f"CRYPTO_INTEL_{name}"
