"""Settings that more than one part needs: where Kafka, the lake, PostgreSQL and Redis are, and what the source is.

Read from the environment when constructed, never at import. Names are `CRYPTO_INTEL_` + field, nested ones with two
underscores (`CRYPTO_INTEL_KAFKA__BOOTSTRAP`). A value that does not fit names itself and what is allowed. The
embedded stack (`crypto-intel up`) sets all of them for its processes; on a cluster they are set by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Source = Literal["sim", "replay", "live"]
NewsClock = Literal["published", "first_seen"]


class Topics(BaseModel):
    """Names of the topics, so that an existing cluster's names can be used instead."""

    trades: str = "trades_topic"
    quotes: str = "quotes_topic"
    news: str = "news_topic"
    feed_status: str = "feed_status_topic"
    dead_letters: str = "dead_letter_topic"
    alerts: str = "alerts_topic"

    @property
    def ingested(self) -> list[str]:
        """Topics whose records end in bronze; alerts end in PostgreSQL."""
        return [self.trades, self.quotes, self.news, self.feed_status, self.dead_letters]

    @property
    def all(self) -> list[str]:
        """Every topic that the platform creates."""
        return [*self.ingested, self.alerts]


class Kafka(BaseModel):
    """How to reach Kafka. SASL_SSL with PLAIN or SCRAM is what Confluent Cloud wants."""

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = Field(
        default=None, description="PEM of who signed the brokers' certificates; unset: those that the system trusts."
    )
    partitions: int = Field(default=3, ge=1)

    def client_config(self) -> dict[str, str]:
        """librdkafka's configuration of the connection; holds the password in clear, so never log it."""
        config = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security_protocol}
        if self.sasl_mechanism:
            config["sasl.mechanisms"] = self.sasl_mechanism
            config["sasl.username"] = self.username or ""
            config["sasl.password"] = self.password.get_secret_value() if self.password else ""
        if self.ca_file:
            config["ssl.ca.location"] = str(self.ca_file)
        return config


class Settings(BaseSettings):
    """What every long-running part reads at its start."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTO_INTEL_", env_nested_delimiter="__", extra="ignore", populate_by_name=True
    )

    source: Source = "sim"
    data_dir: Path = Path("data")
    lake: str = Field(default="", description="Root of the lake: a folder or an s3:// URI; default <data_dir>/lake.")
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    news_clock: NewsClock = Field(
        default="published",
        description="Which of an article's times joins it with bars. published: what the news means, whenever it was "
        "heard. first_seen: what could have been known.",
    )
    postgres_dsn: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CRYPTO_INTEL_POSTGRES_DSN", "SUPABASE_DB_URL"),
        description="libpq URI of PostgreSQL or of a Supabase project's database.",
    )
    supabase_url: str | None = Field(default=None, validation_alias=AliasChoices("SUPABASE_URL"))
    supabase_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("SUPABASE_KEY"))
    redis_url: SecretStr | None = Field(default=None, description="Optional: without it nothing is cached.")
    rules_file: Path | None = Field(
        default=None, description="Alert rules and routes in YAML; unset: those that come with the project."
    )
    channels: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Who is told of alerts: Apprise URLs by name, CRYPTO_INTEL_CHANNELS__DESK=slack://...",
    )
    log_json: bool = False
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Where Prometheus finds /metrics of this process; unset: nowhere."
    )
    metrics_host: str = Field(default="127.0.0.1", description="0.0.0.0 in a container.")

    @property
    def lake_root(self) -> str:
        """The lake's root as text."""
        return self.lake or str(self.data_dir / "lake")
