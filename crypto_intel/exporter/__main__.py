"""Serve the page: `python -m crypto_intel.exporter`, on CRYPTO_INTEL_METRICS_PORT or 9464, until told to stop."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime

import psycopg
import structlog

from crypto_intel.exporter.dagster import Dagster
from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.kafka import ERRORS as KAFKA_ERRORS
from crypto_intel.exporter.kafka import Kafka
from crypto_intel.exporter.platform import Host, Served
from crypto_intel.exporter.settings import DEFAULT_PORT, ExporterSettings
from crypto_intel.exporter.source import Source, States
from streaming.clock import PlatformClock
from streaming.errors import RetryableError
from streaming.log import configure_log
from streaming.metrics import MetricsPage, new_registry

log = structlog.get_logger(__name__)


class PlatformTime:
    """The platform clock for whoever asks now and then; the machine's own while the simulator does not answer."""

    def __init__(self, url: str | None) -> None:
        self._clock = PlatformClock(url)

    def __call__(self) -> datetime:
        """Now."""
        try:
            self._clock.refresh()
        except RetryableError:
            log.debug("platform clock does not answer; its last anchors are used")
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)


def sources(settings: ExporterSettings) -> list[Source]:
    """Everything that the settings name."""
    now, keep_s = PlatformTime(settings.clock_url), settings.metrics_keep_s
    found = [Source("host", Host(settings.data_dir).ask, errors=(OSError,), keep_s=keep_s)]
    if settings.postgres_dsn is not None:
        served = Served(Reader(settings.postgres_dsn), now)
        found.append(Source("postgres", served.ask, errors=(psycopg.Error,), keep_s=keep_s))
        kafka = Kafka(settings.kafka, settings.topics, Reader(settings.postgres_dsn))
        found.append(Source("kafka", kafka.ask, errors=(*KAFKA_ERRORS, psycopg.Error), keep_s=keep_s))
    if settings.dagster_dsn is not None:
        dagster = Dagster(Reader(settings.dagster_dsn), now)
        found.append(Source("dagster", dagster.ask, errors=(psycopg.Error,), keep_s=keep_s))
    return found


def make_page(settings: ExporterSettings) -> MetricsPage:
    """The page with every source."""
    registry = new_registry()
    asked = sources(settings)
    for collector in (*asked, States(asked)):
        registry.register(collector)
    return MetricsPage(registry)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = ExporterSettings()
    configure_log(json=settings.log_json)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    page = make_page(settings)
    page.serve(settings.metrics_host, settings.metrics_port or DEFAULT_PORT)
    stopping.wait()
    page.close()


if __name__ == "__main__":
    main()
