"""Fixtures of the API's tests: one database with known rows, one API with a cache over it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.contracts.serving import INDICATORS
from crypto_intel.serving import keys
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink, Upsert, record_gaps, upsert_frame
from streaming.sinks.rules import RuleTable

MINUTES = 130


def _bars() -> list[dict[str, object]]:
    bars = [
        sample.bar(m, open=100.0 + m, close=100.5 + m, first_trade_id=10 * m + 1, last_trade_id=10 * m + 10)
        for m in range(MINUTES)
    ]
    partial = {"completeness": "partial", "completeness_reason": "ids 71-80 missing", "coverage_pct": 50.0}
    return [{**bar, **partial} if number == 7 else bar for number, bar in enumerate(bars)]


def _bars_5m() -> list[dict[str, object]]:
    return [
        sample.bar(
            5 * n,
            window_end=sample.START + timedelta(minutes=5 * n + 5),
            open=100.0 + 5 * n,
            close=104.5 + 5 * n,
            high=106.0 + 5 * n,
            low=99.0 + 5 * n,
            trade_count=50,
            first_trade_id=50 * n + 1,
            last_trade_id=50 * n + 50,
        )
        for n in range(24)
    ]


def _indicators(number: int) -> dict[str, object]:
    start = sample.START + timedelta(minutes=5 * number)
    values = {column.name: 1.5 for column in INDICATORS.columns if column.type == "double"}
    return {
        **sample.MARKET, "interval": "5m", "window_start": start, "window_end": start + timedelta(minutes=5), **values,
        "bars_used": number + 1,
    }  # fmt: skip


def _article(number: int, **changes: object) -> dict[str, object]:
    moment = sample.START + timedelta(minutes=number)
    return {
        "article_id": f"article-{number:03}", "source": "wire", "url": f"https://wire.example/{number}",
        "title": f"Bitcoin moves {number}", "summary": "<script>alert('x')</script> spot market", "content": "",
        "tags": [], "symbols": ["BTC"], "event_time": None, "published_at": moment, "first_seen_at": moment,
        "language": "en", "cluster_id": None, "sentiment": 0.5 if number % 2 else -0.5, **changes,
    }  # fmt: skip


def _macro(value: float, since: datetime, until: datetime | None) -> dict[str, object]:
    return {
        "series_id": "CPIAUCSL", "observation_date": datetime(2026, 9, 1, tzinfo=UTC).date(), "value": value,
        "realtime_start": since.date(), "realtime_end": (until or datetime(9999, 12, 31, tzinfo=UTC)).date(),
        "fetched_at": sample.KNOWN,
    }  # fmt: skip


def fill(dsn: str) -> None:
    """130 minutes of a market and everything around them, through the platform's own sink."""
    october, november = datetime(2026, 10, 13, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC)
    sink = PostgresSink(SecretStr(dsn), query="live", epoch="test")
    sink.publish(
        1,
        [
            Upsert("bars_1m", sample.frame("bars_1m", *_bars())),
            Upsert("bars_5m", sample.frame("bars_5m", *_bars_5m())),
            Upsert("indicators", sample.frame("indicators", *(_indicators(n) for n in range(24)))),
            Upsert("bar_news", sample.frame("bar_news", sample.pair("article-003", minute=3))),
            Upsert("live_markets", sample.frame("live_markets", sample.live(229.5, 7800))),
            Upsert("articles", sample.frame("articles", *(_article(number) for number in range(20)))),
            Upsert(
                "macro_observations",
                sample.frame(
                    "macro_observations",
                    _macro(300.0, october, november - timedelta(days=1)),
                    _macro(301.0, november, None),
                ),
            ),
        ],
        alerts=[sample.alert(f"price_move:binance:BTC-USDT:{number}") for number in range(5)],
        refresh_enriched=sample.keys(*range(MINUTES)),
        known_at=sample.KNOWN,
    )
    sink.close()
    table = RuleTable(SecretStr(dsn))
    table.enter(load_alert_config().rules)
    table.close()
    with psycopg.connect(dsn) as connection:
        record_gaps(connection, sample.gap("gap", 71, 80))
        record_gaps(connection, sample.gap("gap", 500, 500))
        record_gaps(connection, sample.gap("repaired", 500, 500, 9))
        upsert_frame(connection, "live_markets", sample.frame("live_markets", sample.live(3.0, 0, symbol="ETH-USDT")))


@pytest.fixture(scope="module")
def api_dsn(postgres_dsn: str) -> str:
    """A database with known rows, shared by the tests of a module."""
    dsn = ensure_database(postgres_dsn, f"api_{uuid.uuid4().hex[:8]}")
    migrate(dsn)
    fill(dsn)
    return dsn


@pytest.fixture(scope="module")
def api(api_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API whose reads are open."""
    data_dir = tmp_path_factory.mktemp("api")
    with served(settings(api_dsn, data_dir, redis_url, open_reads=True)) as address:
        yield address


@pytest.fixture(scope="module")
def closed_api(api_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API that wants a credential for everything."""
    with served(settings(api_dsn, tmp_path_factory.mktemp("closed"), redis_url)) as address:
        yield address


@pytest.fixture
def http(api: str) -> Iterator[httpx.Client]:
    """A client of the open API."""
    with httpx.Client(base_url=api, timeout=20) as client:
        yield client


@pytest.fixture
def judge_key(api_dsn: str) -> str:
    """A key that may judge alerts."""
    return keys.create(SecretStr(api_dsn), "test judge", ["read", "alerts"]).get_secret_value()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder without a lake."""
    return tmp_path
