"""A backup of a played recording, restored elsewhere: nothing is missing, and everybody gets the same bar from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psycopg
import pytest
from supabase import create_client

from crypto_intel.client import CryptoIntel
from crypto_intel.contracts.derived import (
    GOLD_BARS_1H,
    GOLD_BARS_5M,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
    SILVER_QUOTES,
)
from crypto_intel.contracts.serving import BARS_1M, SERVED
from crypto_intel.contracts.tables import GOLD_BARS_1M, GOLD_MARKET_ENRICHED
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import NOT_CONTENT, publish_rows
from crypto_intel.stack.backup import make_backup, restore_backup
from crypto_intel.stack.judge import judge
from crypto_intel.stack.launch import Prepared, Wish, exclusive, prepare, stores_only
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel.stack.settings import load_settings
from crypto_intel.stack.state import Folder
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings
from crypto_intel_tests.helpers.postgrest import ANON_KEY, postgrest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
MARKET = {"venue": "binance", "symbol": "BTC-USDT"}


@pytest.fixture(scope="module")
def restored(played: tuple[Path, dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """The stores of a data folder that was restored from a backup of the played one."""
    backup, folder = tmp_path_factory.mktemp("backup"), Folder(tmp_path_factory.mktemp("restored"))
    make_backup(Folder(played[0]), backup)
    restore_backup(backup, folder)
    state = folder.read()
    assert state is not None
    # Ports that nothing else has: a stack that starts beside this test takes the usual ones.
    folder.write(state.model_copy(update={"ports": {name: free_port() for name in state.ports}}))
    with exclusive(folder):
        prepared = prepare(Wish("replay", folder.root, state.capture, state.speed), load_settings(), print)
        with stores_only(prepared, print):
            yield prepared


def test_nothing_is_missing_in_what_was_restored(restored: Prepared) -> None:
    report = judge(restored, patience_s=0, is_stopped=True)
    assert report.is_ok, report.to_json()
    assert sum(finding.found for finding in report.findings if finding.what.endswith("trades")) > 0


@pytest.fixture(scope="module")
def api(restored: Prepared) -> Iterator[str]:
    """The API over it."""
    with served(settings(restored.servers.postgres.dsn, restored.folder.root, open_reads=True)) as address:
        yield address


def _row(row: dict[str, Any]) -> dict[str, Any]:
    # JSON has no times; everything else is compared as it came.
    times = {column.name for column in BARS_1M.columns if column.type == "timestamp"}
    return {
        name: datetime.fromisoformat(value).astimezone(UTC) if name in times and isinstance(value, str) else value
        for name, value in row.items()
    }


def test_api_client_supabase_and_lake_give_the_same_bars(restored: Prepared, api: str) -> None:
    of_api = [_row(row) for row in httpx.get(f"{api}/bars", params={**MARKET, "order": "asc"}).json()["data"]]
    with CryptoIntel(api.removesuffix("/api/v1")) as client:
        of_client = client.bars(**MARKET).to_dicts()
    with postgrest(restored.servers.postgres.dsn) as project:
        query = create_client(project.url, project.key("authenticated")).table("bars_1m").select("*")
        for name, value in MARKET.items():
            query = query.eq(name, value)
        of_supabase = [_row(row) for row in query.order("window_start").execute().data]
    # The hours are closed: what is served are the bars of every raw trade, gold's.
    bars = pl.read_delta(str(restored.folder.root / "lake" / "gold" / "bars_1m")).filter(**MARKET)
    of_lake = bars.sort("window_start").select(BARS_1M.column_names).to_dicts()
    assert len(of_lake) >= 10
    assert of_api == of_client == of_supabase == of_lake


def test_a_stranger_reads_nothing_and_a_user_writes_nothing_over_supabase(restored: Prepared) -> None:
    with postgrest(restored.servers.postgres.dsn) as project:
        url = f"{project.url}/rest/v1/bars_1m"
        forged = {"apikey": project.key("service_role")[:-3] + "abc"}
        assert httpx.get(url, headers={"apikey": ANON_KEY}).json()["code"] == "42501"
        assert httpx.get(url, headers=forged).status_code == 401
        user = create_client(project.url, project.key("authenticated"))
        with pytest.raises(Exception, match="42501"):
            user.table("bars_1m").upsert(
                {**MARKET, "window_start": "2024-01-01"}, on_conflict="venue,symbol,window_start"
            ).execute()


_OF_GOLD = {
    "market_enriched": GOLD_MARKET_ENRICHED,
    "bars_1m": GOLD_BARS_1M,
    "bars_5m": GOLD_BARS_5M,
    "bars_1h": GOLD_BARS_1H,
    "indicators": GOLD_INDICATORS,
    "market_summary": GOLD_MARKET_SUMMARY,
    "quotes": SILVER_QUOTES,
}


def test_what_is_served_of_closed_hours_is_made_again_from_the_lake(restored: Prepared) -> None:
    dsn = restored.servers.postgres.dsn
    empty = ensure_database(dsn, "made_again")
    migrate(empty)
    for name, table in _OF_GOLD.items():
        rows = pl.scan_delta(table.path(str(restored.folder.root / "lake")))
        publish_rows(Postgres(dsn=empty), SERVED[name], rows)
        key = ", ".join(SERVED[name].key)
        with psycopg.connect(dsn) as before, psycopg.connect(empty) as after:
            columns = ", ".join(column for column in SERVED[name].column_names if column not in NOT_CONTENT)
            statement = f"SELECT {columns} FROM {name} ORDER BY {key}".encode()
            found = after.execute(statement).fetchall()
            assert found == before.execute(statement).fetchall(), name
            assert found, name
