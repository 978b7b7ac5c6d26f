"""Input that means harm: injections, nonsense, secrets in answers. Nothing of it has an effect or a 5xx."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest

from crypto_intel_tests.crypto_intel.serving.api.server import served, settings

pytestmark = pytest.mark.stack

_CORPUS = (
    "'", '"', "';--", "' OR '1'='1", "1; DROP TABLE alerts;--", "' UNION SELECT secret_sha256 FROM ops.api_keys--",
    "$$; DELETE FROM alerts; $$", "BTC-USDT'; UPDATE alerts SET state='closed'", "\\'; SELECT pg_sleep(10);--",
    "%27%20OR%201=1", "%(symbol)s", "{}", "{0.__class__}", "\x00", "BTC-USDT\x00", "../../etc/passwd", "\u202e",
    "BTC-USDT\n", "\uff07", "A" * 10_000, "NaN", "1e999", "-1", "99999999999999999999", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-14:00", "infinity", "2026-13-45", "[]", "null", "true", "<script>alert(1)</script>",
)  # fmt: skip
_PLACES = {
    "/bars": ("symbol", "venue", "start", "end", "limit", "cursor", "order", "interval", "format"),
    "/enriched": ("symbol", "final_only", "cursor"),
    "/as-of": ("symbol", "venue", "window_start", "known_by"),
    "/news": ("asset", "q", "sentiment_min", "cursor", "start"),
    "/alerts": ("symbol", "state", "rule", "severity", "cursor"),
    "/gaps": ("state", "cursor", "venue"),
    "/completeness": ("symbol", "start", "end"),
    "/macro/CPIAUCSL": ("as_of", "start", "cursor", "order"),
    "/ranking": ("by", "limit", "ascending"),
    "/prices": ("symbol", "venue"),
}
_GOOD = {
    "/bars": {"symbol": "BTC-USDT"},
    "/enriched": {"symbol": "BTC-USDT"},
    "/as-of": {
        "symbol": "BTC-USDT",
        "venue": "binance",
        "window_start": "2026-11-20T12:00:00Z",
        "known_by": "2026-11-21T12:00:00Z",
    },
}


def _fingerprint(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT (SELECT md5(string_agg(a::text, '' ORDER BY alert_id)) FROM alerts a), "
            "(SELECT count(*) FROM bars_1m), (SELECT count(*) FROM ops.api_keys), "
            "(SELECT count(*) FROM ops.alert_actions)"
        ).fetchall()


@pytest.mark.parametrize("path", _PLACES)
def test_an_injection_is_an_error_or_a_plain_value(http: httpx.Client, api_dsn: str, path: str) -> None:
    before = _fingerprint(api_dsn)
    for place in _PLACES[path]:
        for text in _CORPUS:
            answer = http.get(path, params={**_GOOD.get(path, {}), place: text})
            assert answer.status_code < 500, (place, text, answer.text)
            assert answer.elapsed.total_seconds() < 5, (place, text)
            if answer.status_code != 200:
                assert answer.headers["content-type"] == "application/problem+json"
    assert _fingerprint(api_dsn) == before


@pytest.mark.parametrize("template", ["/macro/{}", "/alerts/{}", "/lineage/{}"])
def test_an_injection_in_a_path_finds_nothing(http: httpx.Client, template: str) -> None:
    for text in _CORPUS:
        answer = http.get(template.format(quote(text, safe="")))
        assert answer.status_code in {200, 404, 422}, (text, answer.text)


def test_a_cursor_that_was_tampered_with_is_refused(http: httpx.Client) -> None:
    page = http.get("/bars", params={"symbol": "BTC-USDT", "limit": 5}).json()
    good = page["next_cursor"]
    content = json.loads(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    forged = [
        [content[0], "x", "binance"], [content[0], content[1], 5], [content[0], content[1]], ["0" * 12, *content[1:]],
        [content[0], "9999-12-31T23:59:59-23:59", "binance"], [content[0], content[1], "a\x00"], {}, None, 7,
        [content[0], None, None], "text",
    ]  # fmt: skip
    for value in forged:
        cursor = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        answer = http.get("/bars", params={"symbol": "BTC-USDT", "limit": 5, "cursor": cursor})
        assert answer.status_code == 422, value
    other = http.get("/bars", params={"symbol": "ETH-USDT", "limit": 5, "cursor": good})
    assert (other.status_code, "another query" in other.json()["detail"]) == (422, True)


def test_unknown_parameters_are_refused_with_what_is_allowed(http: httpx.Client) -> None:
    answer = http.get("/bars", params={"symbol": "BTC-USDT", "limits": 5, "interval": "2m"})
    errors = {error["field"]: error["allowed"] for error in answer.json()["errors"]}
    assert errors == {"limits": "only the documented parameters", "interval": "'1m', '5m', '1h' or '1d'"}


def test_a_range_that_is_too_long_says_how_long_it_may_be(http: httpx.Client) -> None:
    for path, days in (("/bars?symbol=BTC-USDT&interval=1h", 92), ("/completeness?", 8)):
        answer = http.get(f"{path}&start=2020-01-01&end=2026-01-01")
        assert (answer.status_code, f"at most {days} days" in answer.json()["detail"]) == (422, True)


def test_a_body_of_another_type_or_size_is_refused(closed_api: str, judge_key: str) -> None:
    url, headers = f"{closed_api}/alerts/price_move:binance:BTC-USDT:2/acknowledge", {"X-API-Key": judge_key}
    assert httpx.post(url, headers={**headers, "Content-Type": "text/plain"}, content='{"note":"x"}').status_code == 422
    assert httpx.post(url, headers=headers, json={"note": "x" * 1_001}).status_code == 422
    assert httpx.post(url, headers=headers, json={"note": "a\x00b"}).status_code == 422
    assert httpx.post(url, headers=headers, content=b"x" * 100_000).status_code == 413
    assert httpx.post(url, headers=headers, content=iter([b"x" * 10_000] * 10)).status_code == 400


def test_text_from_outside_is_json_and_never_a_page(http: httpx.Client) -> None:
    answer = http.get("/news?limit=1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_api_works_without_redis_and_answers_the_same(api: str, api_dsn: str, data_dir: Path) -> None:
    with served(settings(api_dsn, data_dir, "redis://:secret@127.0.0.1:1/0", open_reads=True)) as lonely:
        for path in ("/symbols", "/prices", "/ranking", "/completeness", "/bars?symbol=BTC-USDT", "/alerts"):
            assert httpx.get(lonely + path).json() == httpx.get(api + path).json()
        assert httpx.get(f"{lonely}/health").json()["cache"] is False


def test_without_a_database_it_says_to_try_again_and_shows_no_secret(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip # noqa: E501
    dsn = "postgresql://canary-user:canary-password@127.0.0.1:1/db"
    with served(settings(dsn, data_dir, "redis://:canary-password@127.0.0.1:1/0", open_reads=True)) as address:
        paths = ("/symbols", "/health", "/bars?symbol=BTC-USDT")
        with ThreadPoolExecutor(len(paths)) as at_once:  # each waits for a connection
            answers = list(at_once.map(lambda path: httpx.get(address + path, timeout=20), paths))
    assert [answer.status_code for answer in answers] == [503] * 3
    assert all(answer.headers["retry-after"] for answer in answers)
    shown = "".join(answer.text + str(answer.headers) for answer in answers) + "".join(capfd.readouterr())
    assert "canary-password" not in shown
