"""CoinGecko, RSS, Alpha Vantage and FRED's releases over real sockets: the same fields and types as recorded bodies."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_intel.contracts.events import Quote
from crypto_intel_tests.streaming.producers.harness import MemorySink, replayed, simulated
from crypto_intel_tests.streaming.producers.polled import begin, details, poll_settings, polling
from streaming.producers.coingecko import Tickers, parse_chart, parse_market, parse_rows
from streaming.producers.rss import parse_feed, parse_item
from streaming.simulator.app import Simulator
from streaming.simulator.rss import PUBLISHERS

pytestmark = pytest.mark.stack

FRED = {"api_key": "x", "file_type": "json"}
AV = {"apikey": "x"}


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulated(tmp_path, trades_per_second=25) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{simulator.rest_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as opened:
        yield opened


def kinds(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The types that each field of a list of objects has; an int is a float that happens to be whole."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, set()).add({"int": "float"}.get(type(value).__name__, type(value).__name__))
    return found


async def test_markets_have_the_fields_and_types_of_recorded_ones(client: httpx.AsyncClient, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "coingecko" / "coins_markets_250_20220223.json").read_bytes())
    asked = {"vs_currency": "usd", "price_change_percentage": "1h,24h,7d,14d,30d,200d,1y"}
    simulated_rows = (await client.get("/api/v3/coins/markets", params=asked)).json()
    assert len(simulated_rows) == 11
    real, ours = kinds(recorded), kinds(simulated_rows)
    assert set(ours) == set(real)
    for name, types in ours.items():
        assert types <= real[name], name
    assert any(row["roi"] and set(row["roi"]) == {"times", "currency", "percentage"} for row in simulated_rows)


async def test_markets_without_windows_have_the_base_fields_in_order(
    client: httpx.AsyncClient, shared_data: Path
) -> None:
    recorded = json.loads((shared_data / "coingecko" / "coins_markets_bitcoin_2021.json").read_bytes())
    [row] = (await client.get("/api/v3/coins/markets", params={"vs_currency": "usd", "ids": "bitcoin"})).json()
    assert list(row) == list(recorded[0])


async def test_quotes_are_the_markets_prices_and_a_bogus_token_comes_first(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    body = (await client.get("/api/v3/coins/markets", params={"vs_currency": "usd", "per_page": 3})).content
    tickers = Tickers()
    quotes = [parse_market(row, simulator.world.now_us(), tickers) for row in parse_rows(body)]
    assert [quote.symbol for quote in quotes] == ["WRTH-USD", "BTC-USD", "ETH-USD"]
    symbol = next(s for s in simulator.world.backing.symbols if s.base == "BTC")
    [trade] = simulator.world.backing.trades_from(symbol, None, 1)
    assert float(quotes[1].price) == pytest.approx(trade.price_e8 / 1e8, rel=0.01)


@pytest.mark.parametrize("days", ["1", "30", "max"])
async def test_charts_have_the_form_of_recorded_ones(
    client: httpx.AsyncClient, simulator: Simulator, shared_data: Path, days: str
) -> None:
    recorded = json.loads((shared_data / "coingecko" / "market_chart_bitcoin_5min_1d_2021.json").read_bytes())
    path = "/api/v3/coins/bitcoin/market_chart"
    response = await client.get(path, params={"vs_currency": "usd", "days": days})
    body = response.json()
    assert list(body) == list(recorded)
    assert len(body["prices"]) == len(body["market_caps"]) == len(body["total_volumes"])
    points = list(parse_chart(response.content, "BTC-USD", simulator.world.now_us()))
    assert all(isinstance(point, Quote) for point in points)
    assert len(points) > {"1": 250, "30": 20, "max": 1}[days]


@pytest.mark.parametrize(
    ("path", "params", "status", "error"),
    [
        ("/api/v3/coins/markets", {}, 422, "Missing parameter vs_currency"),
        ("/api/v3/coins/markets", {"vs_currency": "gold"}, 422, "invalid vs_currency"),
        ("/api/v3/coins/nope/market_chart", {"vs_currency": "usd"}, 404, "coin not found"),
        ("/api/v3/coins/bitcoin/market_chart", {"vs_currency": "usd"}, 422, "Invalid days parameter"),
    ],
)
async def test_coingeckos_refusals_have_its_envelope(
    client: httpx.AsyncClient, path: str, params: dict[str, str], status: int, error: str
) -> None:
    answer = await client.get(path, params=params)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize("publisher", PUBLISHERS, ids=lambda publisher: publisher.key)
async def test_each_feed_is_well_formed_and_whole(
    client: httpx.AsyncClient, simulator: Simulator, publisher: Any
) -> None:
    url = f"http://127.0.0.1:{simulator.rest_port}/rss/{publisher.key}.xml"
    body = (await client.get(url)).content
    feed = parse_feed(body, url)
    now = simulator.world.now_us()
    articles = [parse_item(item, publisher.name, url, now) for item in feed.items]
    assert not feed.is_damaged
    assert 20 < len(articles) <= 60
    assert all("imulated" in article.title and len(article.symbols) == 1 for article in articles)
    assert all(article.tags == ("Simulated", article.symbols[0]) for article in articles)
    assert not any(
        mark in f"{a.url}{a.title}{a.summary}" for a in articles for mark in ("utm_", "<", "CDATA", "alert(")
    )
    again = parse_feed((await client.get(url)).content, url)
    assert [item.link for item in again.items][-10:] == [item.link for item in feed.items][-10:]


async def test_feeds_have_the_quirks_that_real_ones_have(client: httpx.AsyncClient) -> None:
    texts = {publisher.key: (await client.get(f"/rss/{publisher.key}.xml")).text for publisher in PUBLISHERS}
    assert "<title><![CDATA[" in texts["herald"]
    assert 'isPermaLink="false"' in texts["herald"]
    assert "utm_source=rss_feed&utm_medium=rss" in texts["telegram"]
    assert "<script>" in texts["telegram"]
    assert "<link>/" in texts["decoder"]
    assert "+0000" not in texts["decoder"]
    assert "<feed " in texts["magazine"]
    assert "&#39;" in texts["ledger"]


@pytest.mark.parametrize("path", ["/rss/herald.xml", "/api/v3/coins/markets?vs_currency=usd&ids=none"])
async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(path)
    same = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    other = await client.get(path, headers={"If-None-Match": 'W/"other"'})
    assert (same.status_code, same.content, other.status_code) == (304, b"", 200)


def shape(value: Any) -> Any:
    """Types at every depth; of objects with dates as keys, of one of them."""
    if isinstance(value, dict):
        dated = {name: inner for name, inner in value.items() if not name[:4].isdigit()}
        rest = [inner for name, inner in value.items() if name[:4].isdigit()]
        return {**{name: shape(inner) for name, inner in dated.items()}, **({"*": shape(rest[0])} if rest else {})}
    return type(value).__name__


@pytest.mark.parametrize(
    ("file", "params"),
    [
        ("FX_DAILY_EURUSD_full.json.gz", {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD"}),
        (
            "TIME_SERIES_INTRADAY_AAPL_15min_20210818.json",
            {"function": "TIME_SERIES_INTRADAY", "symbol": "AAPL", "interval": "15min"},
        ),
        (
            "CURRENCY_EXCHANGE_RATE_EURUSD.json",
            {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "EUR", "to_currency": "USD"},
        ),
    ],
)
async def test_alpha_vantages_bodies_have_the_shape_of_recorded_ones(
    client: httpx.AsyncClient, shared_data: Path, file: str, params: dict[str, str]
) -> None:
    raw = (shared_data / "alphavantage" / file).read_bytes()
    recorded = json.loads(gzip.decompress(raw) if file.endswith(".gz") else raw)
    assert shape((await client.get("/query", params={**AV, **params})).json()) == shape(recorded)


async def test_a_closed_candle_does_not_change_and_days_follow_each_other(client: httpx.AsyncClient) -> None:
    params = {**AV, "function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}
    rows = (await client.get("/query", params=params)).json()["Time Series (Digital Currency Daily)"]
    again = (await client.get("/query", params=params)).json()["Time Series (Digital Currency Daily)"]
    assert len(rows) == 100
    assert list(rows.items())[1:] == list(again.items())[1:]
    newest, before = list(rows.values())[:2]
    assert newest["1. open"] == before["4. close"]


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"function": "FX_DAILY"}, "Error Message"),
        ({**AV, "function": "NOPE"}, "Error Message"),
        ({**AV, "function": "FX_DAILY"}, "Error Message"),
    ],
)
async def test_alpha_vantages_errors_come_with_status_200(
    client: httpx.AsyncClient, params: dict[str, str], key: str
) -> None:
    answer = await client.get("/query", params=params)
    assert answer.status_code == 200
    assert list(answer.json()) == [key]


async def test_freds_releases_name_a_series_days(client: httpx.AsyncClient) -> None:
    release = (await client.get("/fred/series/release", params={**FRED, "series_id": "CPIAUCSL"})).json()
    assert set(release) == {"realtime_start", "realtime_end", "releases"}
    [told] = release["releases"]
    assert (told["id"], told["name"]) == (10, "Consumer Price Index")
    asked = {**FRED, "release_id": 10, "sort_order": "desc", "limit": 3}
    dates = (await client.get("/fred/release/dates", params=asked)).json()
    assert dates["count"] > 500
    assert [set(day) for day in dates["release_dates"]] == [{"release_id", "date"}] * 3
    ahead = (
        await client.get("/fred/release/dates", params={**asked, "include_release_dates_with_no_data": "true"})
    ).json()
    assert ahead["release_dates"][0]["date"] > dates["release_dates"][0]["date"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/fred/series/release", {"series_id": "NOPE"}),
        ("/fred/release/dates", {"release_id": "1"}),
        ("/fred/release/dates", {"release_id": "x"}),
    ],
)
async def test_unknown_releases_are_refused_in_freds_words(
    client: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    answer = await client.get(path, params={**FRED, **params})
    assert answer.status_code == 400
    assert answer.json()["error_message"].startswith("Bad Request.")


async def test_in_a_replay_quotes_are_those_of_the_recording(tmp_path: Path, shared_data: Path) -> None:
    sink = MemorySink()
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw", 0) as running:
        begin(running)
        running.world.backing.due(frozenset())
        async with polling(poll_settings(running), sink, "coingecko", "alphavantage") as pollers:
            for poller in pollers:
                await poller.poll()
    assert all(detail.startswith("ok") for detail in details(sink).values())
    bitcoin = [quote for quote in sink.quotes("BTC-USD") if quote.venue == "coingecko"]
    assert 61_000 < float(bitcoin[0].price) < 62_000
    assert {quote.symbol for quote in sink.quotes() if quote.venue == "coingecko"} == {"WRTH-USD", "BTC-USD", "ETH-USD"}
