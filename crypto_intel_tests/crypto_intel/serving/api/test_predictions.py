"""Predictions through the API: kept before they can be known, shown to their owner alone, beside what became true."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.client import CryptoIntel
from crypto_intel.serving import keys
from crypto_intel_tests.crypto_intel.serving.api.conftest import MINUTES
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack
NOW = sample.START + timedelta(minutes=MINUTES)
"""The newest trade, at the end of the last bar."""


@pytest.fixture
def model() -> str:
    """A model of this test's own: what is kept stays."""
    return f"gru-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def key(api_dsn: str) -> str:
    """A key that may keep predictions."""
    return keys.create(SecretStr(api_dsn), "test model", ["read", "predictions"]).get_secret_value()


def _row(model: str, minutes: int = 5, **changes: object) -> dict[str, object]:
    target = (NOW + timedelta(minutes=minutes)).isoformat()
    return {"model": model, **sample.MARKET, "measure": "price", "target_at": target, "value": 230.0, **changes}


def _post(url: str, key: str, *rows: dict[str, object]) -> httpx.Response:
    return httpx.post(f"{url}/predictions", json={"predictions": rows}, headers={"X-API-Key": key}, timeout=20)


def _list(url: str, key: str, **params: object) -> httpx.Response:
    return httpx.get(f"{url}/predictions", params=params, headers={"X-API-Key": key}, timeout=20)  # type: ignore[arg-type]


def test_what_was_predicted_stands_beside_what_became_true(closed_api: str, api_dsn: str, key: str, model: str) -> None:
    measures = {"price": 230.0, "return_pct": 1.0, "up_probability": 0.75}
    rows = [_row(model, measure=measure, value=value) for measure, value in measures.items()]
    kept = _post(closed_api, key, *rows).json()
    assert (kept["kept"], kept["repeated"], datetime.fromisoformat(kept["predicted_at"])) == (3, 0, NOW)
    assert {row["actual"] for row in _list(closed_api, key, model=model).json()["data"]} == {None}
    with psycopg.connect(api_dsn) as connection:
        target = sample.bar(MINUTES + 4, close=231.0, coverage_pct=80.0, completeness="partial")
        upsert_frame(connection, "bars_1m", sample.frame("bars_1m", target))
    found = {row["measure"]: row for row in _list(closed_api, key, model=model).json()["data"]}
    truth = {"price": 231.0, "return_pct": 100 * (231.0 / 229.5 - 1), "up_probability": 1.0}
    assert {name: row["actual"] for name, row in found.items()} == pytest.approx(truth)
    errors = {name: measures[name] - truth[name] for name in measures}
    assert {name: row["error"] for name, row in found.items()} == pytest.approx(errors)
    assert {(row["coverage_pct"], row["completeness"]) for row in found.values()} == {(80.0, "partial")}


def test_another_key_sees_none_of_them_and_neither_does_an_admin(
    closed_api: str, api_dsn: str, key: str, model: str
) -> None:
    _post(closed_api, key, _row(model))
    assert len(_list(closed_api, key, model=model).json()["data"]) == 1
    for scopes in (["predictions"], ["admin"]):
        other = keys.create(SecretStr(api_dsn), "other", scopes).get_secret_value()
        assert _list(closed_api, other).json()["data"] == []


def test_without_the_scope_nothing_is_kept_or_shown(closed_api: str, api: str, judge_key: str, model: str) -> None:
    assert _post(closed_api, judge_key, _row(model)).status_code == 403
    assert _list(closed_api, judge_key).status_code == 403
    assert httpx.get(f"{api}/predictions").status_code == 403  # reads are open there, but nobody owns anything


def test_one_that_is_late_keeps_all_of_them_away(closed_api: str, key: str, model: str) -> None:
    refused = _post(closed_api, key, _row(model), _row(model, minutes=0))
    assert (refused.status_code, "must lie after" in refused.json()["detail"]) == (422, True)
    half = _row(model, target_at=(NOW + timedelta(minutes=5, seconds=30)).isoformat())
    assert _post(closed_api, key, half).status_code == 422
    assert _list(closed_api, key, model=model).json()["data"] == []


@pytest.mark.parametrize(
    "wrong", [{"value": "1"}, {"value": True}, {"target_at": 4_070_908_800}, {"measure": "luck"}, {"owner": "user:bob"}]
)
def test_a_value_of_another_type_is_refused(closed_api: str, key: str, model: str, wrong: dict[str, object]) -> None:
    assert _post(closed_api, key, {**_row(model), **wrong}).status_code == 422
    assert _list(closed_api, key, model=model).json()["data"] == []


def test_a_request_that_is_sent_again_changes_nothing(closed_api: str, key: str, model: str) -> None:
    first, again = (_post(closed_api, key, _row(model)).json() for _ in range(2))
    assert (first["kept"], again["kept"], again["repeated"], again["predicted_at"]) == (1, 0, 1, None)


def test_the_client_keeps_and_reads_them(closed_api: str, key: str, model: str) -> None:
    with CryptoIntel(closed_api.removesuffix("/api/v1"), key=key) as client:
        rows = [{**_row(model), "target_at": NOW + timedelta(minutes=minutes)} for minutes in (5, 6)]
        assert client.predict(rows)["kept"] == 2
        frame = client.predictions(model=model)
    assert frame["target_at"].to_list() == [NOW + timedelta(minutes=minutes) for minutes in (5, 6)]
    assert frame["owner"].unique().to_list() == [f"key:{key.split('_')[1]}"]
