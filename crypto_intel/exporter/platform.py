"""The platform as its database and its disk tell it: how old what is served is, gaps, alerts on their way, room.

What the streaming application counts itself is on its own page; here is what stays visible when it is gone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import Metric

from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.source import counter, gauge

_NEWEST = {
    "bars_1m": "window_end",
    "market_enriched": "window_end",
    "live_markets": "event_time",
    "feeds": "event_time",
}
"""Served tables and the time that says how new they are; each is read from the end of an index or is small."""

_INDEXED = {"bars_1m": "window_start", "market_enriched": "window_start"}
_MINUTE_S = 60
_QUERIES = "SELECT query, extract(epoch FROM now() - updated_at)::float8 AS age_s FROM ops.stream_progress"
_GAPS = "SELECT venue, count(*) AS gaps FROM public.gaps WHERE state = 'open' GROUP BY venue"
_HEARTBEATS = "SELECT venue, event_time, state FROM public.feeds WHERE stream = 'heartbeat'"
_ALERTS = "SELECT severity, count(*) AS alerts FROM public.alerts WHERE state = 'open' GROUP BY severity"
_NOTICES = "SELECT channel, state, count(*) AS notices FROM ops.notices GROUP BY channel, state"
_OUTBOX = """
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age_s
FROM ops.alert_outbox WHERE published_at IS NULL
"""


class Served:
    """Figures from the platform's database.

    Args:
        now: platform clock.
    """

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._now = now

    def ask(self) -> Iterator[Metric]:
        """Every figure.

        Raises:
            psycopg.Error: the database is away.
        """
        yield self._ages()
        yield from self._feeds()
        reports = {(row["query"],): row["age_s"] for row in self._reader.rows(_QUERIES)}
        yield gauge("crypto_intel_query_report_age_seconds", "Since a query last told of a batch.", ["query"], reports)
        yield from self._alerts()

    def _ages(self) -> Metric:
        now = self._now()
        ages: dict[tuple[str], float] = {}
        for table, column in _NEWEST.items():
            newest = self._newest(table, _INDEXED.get(table, column))
            if newest is not None:
                ends = _MINUTE_S if table in _INDEXED else 0
                ages[(table,)] = (now - newest).total_seconds() - ends
        return gauge(
            "crypto_intel_table_age_seconds", "Platform clock minus the newest time in a served table.", ["table"], ages
        )

    def _newest(self, table: str, column: str) -> datetime | None:
        found: datetime | None = self._reader.rows(f"SELECT max({column}) AS at FROM public.{table}")[0]["at"]  # noqa: S608 - constants
        return found

    def _feeds(self) -> Iterator[Metric]:
        gaps = {(row["venue"],): float(row["gaps"]) for row in self._reader.rows(_GAPS)}
        now = self._now()
        beats = {
            (row["venue"],): 0.0 if row["state"] == "ended" else (now - row["event_time"]).total_seconds()
            for row in self._reader.rows(_HEARTBEATS)
        }
        yield gauge("crypto_intel_ledger_gaps_open", "Gaps in the ledger that nobody has mended yet.", ["venue"], gaps)
        yield gauge(
            "crypto_intel_feed_heartbeat_age_seconds",
            "Platform clock minus the feed's newest sign of life that reached the database; 0 after a recording's end.",
            ["venue"], beats,
        )  # fmt: skip

    def _alerts(self) -> Iterator[Metric]:
        open_ = {("info",): 0.0, ("warning",): 0.0, ("critical",): 0.0}
        open_ |= {(row["severity"],): float(row["alerts"]) for row in self._reader.rows(_ALERTS)}
        yield gauge("crypto_intel_alerts_open", "Alerts that nobody has acknowledged.", ["severity"], open_)
        told = {(row["channel"], row["state"]): float(row["notices"]) for row in self._reader.rows(_NOTICES)}
        yield gauge(
            "crypto_intel_alert_notices", "Messages to people, by channel and what became of them: sent, due, failed.",
            ["channel", "state"], told,
        )  # fmt: skip
        outbox = self._reader.rows(_OUTBOX)[0]
        yield gauge(
            "crypto_intel_alerts_waiting", "Alerts that Kafka has not taken.", [], {(): float(outbox["waiting"])}
        )
        yield gauge(
            "crypto_intel_alerts_waiting_age_seconds", "Age of the oldest of them; 0: none.", [], {(): outbox["age_s"]}
        )


class Host:
    """Disk and parts, as far as this process can see them.

    Args:
        data_dir: of the stack.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def ask(self) -> Iterator[Metric]:
        """Room on the data folder's disk; and what the supervisor's health checks found, where it runs.

        Raises:
            OSError: the folder is not there.
        """
        usage = shutil.disk_usage(self._data_dir)
        yield gauge("crypto_intel_disk_free_bytes", "Free on the disk of the data folder.", [], {(): float(usage.free)})
        yield gauge("crypto_intel_disk_size_bytes", "Size of that disk.", [], {(): float(usage.total)})
        parts = self._parts()
        up = {(name,): float(part.get("answers") is not False and not part["given_up"]) for name, part in parts.items()}
        restarts = {(name,): float(part["restarts"]) for name, part in parts.items()}
        yield gauge("crypto_intel_part_up", "1 unless the part fails its checks or was given up.", ["part"], up)
        yield counter("crypto_intel_part_restarts", "Times the part had to be started again.", ["part"], restarts)

    def _parts(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._data_dir / "run" / "health.json").read_bytes())["parts"]
        except FileNotFoundError:  # run by something else than `crypto-intel up`
            return {}
        return found
