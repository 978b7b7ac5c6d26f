"""Checks of an hour, on a lake with planted faults: each is seen to pass and to fail."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import msgspec
import pytest

from crypto_intel.checks.factories import Outcome
from crypto_intel.checks.hours import HOUR_CHECKS
from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_CROSS_VENUE
from crypto_intel.contracts.serving import MARKET_ENRICHED
from crypto_intel.contracts.tables import (
    BRONZE_TRADES,
    GOLD_BARS_1M,
    SILVER_TRADES,
)
from crypto_intel.core.cross_venue import cross_venue
from crypto_intel.core.enrich import enrich
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.trades import distinct_trades
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import differing_rows, upsert
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.core.test_cross_venue import NO_QUOTES, minute
from crypto_intel_tests.crypto_intel.core.test_enrich import NO_MACRO, NO_NEWS, bar, bars
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22

pytestmark = pytest.mark.stack

KEY = event_hour(H22)


def judge(lake: Lake, asset: str, name: str) -> Outcome:
    (check,) = [one for one in HOUR_CHECKS if (one.table.full_name, one.name) == (asset, name)]
    return check.judge(lake, KEY)


def write_trades(lake: Lake, lake_path: Path, *ids: int) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(n, H22 + timedelta(seconds=i)) for i, n in enumerate(ids)])
    lakes.append(lake_path, SILVER_TRADES, distinct_trades(lake.scan(BRONZE_TRADES), H22))


def test_ids_are_contiguous_or_the_check_shows_which_are_not(lake: Lake, lake_path: Path) -> None:
    write_trades(lake, lake_path, 10, 11, 15)
    found = judge(lake, "silver.trades", "ids_contiguous")
    assert not found.passed and "| 12 | 14 | 3 |" in str(found.metadata["rows"].value)


def test_an_hour_continues_the_ids_of_the_hour_before(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(9, H22 - timedelta(minutes=30))])
    write_trades(lake, lake_path, 10, 11)
    assert judge(lake, "silver.trades", "ids_contiguous").passed
    assert judge(lake, "silver.trades", "time_order").passed


def test_bars_that_contradict_themselves_fail_and_block(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, GOLD_BARS_1H, bars(bar()))
    assert judge(lake, "gold.bars_1h", "consistent").passed
    lakes.append(lake_path, GOLD_BARS_1H, bars(bar(symbol="ETH-USDT", high=1.0)))
    found = judge(lake, "gold.bars_1h", "consistent")
    assert not found.passed and "ETH-USDT" in str(found.metadata["rows"].value)
    assert all(check.blocking for check in HOUR_CHECKS if check.name == "consistent")


def test_a_venues_bad_tick_fails(lake: Lake, lake_path: Path) -> None:
    rows = cross_venue(minute(binance_USDT=100.0, kraken_USD=130.0, coingecko_USD=100.0), NO_QUOTES, H22)
    lakes.append(lake_path, GOLD_CROSS_VENUE, rows)
    found = judge(lake, "gold.cross_venue", "venues_agree")
    assert not found.passed and "kraken" in str(found.metadata["rows"].value)


@pytest.fixture
def klines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A venue that says of the hour's first minute: 100, all day long, 2 trades of 1 in base and 100 in quote."""
    asked: list[str] = []
    start = int(H22.timestamp() * 1000)
    told = [[start, "100", "100", "100", "100", "1", start + 59_999, "100", 2, "0.5", "50", "0"]]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = msgspec.json.encode(told)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("CRYPTO_INTEL_BINANCE__REST_URL", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    thread.join()


def test_a_bar_that_is_not_the_venues_fails(lake: Lake, lake_path: Path, klines: list[str]) -> None:
    lakes.append(lake_path, GOLD_BARS_1M, bars(bar()))
    assert judge(lake, "gold.bars_1m", "equals_venue_klines").passed
    assert "symbol=BTCUSDT" in klines[0]
    lakes.append(lake_path, GOLD_BARS_1M, bars(bar(close=101.0)))
    found = judge(lake, "gold.bars_1m", "equals_venue_klines")
    assert not found.passed and "| close | 101.0 | 100.0 |" in str(found.metadata["rows"].value)


def test_where_the_venue_can_not_be_asked_nothing_is_judged(
    lake: Lake, lake_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_BINANCE__REST_URL", "http://127.0.0.1:9")
    lakes.append(lake_path, GOLD_BARS_1M, bars(bar()))
    found = judge(lake, "gold.bars_1m", "equals_venue_klines")
    assert found.passed and found.metadata["judged"] == 0 and "klines" in str(found.metadata["not_asked"])


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE public.market_enriched SET close = 1 WHERE symbol = 'BTC-USDT'", "differs"),
        ("DELETE FROM public.market_enriched WHERE symbol = 'BTC-USDT'", "not served"),
        ("UPDATE public.market_enriched SET symbol = 'X-USDT' WHERE symbol = 'BTC-USDT'", "not in the lake"),
    ],
)
def test_a_sink_that_says_otherwise_than_the_lake_is_found(own_postgres_dsn: str, sql: str, fault: str) -> None:
    rows = enrich(bars(bar(), bar(symbol="ETH-USDT")), NO_NEWS, NO_MACRO, known_at=H22)
    with Postgres(dsn=own_postgres_dsn).connect() as connection:
        upsert(connection, MARKET_ENRICHED, rows)
        assert differing_rows(connection, MARKET_ENRICHED, rows, H22, H22 + HOUR).is_empty()
        connection.execute("ALTER TABLE public.market_enriched DISABLE TRIGGER USER")
        connection.execute(sql)  # type: ignore[arg-type]
        found = differing_rows(connection, MARKET_ENRICHED, rows, H22, H22 + HOUR)
    assert fault in found["fault"].to_list()


def test_every_check_says_what_to_do_and_runs_with_the_hour(graph: dg.Definitions) -> None:
    known = graph.get_repository_def().asset_graph.asset_check_keys
    for check in HOUR_CHECKS:
        assert check.description.endswith(".") and check.remedy.endswith(".")
        assert dg.AssetCheckKey(dg.AssetKey(check.table.full_name.split(".")), check.name) in known
    job = graph.get_repository_def().get_job("market_hour").asset_layer
    in_job = {
        key
        for node in job.data
        for key in job.get_selected_entity_keys_for_node(node.node_handle)
        if isinstance(key, dg.AssetCheckKey)
    }
    assert {check.name for check in HOUR_CHECKS} <= {key.name for key in in_job}
