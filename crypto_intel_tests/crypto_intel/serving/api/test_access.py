"""Who may ask: keys, access tokens, open reads on loopback; and how much."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr, ValidationError

from crypto_intel.serving import keys
from crypto_intel.serving.settings import Api
from crypto_intel_tests.crypto_intel.serving.api.server import JWT_SECRET, served, settings

pytestmark = pytest.mark.stack


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _claims(**changes: Any) -> dict[str, Any]:
    good = {"sub": "user-1", "role": "authenticated", "aud": "authenticated", "exp": time.time() + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def _token(secret: str = JWT_SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(_claims(**changes), secret, algorithm)


def _unsigned() -> str:
    parts = [{"alg": "none", "typ": "JWT"}, _claims()]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def _foreign_key() -> str:
    return jwt.encode(_claims(), ec.generate_private_key(ec.SECP256R1()), "ES256")


_BAD_TOKENS = {
    "alg none": _unsigned,
    "wrong key": lambda: _token("another-secret-that-is-long-enough-too"),
    "key of another kind": _foreign_key,
    "expired": lambda: _token(exp=time.time() - 60),
    "not yet": lambda: _token(nbf=time.time() + 600),
    "another audience": lambda: _token(aud="anon"),
    "no audience": lambda: _token(aud=None),
    "no expiry": lambda: _token(exp=None),
    "no subject": lambda: _token(sub=None),
    "cut": lambda: _token()[:-3],
    "no token": lambda: "not-a-token",
    "huge": lambda: "x" * 9_000,
    "a key that is none": lambda: "ci_0123456789ab_" + "A" * 43,
    "a key that is cut": lambda: "ci_0123456789ab",
}


@pytest.mark.parametrize("case", _BAD_TOKENS)
def test_a_bad_credential_is_refused(closed_api: str, case: str) -> None:
    answer = httpx.get(f"{closed_api}/bars?symbol=BTC-USDT", headers=_bearer(_BAD_TOKENS[case]()))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "www-authenticate" in answer.headers
    assert answer.json()["detail"] in {
        "a key or an access token is needed, and this is none that is good",
        "send a key as `Authorization: Bearer ci_...`; make one: crypto-intel keys create",
    }


def test_a_bad_credential_is_refused_where_reads_are_open_too(api: str) -> None:
    assert httpx.get(f"{api}/symbols", headers=_bearer(_token(exp=1))).status_code == 401


def test_no_credential_is_refused_with_how_to_get_one(closed_api: str) -> None:
    answer = httpx.get(f"{closed_api}/symbols")
    assert (answer.status_code, "crypto-intel keys create" in answer.text) == (401, True)
    assert httpx.get(f"{closed_api}/health/live").status_code == 200


def test_a_users_token_reads_and_judges(closed_api: str, api_dsn: str) -> None:
    client = httpx.Client(base_url=closed_api, headers=_bearer(_token()))
    assert client.get("/symbols").status_code == 200
    answer = client.post("/alerts/price_move:binance:BTC-USDT:0/feedback", json={"verdict": "right"})
    assert answer.json()["actions"][-1]["actor"] == "user:user-1"


def test_a_token_of_another_role_reads_nothing(closed_api: str) -> None:
    assert httpx.get(f"{closed_api}/symbols", headers=_bearer(_token(role="anon"))).status_code == 403


def test_what_a_user_writes_into_the_own_metadata_gives_no_scope(closed_api: str) -> None:
    token = _token(user_metadata={"crypto_intel_scopes": ["admin"]}, app_metadata={"crypto_intel_scopes": "admin"})
    assert httpx.get(f"{closed_api}/symbols", headers=_bearer(token)).status_code == 200


def test_a_key_works_in_either_header_until_it_is_revoked(api_dsn: str, data_dir: Path) -> None:
    key = keys.create(SecretStr(api_dsn), "short-lived").get_secret_value()
    with served(settings(api_dsn, data_dir)) as address:
        assert httpx.get(f"{address}/symbols", headers=_bearer(key)).status_code == 200
        assert httpx.get(f"{address}/symbols", headers={"X-API-Key": key}).status_code == 200
        wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
        assert httpx.get(f"{address}/symbols", headers=_bearer(wrong)).status_code == 401
        assert keys.revoke(SecretStr(api_dsn), key.split("_")[1])
        deadline = time.monotonic() + 10
        while httpx.get(f"{address}/symbols", headers=_bearer(key)).status_code != 401:
            assert time.monotonic() < deadline, "a revoked key is taken for longer than it may be"
            time.sleep(0.2)


def test_another_secret_ends_every_token_of_the_old_one(api_dsn: str, data_dir: Path) -> None:
    old, new = _token(), _token(secret=(another := "b" * 64))
    with served(settings(api_dsn, data_dir, jwt={"secret": another})) as address:
        assert httpx.get(f"{address}/symbols", headers=_bearer(old)).status_code == 401
        assert httpx.get(f"{address}/symbols", headers=_bearer(new)).status_code == 200


@contextmanager
def _published(keys_of_project: list[dict[str, Any]]) -> Iterator[str]:
    """A project's signing keys, served as the list is at the moment; the address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": keys_of_project}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()


