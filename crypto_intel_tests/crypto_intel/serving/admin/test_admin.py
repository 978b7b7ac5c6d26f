"""The admin's pages: behind a login with an admin key, checked as elsewhere, kept with who did it, at once in force."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr, ValidationError

from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.serving import keys
from crypto_intel.serving.api.auth import KEPT_S
from crypto_intel.serving.settings import Api
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings
from streaming.sinks.rules import RuleTable

pytestmark = pytest.mark.stack
PAGES = ("coins", "rules", "keys", "retention", "audit")


class Browser:
    """A client with cookies that sends the page's token along, as the pages' forms do."""

    def __init__(self, api: str) -> None:
        self._http = httpx.Client(base_url=api.removesuffix("/api/v1"), follow_redirects=True, timeout=20)

    def get(self, path: str) -> httpx.Response:
        """A page."""
        return self._http.get(f"/admin/{path}")

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """A form."""
        token = self._http.cookies.get("starlette_admin_csrftoken", "")
        return self._http.post(f"/admin/{path}", data={**fields, "csrftoken": token})

    def login(self, key: str, name: str = "Anna") -> httpx.Response:
        """Log in."""
        self.get("")
        return self.post("login", username=name, password=key)


@pytest.fixture
def key(api_dsn: str) -> str:
    """A key of an admin."""
    return keys.create(SecretStr(api_dsn), "test admin", ["admin"]).get_secret_value()


@pytest.fixture
def admin(api: str, key: str) -> Iterator[Browser]:
    """Somebody who is logged in."""
    browser = Browser(api)
    assert browser.login(key).url.path == "/admin/"
    yield browser


def _rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def _last_change(dsn: str) -> tuple[Any, ...]:
    return _rows(dsn, "SELECT actor, table_name, action, row_key FROM ops.audit ORDER BY audit_id DESC LIMIT 1")[0]


@pytest.mark.parametrize("page", ["", *(f"{name}/list" for name in PAGES), "coins/create", "rules/edit?pk=price_move"])
def test_without_a_login_there_is_only_the_login(api: str, page: str) -> None:
    answer = Browser(api).get(page)
    assert answer.url.path == "/admin/login"
    assert "price_move" not in answer.text.replace("rules%2Fedit%3Fpk%3Dprice_move", "")


def test_only_a_good_admin_key_logs_in(api: str, api_dsn: str) -> None:
    reader = keys.create(SecretStr(api_dsn), "reader").get_secret_value()
    for secret in ("", "wrong", "ci_0123456789ab_" + "A" * 43, reader):
        assert Browser(api).login(secret).status_code == 400
    assert Browser(api).login(reader).url.path == "/admin/login"


def test_a_form_without_the_pages_token_is_refused(api: str, key: str) -> None:
    answer = httpx.post(f"{api.removesuffix('/api/v1')}/admin/login", data={"username": "x", "password": key})
    assert answer.status_code == 403


def test_the_key_is_in_no_cookie_and_pages_are_in_no_frame(api: str, key: str) -> None:
    browser = Browser(api)
    answer = browser.login(key)
    assert key.split("_", 2)[2] not in str(browser._http.cookies)
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(admin: Browser, page: str) -> None:
    answer = admin.get(f"{page}/list")
    assert (answer.status_code, answer.url.path) == (200, f"/admin/{page}/list")
    assert "https://" not in "".join(re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', answer.text))


def test_a_coin_is_tracked_and_let_go(admin: Browser, api_dsn: str, key: str) -> None:
    assert admin.post("coins/create", venue="kraken", symbol="ada/usd", is_tracked="on", note="").url.path.endswith(
        "coins/list"
    )
    assert _rows(api_dsn, "SELECT is_tracked FROM coins WHERE symbol = 'ADA-USD'") == [(True,)]
    actor = f"key:{key.split('_')[1]} Anna"
    assert _last_change(api_dsn) == (actor, "public.coins", "insert", "kraken/ADA-USD")
    admin.post("coins/edit?pk=kraken,ADA-USD", venue="kraken", symbol="ADA-USD", note="quiet")
    assert _rows(api_dsn, "SELECT is_tracked, note FROM coins WHERE symbol = 'ADA-USD'") == [(False, "quiet")]
    assert _last_change(api_dsn) == (actor, "public.coins", "update", "kraken/ADA-USD")
    wrong = admin.post("coins/create", venue="kraken", symbol="nothing", note="")
    assert (wrong.status_code, "not a symbol" in wrong.text) == (422, True)


def test_a_rule_is_checked_as_in_a_file_and_carries_who_changed_it(admin: Browser, api_dsn: str) -> None:
    table = RuleTable(SecretStr(api_dsn))
    table.enter(load_alert_config(None).rules)
    good = {"rule": "price_move", "family": "price_move", "enabled": "on", "threshold": "1.5", "unit": "pct",
            "window_s": "300", "cooldown_s": "60", "severity": "critical"}  # fmt: skip
    wrong = admin.post("rules/edit?pk=price_move", **{**good, "threshold": "101"})
    assert (wrong.status_code, "less than or equal to 100" in wrong.text) == (422, True)
    assert admin.post("rules/edit?pk=price_move", **good).url.path == "/admin/rules/list"
    (rule,) = [rule for rule in table.read() if rule.name == "price_move"]
    assert (rule.move_pct, rule.severity, rule.cooldown_s) == (1.5, "critical", 60)  # type: ignore[union-attr]
    assert _rows(api_dsn, "SELECT changed_by LIKE 'key:%% Anna' FROM alert_rules WHERE rule = 'price_move'") == [
        (True,)
    ]
    actor, *what = _last_change(api_dsn)
    assert (actor.endswith(" Anna"), what) == (True, ["public.alert_rules", "update", "price_move"])
    table.close()


def test_retention_is_changed_within_its_bounds(admin: Browser, api_dsn: str) -> None:
    assert admin.post("retention/edit?pk=public.quotes", keep_days="0").status_code == 422
    admin.post("retention/edit?pk=public.quotes", keep_days="45")
    assert _rows(api_dsn, "SELECT keep_days FROM ops.retention WHERE table_name = 'public.quotes'") == [(45,)]


def test_a_key_is_shown_once_works_and_ends_its_session_when_revoked(
    admin: Browser, api: str, api_dsn: str, key: str
) -> None:
    page = admin.post("keys/create", name="desk", scopes=["read", "alerts"])
    (made,) = re.findall(r"ci_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", page.text)
    assert httpx.get(f"{api}/symbols", headers={"X-API-Key": made}).status_code == 200
    assert made not in admin.get("keys/list").text
    assert "desk" in admin.get("keys/list").text
    own = key.split("_")[1]
    assert admin.post(f"_api/keys/row-action?pk={own}&name=revoke").status_code == 200
    assert _rows(api_dsn, f"SELECT revoked_at IS NOT NULL FROM ops.api_keys WHERE key_id = '{own}'") == [(True,)]
    _until(lambda: admin.get("keys/list").url.path == "/admin/login")


def _until(condition: Any) -> None:
    import time

    deadline = time.monotonic() + KEPT_S + 5
    while not condition():
        assert time.monotonic() < deadline, "the session outlives its key"
        time.sleep(0.2)


def test_nothing_is_deleted_that_stays_on_the_books(admin: Browser) -> None:
    for page, pk in (("coins", "binance,BTC-USDT"), ("keys", "x"), ("retention", "public.quotes"), ("audit", "1")):
        assert admin.post(f"_api/{page}/row-action?pk={pk}&name=delete").status_code in {400, 403, 404}


def test_the_pages_can_be_left_out(api_dsn: str, data_dir: Path) -> None:
    with served(settings(api_dsn, data_dir, admin=False)) as address:
        assert httpx.get(address.replace("/api/v1", "/admin/")).status_code == 404
    with pytest.raises(ValidationError, match="admin_secret"):
        Api(workers=2)
