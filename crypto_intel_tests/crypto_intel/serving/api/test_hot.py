"""Kept answers: the same as made ones, never older than may be, never for somebody who may not read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.serving import keys
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings
from crypto_intel_tests.streaming.sinks.rows import frame, live
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack

_PATHS = ("/bars?symbol=BTC-USDT", "/bars?symbol=BTC-USDT&format=arrow", "/prices", "/news?asset=BTC", "/symbols")


@pytest.fixture(scope="module")
def kept_api(api_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API whose answers may be a minute old."""
    with served(settings(api_dsn, tmp_path_factory.mktemp("kept"), open_reads=True, keep_s=60)) as address:
        yield address


def _price(answer: httpx.Response) -> float:
    found = {row["symbol"]: row["price"] for row in answer.json()["data"]}
    return float(found["ETH-USDT"])


def _move(dsn: str, price: float, second: int) -> None:
    with psycopg.connect(dsn) as connection:
        upsert_frame(connection, "live_markets", frame("live_markets", live(price, second, symbol="ETH-USDT")))


@pytest.mark.parametrize("path", _PATHS)
def test_a_kept_answer_is_the_one_that_was_made(kept_api: str, api: str, path: str) -> None:
    made, first, second = httpx.get(api + path), httpx.get(kept_api + path), httpx.get(kept_api + path)
    assert made.content == first.content == second.content
    names = ("etag", "content-type", "vary", "cache-control", "x-content-type-options", "content-encoding")
    assert [made.headers.get(name) for name in names] == [second.headers.get(name) for name in names]


def test_an_answer_is_kept_and_another_question_is_another_answer(kept_api: str, api_dsn: str) -> None:
    before = httpx.get(f"{kept_api}/prices?symbol=ETH-USDT")
    _move(api_dsn, 4242.0, 20_000)
    assert _price(httpx.get(f"{kept_api}/prices?symbol=ETH-USDT")) == _price(before) != 4242.0
    assert _price(httpx.get(f"{kept_api}/prices?symbol=ETH-USDT&venue=binance")) == 4242.0
    csv = httpx.get(f"{kept_api}/prices?symbol=ETH-USDT", headers={"Accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    plain = httpx.get(f"{kept_api}/bars?symbol=BTC-USDT", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.json()["data"]) == 130


def test_an_answer_is_made_anew_when_it_is_too_old(api_dsn: str, data_dir: Path) -> None:
    with served(settings(api_dsn, data_dir, open_reads=True, keep_s=0.2)) as address:
        httpx.get(f"{address}/prices")
        _move(api_dsn, 777.0, 30_000)
        deadline = time.monotonic() + 5
        while _price(httpx.get(f"{address}/prices")) != 777.0:
            assert time.monotonic() < deadline, "an answer is kept for longer than it may be"


def test_what_a_client_has_already_is_not_sent_again_and_others_still_get_it(kept_api: str) -> None:
    path = f"{kept_api}/bars?symbol=BTC-USDT&limit=33"
    tag = httpx.get(path.replace("33", "34")).headers["etag"]
    assert httpx.get(path, headers={"If-None-Match": "*"}).status_code == 304  # nothing was kept before
    answer = httpx.get(path)
    assert (answer.status_code, len(answer.json()["data"])) == (200, 33)
    again = httpx.get(path, headers={"If-None-Match": f'"x", {answer.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert httpx.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_who_asks_is_checked_and_counted_for_kept_answers_too(api_dsn: str, data_dir: Path) -> None:
    key = keys.create(SecretStr(api_dsn), "hasty", rate_per_minute=3).get_secret_value()
    with served(settings(api_dsn, data_dir, keep_s=60)) as address:
        answers = [httpx.get(f"{address}/symbols", headers={"X-API-Key": key}) for _ in range(4)]
        stranger = httpx.get(f"{address}/symbols")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert stranger.status_code == 401
    assert stranger.headers["content-type"] == "application/problem+json"
    assert stranger.headers["x-content-type-options"] == "nosniff"


def test_errors_are_not_kept(kept_api: str) -> None:
    for _ in range(2):
        answer = httpx.get(f"{kept_api}/bars?symbol=btc")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_readers_who_come_together_have_it_made_once(api_dsn: str, data_dir: Path) -> None:
    asking = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with (
        served(settings(api_dsn, data_dir, open_reads=True, keep_s=4)) as address,
        psycopg.connect(api_dsn) as holding,
        psycopg.connect(api_dsn, autocommit=True) as watching,
    ):
        holding.execute("LOCK TABLE public.bars_1m IN ACCESS EXCLUSIVE MODE")
        place = urlsplit(address)
        readers = [HTTPConnection(place.netloc, timeout=10) for _ in range(20)]
        for reader in readers:
            reader.request("GET", f"{place.path}/bars?symbol=BTC-USDT&limit=7")  # sent; nobody has an answer yet
        deadline = time.monotonic() + 4
        while watching.execute(asking).fetchone() == (0,):
            assert time.monotonic() < deadline, "nobody asks the database"
        for _ in range(2):  # what comes later is answered: so the server has taken all of them in
            httpx.get(f"{address}/health/live").raise_for_status()
        assert watching.execute(asking).fetchone() == (1,)
        holding.rollback()
        found = [(answer.status, len(json.loads(answer.read())["data"])) for answer in map(_answer, readers)]
    assert found == [(200, 7)] * 20


def _answer(reader: HTTPConnection) -> HTTPResponse:
    return reader.getresponse()