def test_a_signing_key_that_the_project_revokes_is_refused_behind_its_time(api_dsn: str, data_dir: Path) -> None:
    pairs = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("first", "second")}
    to_jwk = jwt.algorithms.ECAlgorithm.to_jwk
    jwks = {kid: {**to_jwk(pair.public_key(), as_dict=True), "kid": kid, "alg": "ES256"} for kid, pair in pairs.items()}
    first, second = (jwt.encode(_claims(), pair, "ES256", headers={"kid": kid}) for kid, pair in pairs.items())
    project = [jwks["first"]]
    with _published(project) as url:
        wanted = settings(api_dsn, data_dir, jwt={"jwks_url": url, "jwks_kept_s": 0.5})
        with served(wanted) as address, httpx.Client(base_url=address) as client:
            assert client.get("/symbols", headers=_bearer(first)).status_code == 200
            assert client.get("/symbols", headers=_bearer(second)).status_code == 401
            project[:] = [jwks["second"]]
            deadline = time.monotonic() + 10
            while client.get("/symbols", headers=_bearer(first)).status_code != 401:
                assert time.monotonic() < deadline, "a revoked signing key is taken for longer than it may be"
                time.sleep(0.1)
            assert client.get("/symbols", headers=_bearer(second)).status_code == 200


def test_an_expired_key_is_refused(closed_api: str, api_dsn: str) -> None:
    key = keys.create(SecretStr(api_dsn), "old", expires_in=timedelta(seconds=-1)).get_secret_value()
    assert httpx.get(f"{closed_api}/symbols", headers=_bearer(key)).status_code == 401
    assert [found.state for found in keys.listed(SecretStr(api_dsn)) if found.name == "old"] == ["expired"]


def test_the_database_knows_no_key(api_dsn: str, judge_key: str) -> None:
    with psycopg.connect(api_dsn) as connection:
        kept = connection.execute("SELECT string_agg(k::text, '') FROM ops.api_keys k").fetchone()
    secret = judge_key.split("_", 2)[2]
    assert kept is not None
    assert secret not in kept[0]
    assert secret.encode().hex() not in kept[0]


def test_reading_gives_no_right_to_judge(closed_api: str, api: str, api_dsn: str) -> None:
    key = keys.create(SecretStr(api_dsn), "reader").get_secret_value()
    path = "/alerts/price_move:binance:BTC-USDT:0/acknowledge"
    answer = httpx.post(closed_api + path, headers=_bearer(key), json={})
    assert (answer.status_code, "'alerts' is needed" in answer.json()["detail"]) == (403, True)
    assert httpx.post(api + path, json={}).status_code == 403


def test_judging_moves_an_alert_forward_and_keeps_who_and_why(closed_api: str, judge_key: str) -> None:
    client = httpx.Client(base_url=closed_api, headers=_bearer(judge_key))
    path = "/alerts/price_move:binance:BTC-USDT:1"
    assert client.post(f"{path}/acknowledge", json={"note": "looking"}).json()["alert"]["state"] == "acknowledged"
    assert client.post(f"{path}/close", json={}).json()["alert"]["state"] == "closed"
    assert client.post(f"{path}/acknowledge", json={}).json()["alert"]["state"] == "closed"
    judged = client.post(f"{path}/feedback", json={"verdict": "wrong", "note": "a fat finger"}).json()
    assert (judged["alert"]["judged_wrong"], judged["alert"]["judged_right"]) == (1, 0)
    assert [act["action"] for act in judged["actions"]] == ["acknowledged", "closed", "acknowledged", "wrong"]
    assert judged["actions"][0]["note"] == "looking"
    assert judged["actions"][0]["actor"].startswith("key:")
    assert client.post("/alerts/none/acknowledge", json={}).status_code == 404
    assert client.post(f"{path}/feedback", json={"verdict": "right", "state": "open"}).status_code == 422


@pytest.mark.parametrize("with_redis", [True, False], ids=["counted in redis", "counted in the process"])
def test_more_than_the_limit_is_told_when_to_go_on(
    api_dsn: str, redis_url: str, data_dir: Path, with_redis: bool
) -> None:
    key = keys.create(SecretStr(api_dsn), "hasty", rate_per_minute=5).get_secret_value()
    with served(settings(api_dsn, data_dir, redis_url, count_in_redis=with_redis)) as address:
        answers = [httpx.get(f"{address}/symbols", headers=_bearer(key)) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[0].headers["ratelimit-remaining"] == "4"


def test_guessing_keys_is_slowed_down(api_dsn: str, data_dir: Path) -> None:
    with served(settings(api_dsn, data_dir)) as address, httpx.Client() as client:
        codes = [client.get(f"{address}/symbols", headers=_bearer("ci_guess")).status_code for _ in range(65)]
    assert set(codes[:60]) == {401}
    assert set(codes[60:]) == {429}


def test_another_host_name_is_refused(api: str) -> None:
    assert httpx.get(f"{api}/symbols", headers={"Host": "evil.example"}).status_code == 400


def test_reads_are_open_on_loopback_only() -> None:
    with pytest.raises(ValidationError, match="loopback only"):
        Api(host="0.0.0.0", open_reads=True)  # noqa: S104
    assert not Api().open_reads
