"""What the API answers is what stands in the database, page by page, in every format."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import httpx
import polars as pl
import psycopg
import pytest
from psycopg.rows import dict_row

from crypto_intel.contracts.serving import BARS_1M
from crypto_intel_tests.crypto_intel.serving.api.conftest import MINUTES
from crypto_intel_tests.streaming.sinks.rows import KNOWN, START, bar, final, frame
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack

_EVERY_PAGE = (
    "/symbols", "/prices", "/bars?symbol=BTC-USDT", "/enriched?symbol=BTC-USDT",
    "/indicators?symbol=BTC-USDT", "/news", "/alerts", "/gaps",
    "/completeness", "/macro", "/macro/CPIAUCSL", "/ranking",
)  # fmt: skip


def _get(http: httpx.Client, path: str, **params: Any) -> Any:
    answer = http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_bars_are_those_of_the_database(http: httpx.Client, api_dsn: str) -> None:
    with psycopg.connect(api_dsn, row_factory=dict_row) as connection:
        stored = connection.execute("SELECT * FROM bars_1m ORDER BY window_start").fetchall()
    answered = _get(http, "/bars", symbol="BTC-USDT", start=START.isoformat(), limit=1000)["data"]
    for row in answered:
        for name in ("window_start", "window_end"):
            row[name] = datetime.fromisoformat(row[name])
    assert answered == stored


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_pages_hold_every_row_once_in_order(http: httpx.Client, interval: str, order: str) -> None:
    whole = _get(http, "/bars", symbol="BTC-USDT", interval=interval, order=order, limit=1000)["data"]
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = _get(http, "/bars", symbol="BTC-USDT", interval=interval, order=order, limit=7, **cursor)
        assert len(answer["data"]) <= 7
        pages += answer["data"]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert pages == whole
    assert len(whole) == {"1m": MINUTES, "5m": 24, "1h": 2}[interval]
    starts = [row["window_start"] for row in whole]
    assert starts == sorted(starts, reverse=order == "desc")


def test_an_hour_is_rolled_up_from_its_bars(http: httpx.Client) -> None:
    first, second = _get(http, "/bars", symbol="BTC-USDT", interval="1h", start=START.isoformat())["data"]
    assert (first["open"], first["close"], first["high"], first["low"]) == (100.0, 159.5, 161.0, 99.0)
    assert (first["trade_count"], first["first_trade_id"], first["last_trade_id"]) == (600, 1, 600)
    assert (first["volume_base"], first["completeness"]) == (24.0, "complete")
    assert second["return_pct"] == pytest.approx(100 * (219.5 / 159.5 - 1))
    (day,) = _get(http, "/bars", symbol="BTC-USDT", interval="1d")["data"]
    assert (day["completeness"], day["completeness_reason"]) == ("partial", "24 of 288 bars of 5 minutes")


def test_a_window_that_the_range_cuts_is_rolled_up_whole(http: httpx.Client) -> None:
    whole = _get(http, "/bars", symbol="BTC-USDT", interval="1h", order="asc")["data"]
    until = (START + timedelta(minutes=30)).isoformat()
    (cut,) = _get(http, "/bars", symbol="BTC-USDT", interval="1h", start=START.isoformat(), end=until)["data"]
    assert cut == whole[0]


def test_an_hour_that_has_closed_is_the_final_one(http: httpx.Client, api_dsn: str) -> None:
    market = {"symbol": "LTC-USDT"}
    rows = [bar(5 * n, window_end=START + timedelta(minutes=5 * n + 5), close=50.0 + n, **market) for n in range(24)]
    final_hour = bar(0, window_end=START + timedelta(hours=1), close=777.0, **market)
    with psycopg.connect(api_dsn) as connection:
        upsert_frame(connection, "bars_5m", frame("bars_5m", *rows))
        upsert_frame(connection, "bars_1h", frame("bars_1h", final_hour))
    hours = _get(http, "/bars", symbol="LTC-USDT", interval="1h", order="asc")["data"]
    assert [hour["close"] for hour in hours] == [777.0, 73.0]
    assert [hour["window_start"] for hour in hours] == ["2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z"]


def test_every_format_holds_the_same_rows(http: httpx.Client) -> None:
    query = {"symbol": "BTC-USDT", "limit": "50"}
    rows = _get(http, "/bars", **query)["data"]
    parquet = pl.read_parquet(http.get("/bars", params={**query, "format": "parquet"}).content)
    arrow = pl.read_ipc_stream(http.get("/bars", params=query, headers={"Accept": "application/vnd.apache.arrow.stream"}).content)  # fmt: skip # noqa: E501
    csv = pl.read_csv(io.BytesIO(http.get("/bars", params={**query, "format": "csv"}).content), try_parse_dates=True)
    assert parquet.equals(arrow)
    assert parquet.columns == csv.columns == BARS_1M.column_names
    assert csv["close"].to_list() == parquet["close"].to_list() == [row["close"] for row in rows]
    assert parquet["window_start"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").to_list() == [r["window_start"] for r in rows]


def test_the_next_page_of_a_table_is_named_in_its_headers(http: httpx.Client) -> None:
    first = http.get("/bars", params={"symbol": "BTC-USDT", "limit": "100", "format": "csv"})
    rest = http.get(first.links["next"]["url"].removeprefix("/api/v1"))
    assert len(rest.text.splitlines()) == 1 + MINUTES - 100
    assert "next" not in rest.links


@pytest.mark.parametrize("path", _EVERY_PAGE)
@pytest.mark.parametrize("kind", ["json", "csv", "parquet", "arrow"])
def test_every_page_comes_in_every_format(http: httpx.Client, path: str, kind: str) -> None:
    answer = http.get(path, params={**httpx.QueryParams(path.partition("?")[2]), "format": kind})
    assert answer.status_code == 200
    assert kind in answer.headers["content-type"]


def test_what_the_client_knows_is_not_sent_again(http: httpx.Client) -> None:
    first = http.get("/bars", params={"symbol": "BTC-USDT"})
    again = http.get("/bars", params={"symbol": "BTC-USDT"}, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get("/bars?symbol=BTC-USDT&limit=1", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_long_answers_are_compressed(http: httpx.Client) -> None:
    plain = http.get("/bars?symbol=BTC-USDT", headers={"Accept-Encoding": "identity"})
    packed = http.get("/bars?symbol=BTC-USDT", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert packed.json() == plain.json()


def test_a_row_is_answered_as_it_was_known(http: httpx.Client, api_dsn: str) -> None:
    later = KNOWN + timedelta(hours=1)
    with psycopg.connect(api_dsn) as connection:
        changed = frame("market_enriched", final(5, close=999.0, known_at=later))
        upsert_frame(connection, "market_enriched", changed)
    minute = {"symbol": "BTC-USDT", "venue": "binance", "window_start": (START + timedelta(minutes=5)).isoformat()}
    before = _get(http, "/as-of", **minute, known_by=(later - timedelta(seconds=1)).isoformat())
    after = _get(http, "/as-of", **minute, known_by=later.isoformat())
    assert (before["close"], before["is_final"], before["revision"]) == (105.5, False, 0)
    assert (after["close"], after["is_final"], after["revision"]) == (999.0, True, 1)
    nothing = http.get("/as-of", params={**minute, "known_by": (KNOWN - timedelta(seconds=1)).isoformat()})
    assert (nothing.status_code, nothing.json()["type"]) == (404, "urn:crypto-intel:problem:not-known-then")


def test_a_macro_value_counts_from_the_day_after_its_release(http: httpx.Client) -> None:
    def values(day: str) -> list[float]:
        return [row["value"] for row in _get(http, "/macro/CPIAUCSL", as_of=day)["data"]]

    assert values("2026-10-13") == []
    assert values("2026-10-14") == [300.0]
    assert values("2026-11-12") == [300.0]
    assert values("2026-11-13") == [301.0]
    assert [row["value"] for row in _get(http, "/macro/CPIAUCSL")["data"]] == [301.0]


def test_an_unknown_series_names_those_there_are(http: httpx.Client) -> None:
    answer = http.get("/macro/NOPE")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there are: CPIAUCSL")


def test_news_is_found_by_asset_words_and_mood(http: httpx.Client) -> None:
    assert len(_get(http, "/news", asset="BTC")["data"]) == 20
    assert _get(http, "/news", asset="ETH")["data"] == []
    assert len(_get(http, "/news", q="bitcoin -ether")["data"]) == 20
    assert [row["article_id"] for row in _get(http, "/news", q='"moves 7"')["data"]] == ["article-007"]
    assert {row["sentiment"] for row in _get(http, "/news", sentiment_min=0)["data"]} == {0.5}


def test_completeness_counts_the_bars_of_each_hour(http: httpx.Client) -> None:
    first, *_ = _get(http, "/completeness", symbol="BTC-USDT")["data"]
    assert (first["bars"], first["complete"], first["partial"]) == (60, 59, 1)
    assert first["reason"] == "ids 71-80 missing"


def test_gaps_tell_their_state(http: httpx.Client) -> None:
    states = {row["first_id"]: row["state"] for row in _get(http, "/gaps")["data"]}
    assert states == {71: "open", 500: "repaired"}
    assert [row["first_id"] for row in _get(http, "/gaps", state="open")["data"]] == [71]


def test_the_ranking_is_by_what_was_asked(http: httpx.Client) -> None:
    volumes = _get(http, "/ranking", by="volume_24h_quote")["data"]
    assert [(row["rank"], row["symbol"]) for row in volumes] == [(1, "BTC-USDT"), (2, "ETH-USDT")]
    assert volumes[0]["volume_24h_quote"] == pytest.approx(24 * 200.4)


def test_config_and_health_say_what_is_followed_and_how_it_is(http: httpx.Client) -> None:
    config = _get(http, "/config/crypto")
    assert [market["symbol"] for market in config["markets"]] == ["BTC-USDT", "ETH-USDT"]
    rules = {rule["rule"]: (rule["threshold"], rule["unit"], rule["changed_by"]) for rule in config["rules"]}
    assert rules["price_move"] == (0.6, "pct", "file")
    health = _get(http, "/health")
    assert (health["status"], health["database"], health["cache"]) == ("ok", True, True)
    assert {feed["symbol"]: feed["open_gaps"] for feed in health["feeds"]} == {"BTC-USDT": 1, "ETH-USDT": 0}


def test_incidents_of_the_platform_are_asked_for_as_a_venue(http: httpx.Client, api_dsn: str) -> None:
    incident = '{"alert_id": "lag:platform", "venue": "platform", "symbol": "*"}'
    with psycopg.connect(api_dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO alerts SELECT (jsonb_populate_record(a, %s::jsonb)).* FROM alerts a "
            "WHERE alert_id LIKE '%%:0'",
            (incident,),
        )
        try:
            rows = http.get("/alerts", params={"venue": "platform"}).json()["data"]
        finally:
            connection.execute("DELETE FROM alerts WHERE venue = 'platform'")
    assert [(row["alert_id"], row["symbol"]) for row in rows] == [("lag:platform", "*")]
