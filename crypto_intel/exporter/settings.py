"""Settings of the exporter, beside those that every part reads."""

from __future__ import annotations

from pydantic import Field, SecretStr

from crypto_intel.contracts.settings import Settings

DEFAULT_PORT = 9464


class ExporterSettings(Settings):
    """Where the figures come from. What is not named is not asked."""

    clock_url: str | None = Field(default=None, description="The simulator's /sim/clock; unset: system time.")
    dagster_pg_url: SecretStr | None = Field(default=None, description="URI of Dagster's storage in PostgreSQL.")
    metrics_keep_s: float = Field(default=10, ge=0, description="Two readers of the page within it cost one question.")

    @property
    def dagster_dsn(self) -> SecretStr | None:
        """The storage's URI as libpq reads it: Dagster's own names SQLAlchemy's driver."""
        if self.dagster_pg_url is None:
            return None
        return SecretStr(self.dagster_pg_url.get_secret_value().replace("postgresql+psycopg2://", "postgresql://", 1))
