"""Gathers a snapshot of a running or stopped stack. Reads only; what can not be read is unknown, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from xmlrpc.client import Fault

from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES, SILVER_BARS_1M
from crypto_intel.stack.files import tail
from crypto_intel.stack.health import Health, PartHealth
from crypto_intel.stack.parts import ALL, SIMULATED, serving_dsn
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.postgres import PostgresServer
from crypto_intel.stack.processes import UsageMeter
from crypto_intel.stack.readers import DatabaseReader, KafkaReader, LakeReader, Offsets, redis_keys, source_account
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.snapshot import AlertLine, Hop, MarketLine, PartView, QueryLine, Snapshot, feed_lines, overall
from crypto_intel.stack.state import Folder, StackState
from crypto_intel.stack.supervisor_client import Process, Supervisor
from crypto_intel.stack.valkey import ValkeyServer

_MARKETS = """
SELECT venue, symbol, price, event_time, trade_count, change_1h_pct FROM public.live_markets ORDER BY venue, symbol
"""
_FEEDS = "SELECT venue, stream, state, detail, event_time FROM public.feeds ORDER BY venue, stream"
_ALERTS = "SELECT raised_at, severity, symbol, message FROM public.alerts ORDER BY raised_at DESC, alert_id LIMIT 5"
_QUERIES = """
SELECT query AS name, batch_id, rows_total, rows_per_second, batch_ms, lag_records, updated_at
FROM ops.stream_progress ORDER BY query
"""
_COUNTS = """
SELECT (SELECT count(*) FROM public.bars_1m) AS bars,
       (SELECT count(*) FROM public.market_enriched) AS enriched,
       (SELECT count(*) FROM public.market_enriched WHERE is_final) AS final,
       (SELECT count(*) FROM public.alerts) AS alerts,
       (SELECT count(*) FROM public.gaps WHERE state = 'open') AS gaps
"""


class Watcher:
    """Looks at one data folder's stack again and again, over kept connections."""

    def __init__(self, folder: Folder, state: StackState, settings: StackSettings) -> None:
        self._folder = folder
        self._state = state
        self._topics = settings.topics
        self._supervisor = Supervisor(folder.socket)
        self._meter = UsageMeter()
        self._kafka = KafkaReader(f"{LOOPBACK}:{state.ports['kafka']}")
        self._lake = LakeReader(settings.lake or str(folder.root / "lake"))
        local = PostgresServer(folder.root / "postgres", state.ports["postgres"]).dsn
        self._database = DatabaseReader(serving_dsn(state.source, local, settings))
        self._redis_url = ValkeyServer(folder.root / "valkey", state.ports["valkey"]).url

    def look(self) -> Snapshot:
        """The stack now."""
        parts = self.parts()
        shown = Snapshot(
            title=self._state.title,
            source=self._state.source,
            data_dir=str(self._folder.root),
            taken_at=datetime.now(UTC),
            overall=overall(parts),
            parts=parts,
            pages=self._pages(),
        )
        if shown.overall == "stopped":
            return shown
        shown.hops = self._hops()
        shown.feeds = feed_lines(self._database.rows(_FEEDS) or [])
        shown.markets = [MarketLine.model_validate(row) for row in self._database.rows(_MARKETS) or []]
        shown.alerts = [AlertLine.model_validate(row) for row in self._database.rows(_ALERTS) or []]
        shown.queries = [QueryLine.model_validate(row) for row in self._database.rows(_QUERIES) or []]
        return shown

    def parts(self) -> list[PartView]:
        """Every part of this source, in order of start, whether it runs or not."""
        try:
            seen = {process.name: process for process in self._supervisor.processes()}
        except (OSError, HTTPException, Fault):
            seen = {}
        health = read_health(self._folder.health_file) if seen else Health()
        names = [n for n in ALL if n in seen] or [n for n in ALL if self._state.source != "live" or n not in SIMULATED]
        return [self._part(name, seen.get(name), health.parts.get(name, PartHealth())) for name in names]

    def close(self) -> None:
        """Let go of the connections."""
        self._kafka.close()
        self._database.close()

    def _part(self, name: str, process: Process | None, health: PartHealth) -> PartView:
        if process is None:
            return PartView(name=name, state="STOPPED")
        usage = self._meter.measure(process.pid) if process.pid else None
        part = PartView(
            name=name,
            state="failed" if health.given_up and not process.runs else process.state,
            answers=health.answers if process.runs else None,
            uptime_s=process.uptime_s,
            rss_bytes=usage.rss_bytes if usage else 0,
            cores=usage.cores if usage else 0,
            restarts=health.restarts,
            detail=process.detail,
        )
        if part.failed:
            part.last_lines = tail(self._folder.log(name), 10)
        return part

    def _hops(self) -> list[Hop]:
        ledger = source_account(self._folder.ledger_file) if self._state.source != "live" else None
        ends = self._kafka.end_offsets(self._topics.all)
        counts = (self._database.rows(_COUNTS) or [{}])[0]
        hops = [
            Hop(name="source: trade frames sent", count=ledger.frames if ledger else None),
            Hop(name="source: articles sent", count=ledger.articles if ledger else None),
        ]
        if self._state.source == "live":
            hops = []
        return [
            *hops,
            Hop(name="kafka: trades", count=records(ends, self._topics.trades), note="and heartbeats"),
            Hop(name="kafka: news", count=records(ends, self._topics.news), note="and heartbeats"),
            Hop(name="bronze.trades", count=self._lake.rows(BRONZE_TRADES)),
            Hop(name="bronze.news", count=self._lake.rows(BRONZE_NEWS)),
            Hop(name="silver.bars_1m", count=self._lake.rows(SILVER_BARS_1M)),
            Hop(name="postgres: bars_1m", count=counts.get("bars")),
            Hop(name="postgres: market_enriched", count=counts.get("enriched"), note=_final(counts.get("final"))),
            Hop(name="postgres: alerts", count=counts.get("alerts")),
            Hop(name="cache: keys", count=redis_keys(self._redis_url)),
            Hop(name="rejected", count=records(ends, self._topics.dead_letters)),
            Hop(name="gaps open", count=counts.get("gaps")),
        ]

    def _pages(self) -> dict[str, str]:
        ports = self._state.ports
        pages = {"Dagster": f"http://{LOOPBACK}:{ports['dagster']}", "Spark": f"http://{LOOPBACK}:{ports['spark']}"}
        if "api" in ports:  # a folder of an older version has neither
            pages["Dashboard"] = f"http://{LOOPBACK}:{ports['dashboard']}"
            pages["API"] = f"http://{LOOPBACK}:{ports['api']}/api/v1/docs"
        if self._state.source != "live":
            pages["Simulator"] = f"http://{LOOPBACK}:{ports['simulator_rest']}/health"
        return pages


def records(ends: Offsets | None, topic: str) -> int | None:
    """Records of a topic whose partitions all begin at offset 0."""
    return sum(ends[topic].values()) if ends and topic in ends else None


def read_health(path: Path) -> Health:
    """What the health checks last wrote; empty before their first round."""
    try:
        return Health.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Health()


def _final(count: int | None) -> str:
    return "" if count is None else f"{count} final"
