"""What is followed and how: changed with an admin key alone, whole or not at all, and kept with who did it."""

from __future__ import annotations

import json

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.client import ApiError, CryptoIntel
from crypto_intel.serving import keys

pytestmark = pytest.mark.stack


@pytest.fixture
def admin_key(api_dsn: str) -> str:
    """A key that may change what is set."""
    return keys.create(SecretStr(api_dsn), "test admin", ["admin"]).get_secret_value()


@pytest.fixture
def admin(closed_api: str, admin_key: str) -> httpx.Client:
    """A client with it."""
    return httpx.Client(base_url=closed_api, headers={"X-API-Key": admin_key}, timeout=20)


def _coins(config: dict[str, object]) -> dict[str, bool]:
    return {f"{coin['venue']}:{coin['symbol']}": coin["is_tracked"] for coin in config["coins"]}  # type: ignore[attr-defined]


def test_a_coin_is_tracked_and_let_go_and_who_did_it_is_kept(admin: httpx.Client, admin_key: str) -> None:
    coin = {"venue": "kraken", "symbol": "SOL-USD", "note": "asked for"}
    assert _coins(admin.patch("/config/crypto", json={"coins": [coin]}).json())["kraken:SOL-USD"] is True
    gone = admin.patch("/config/crypto", json={"coins": [{**coin, "is_tracked": False}]})
    assert _coins(gone.json())["kraken:SOL-USD"] is False
    changes = admin.get("/config/audit", params={"table_name": "public.coins", "order": "asc"}).json()["data"]
    assert [change["action"] for change in changes] == ["insert", "update"]
    assert {change["actor"] for change in changes} == {f"key:{admin_key.split('_')[1]}"}
    assert {change["row_key"] for change in changes} == {"kraken/SOL-USD"}
    assert [json.loads(changes[1][side])["is_tracked"] for side in ("before", "after")] == [True, False]


def test_retention_is_changed_and_an_unknown_table_changes_nothing(admin: httpx.Client) -> None:
    config = admin.patch("/config/crypto", json={"retention": [{"table_name": "public.quotes", "keep_days": 7}]}).json()
    assert {"table_name": "public.quotes", "keep_days": 7}.items() <= _of(config, "public.quotes").items()
    wrong = [{"table_name": "public.articles", "keep_days": 1}, {"table_name": "public.nothing", "keep_days": 1}]
    assert admin.patch("/config/crypto", json={"retention": wrong}).status_code == 404
    assert _of(admin.get("/config/crypto").json(), "public.articles")["keep_days"] == 180


def _of(config: dict[str, list[dict[str, object]]], table: str) -> dict[str, object]:
    return next(rule for rule in config["retention"] if rule["table_name"] == table)


def test_a_rule_is_changed_within_its_bounds(admin: httpx.Client, admin_key: str) -> None:
    def rule(answer: httpx.Response) -> dict[str, object]:
        return next(rule for rule in answer.json()["rules"] if rule["rule"] == "price_move")

    before = rule(admin.get("/config/crypto"))
    after = rule(admin.patch("/config/crypto", json={"rules": [{"rule": "price_move", "threshold": 1.25}]}))
    own = ("threshold", "revision", "changed_by", "changed_at")
    assert {name: value for name, value in before.items() if name not in own}.items() <= after.items()
    assert (after["threshold"], after["revision"]) == (1.25, before["revision"] + 1)
    assert after["changed_by"] == f"key:{admin_key.split('_')[1]}"
    wrong = admin.patch("/config/crypto", json={"rules": [{"rule": "price_move", "threshold": 101}]})
    assert (wrong.status_code, "less than or equal to 100" in wrong.json()["detail"]) == (422, True)
    assert admin.patch("/config/crypto", json={"rules": [{"rule": "nothing"}]}).status_code == 404
    assert rule(admin.get("/config/crypto"))["threshold"] == 1.25


