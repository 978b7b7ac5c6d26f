"""The client gives what the database has, as frames; it follows pages, waits when told to, and says what was wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.client import ApiError, AsyncCryptoIntel, CryptoIntel, follow
from crypto_intel.client import requests as ask
from crypto_intel.client.endpoints import Endpoints
from crypto_intel.contracts.serving import BARS_1M, MARKET_ENRICHED
from crypto_intel.serving import keys
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings
from crypto_intel_tests.streaming.sinks.rows import START, frame, live
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack


def _url(api: str) -> str:
    return api.removesuffix("/api/v1")


def test_bars_are_those_of_the_database(api: str, api_dsn: str) -> None:
    with CryptoIntel(_url(api)) as client:
        found = client.bars("BTC-USDT", start=START)
    with psycopg.connect(api_dsn) as connection:
        rows = connection.execute("SELECT * FROM bars_1m ORDER BY window_start").fetchall()
    assert found.equals(pl.DataFrame(rows, schema=found.schema, orient="row"))
    assert found.columns == BARS_1M.column_names


def test_pages_are_followed_to_the_end_or_to_what_is_wanted(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with CryptoIntel(_url(api)) as client:
        whole = client.bars("BTC-USDT")
        monkeypatch.setattr(ask, "PAGE_ROWS", 50)
        assert client.bars("BTC-USDT").equals(whole)
        assert client.bars("BTC-USDT", rows=60).equals(whole.reverse().head(60))
        assert client.bars("BTC-USDT", interval="5m").height == 24


def test_every_method_gives_a_frame_with_types(api: str) -> None:
    with CryptoIntel(_url(api)) as client:
        assert client.enriched("BTC-USDT").columns == MARKET_ENRICHED.column_names
        assert client.indicators("BTC-USDT")["bars_used"].to_list() == list(range(1, 25))
        assert client.news(asset="BTC", words="bitcoin").height == 20
        assert client.news(asset="ETH").schema["published_at"] == pl.Datetime("us", "UTC")
        assert client.alerts().height == 5
        assert client.gaps(state="open")["first_id"].to_list() == [71]
        assert client.macro("CPIAUCSL", as_of="2026-10-14")["value"].to_list() == [300.0]
        assert client.completeness(symbol="BTC-USDT")["bars"].sum() == 130
        assert client.symbols()["symbol"].to_list() == client.prices()["symbol"].to_list() == ["BTC-USDT", "ETH-USDT"]
        assert client.as_of("BTC-USDT", "binance", START, "2026-11-22")["close"] == 100.5
        assert client.lineage("price_move:binance:BTC-USDT:0")["bars"][0]["first_trade_id"] == 1
        assert client.health()["status"] == "ok"


def _asked(client: Any) -> dict[str, Any]:
    """What each read gives, or an awaitable of it: the same calls for both clients."""
    alert = "price_move:binance:BTC-USDT:0"
    return {
        "bars": client.bars("BTC-USDT", interval="5m"),
        "indicators": client.indicators("BTC-USDT"),
        "enriched": client.enriched("BTC-USDT", rows=7),
        "as_of": client.as_of("BTC-USDT", "binance", START, "2026-11-22"),
        "news": client.news(asset="BTC", sentiment_min=0.1),
        "alerts": client.alerts(rule="price_move"),
        "alert": client.alert(alert),
        "gaps": client.gaps(state="open"),
        "completeness": client.completeness(symbol="BTC-USDT"),
        "macro": client.macro("CPIAUCSL", as_of="2026-10-14"),
        "macro_series": client.macro_series(),
        "prices": client.prices(venue="binance"),
        "symbols": client.symbols(),
        "ranking": client.ranking(by="volume_24h_quote", rows=2),
        "lineage": client.lineage(alert),
        "config": client.config(),
    }


async def test_both_clients_give_the_same(api: str) -> None:
    acts = {"health", "acknowledge", "close_alert", "judge", "track", "keep", "audit", "predict", "predictions"}
    with CryptoIntel(_url(api)) as plain:
        expected = _asked(plain)
    async with AsyncCryptoIntel(_url(api)) as client:
        asked = _asked(client)
        found = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    for name, value in expected.items():
        assert value.equals(found[name]) if isinstance(value, pl.DataFrame) else value == found[name], name
        assert len(value) > 0, name
    assert {*expected, *acts} == {name for name in vars(Endpoints) if not name.startswith("_")}


def test_what_is_wrong_is_said(api: str, closed_api: str) -> None:
    with CryptoIntel(_url(api)) as client, pytest.raises(ApiError, match="symbol: String should match") as refused:
        client.bars("btc")
    assert (refused.value.status, refused.value.word) == (422, "invalid-parameters")
    with CryptoIntel(_url(closed_api)) as client, pytest.raises(ApiError, match="keys create"):
        client.symbols()


def test_alerts_are_judged_with_a_key(closed_api: str, judge_key: str) -> None:
    with CryptoIntel(_url(closed_api), key=judge_key) as client:
        judged = client.judge("price_move:binance:BTC-USDT:3", right=False, note="no")
        assert judged["alert"]["judged_wrong"] == 1
        assert client.acknowledge("price_move:binance:BTC-USDT:3")["alert"]["state"] == "acknowledged"


def test_it_waits_as_long_as_it_is_told_to_and_not_for_ever() -> None:
    def wait(status: int, attempt: int = 0, **headers: str) -> float | None:
        return ask.wait_s(httpx.Response(status, headers=headers), attempt)

    assert wait(429, **{"retry-after": "7"}) == 7
    assert wait(503) == 1
    assert wait(429, **{"retry-after": "9999"}) == 60
    assert wait(429, attempt=4) is None
    assert wait(500) is None


async def test_following_goes_on_after_the_api_was_restarted(api_dsn: str, tmp_path: Path) -> None:
    wanted = settings(api_dsn, tmp_path, open_reads=True)
    url = f"ws://127.0.0.1:{wanted.api.port}"
    updates = follow(channels=["prices"], symbols=["ETH-USDT"], url=url)
    with served(wanted):
        first = await asyncio.wait_for(anext(updates), 15)
        assert (first.is_snapshot, first.data["symbol"]) == (True, "ETH-USDT")
    with psycopg.connect(api_dsn) as connection:
        upsert_frame(connection, "live_markets", frame("live_markets", live(7.5, 9_000, symbol="ETH-USDT")))
    with served(wanted):
        again = await asyncio.wait_for(anext(updates), 30)
        assert again.data["price"] == 7.5
    await updates.aclose()  # type: ignore[attr-defined]


async def test_following_with_a_bad_key_ends_with_an_error(closed_api: str) -> None:
    with pytest.raises(ApiError, match="401"):
        await anext(follow(channels=["prices"], url=_url(closed_api).replace("http", "ws"), key="ci_no"))


def test_a_key_of_the_command_line_works(closed_api: str, api_dsn: str) -> None:
    key = keys.create(SecretStr(api_dsn), "notebook").get_secret_value()
    with CryptoIntel(_url(closed_api), key=key) as client:
        assert client.prices().height == 2


def test_the_client_needs_nothing_of_the_servers() -> None:
    program = "import crypto_intel.client, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    heavy = {"dagster", "pyspark", "psycopg", "fastapi", "confluent_kafka", "deltalake", "pandas"}
    assert not heavy & set(loaded)
    assert not [name for name in loaded if name.startswith(("streaming", "crypto_intel.serving", "crypto_intel.stack"))]