def test_nobody_but_an_admin_changes_or_sees_who_did(closed_api: str, api: str, judge_key: str) -> None:
    body = {"coins": [{"venue": "kraken", "symbol": "XRP-USD"}]}
    for url, headers in ((closed_api, {"X-API-Key": judge_key}), (api, {})):
        assert httpx.patch(f"{url}/config/crypto", json=body, headers=headers).status_code == 403
        assert httpx.get(f"{url}/config/audit", headers=headers).status_code == 403
        assert "kraken:XRP-USD" not in _coins(httpx.get(f"{url}/config/crypto", headers=headers).json())
    assert httpx.patch(f"{closed_api}/config/crypto", json=body).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"coins": [{"venue": "nowhere", "symbol": "BTC-USDT"}]},
        {"coins": [{"venue": "binance", "symbol": "btc"}]},
        {"coins": [{"venue": "binance", "symbol": "BTC-USDT", "admin": True}]},
        {"coins": [{"venue": "binance", "symbol": "BTC-USDT", "is_tracked": 0}]},
        {"retention": [{"table_name": "public.quotes", "keep_days": "7"}]},
        {"retention": [{"table_name": "public.quotes", "keep_days": 0}]},
        {"retention": [{"table_name": "public.quotes; DROP TABLE public.quotes", "keep_days": 1}]},
        {"rules": "none"},
        [],
    ],
)
def test_what_does_not_fit_changes_nothing(admin: httpx.Client, body: object) -> None:
    before = admin.get("/config/crypto").json()
    assert admin.patch("/config/crypto", json=body).status_code == 422
    assert admin.get("/config/crypto").json() == before


def test_what_looks_like_sql_is_kept_as_words(admin: httpx.Client, api_dsn: str) -> None:
    words = "'); DELETE FROM ops.audit; -- %(venue)s {0} $$"
    admin.patch("/config/crypto", json={"coins": [{"venue": "binance", "symbol": "LTC-USDT", "note": words}]})
    (change,) = admin.get("/config/audit", params={"limit": 1}).json()["data"]
    assert json.loads(change["after"])["note"] == words
    with psycopg.connect(api_dsn) as connection:
        assert connection.execute("SELECT note FROM coins WHERE symbol = 'LTC-USDT'").fetchall() == [(words,)]


@pytest.mark.parametrize(
    "table_name", ["public.coins'--", "ops.audit; SELECT 1", "x" * 500, "public.coins\x00", "coins"]
)
def test_a_filter_that_is_no_table_is_refused(admin: httpx.Client, table_name: str) -> None:
    assert admin.get("/config/audit", params={"table_name": table_name}).status_code == 422


def test_the_client_tracks_coins(closed_api: str, admin_key: str, judge_key: str) -> None:
    url = closed_api.removesuffix("/api/v1")
    with CryptoIntel(url, key=admin_key) as client:
        assert _coins(client.track("binance", "TRX-USDT"))["binance:TRX-USDT"] is True
        assert _coins(client.track("binance", "TRX-USDT", tracked=False))["binance:TRX-USDT"] is False
        assert client.audit(rows=1)["row_key"].to_list() == ["binance/TRX-USDT"]
    with CryptoIntel(url, key=judge_key) as client, pytest.raises(ApiError, match="'admin' is needed"):
        client.track("binance", "TRX-USDT")


def test_keys_are_in_the_audit_without_their_hashes(api_dsn: str, admin_key: str) -> None:
    key_id = admin_key.split("_")[1]
    assert keys.revoke(SecretStr(api_dsn), key_id)
    with psycopg.connect(api_dsn) as connection:
        found = connection.execute(
            "SELECT action, actor, before, after FROM ops.audit WHERE row_key = %s ORDER BY audit_id", (key_id,)
        ).fetchall()
    assert [row[0] for row in found] == ["insert", "update"]
    assert all(row[1].startswith("role:") for row in found)
    assert "secret_sha256" not in str(found)
    assert found[1][3]["revoked_at"] is not None
