"""The recorded session over a UTC midnight: both sides are whole, equal a recount, and pass every check."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from crypto_intel_tests.checks import Verdict, judge_recording, report
from crypto_intel_tests.integration.recordings import recorded_trades, recounted_bars

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

MIDNIGHT = datetime(2024, 8, 9, tzinfo=UTC)
BAR = ["symbol", "window_start", "trade_count", "open", "high", "low", "close", "volume_base"]


@pytest.fixture(scope="module")
def capture(shared_data: Path) -> Path:
    return shared_data / "binance" / "ws_raw"


@pytest.fixture(scope="module")
def judged(capture: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Verdict]]:
    """The lake that the graph's jobs made of the recording, and what its checks said."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home))
        for name in ("CRYPTO_INTEL_POSTGRES_DSN", "SUPABASE_DB_URL", "CRYPTO_INTEL_LAKE"):
            patch.delenv(name, raising=False)
        return folder / "lake", judge_recording(folder, capture)


@pytest.fixture(scope="module")
def truth(capture: Path) -> pl.DataFrame:
    return recorded_trades(capture)


def table(judged: tuple[Path, list[Verdict]], name: str) -> pl.DataFrame:
    return pl.read_delta(str(judged[0] / name))


def test_every_check_passes_on_the_recording(judged: tuple[Path, list[Verdict]]) -> None:
    assert [verdict for verdict in judged[1] if not verdict.passed] == []
    assert {"stream_equals_batch", "contract", "ids_contiguous", "agrees_with_lake", "freshness", "feeds_alive"} <= {
        verdict.check for verdict in judged[1]
    }
    assert {verdict.partition for verdict in judged[1]} >= {
        "2024-08-08-23",
        "2024-08-09-00",
        "2024-08-08",
        "2024-08-09",
    }


def test_complete_minutes_are_those_of_the_venues_own_klines(judged: tuple[Path, list[Verdict]]) -> None:
    said = [verdict.shown for verdict in judged[1] if verdict.check == "equals_venue_klines"]
    told = [dict(line.split(": ", 1) for line in shown.splitlines()) for shown in said]
    bars = table(judged, "gold/bars_1m").filter(pl.col("completeness").is_in(["complete", "quiet"]))
    assert sum(int(one["judged"]) for one in told) == bars.height > 15
    assert [one for one in told if "not_asked" in one] == []


def test_trades_of_both_days_are_on_their_side_of_midnight(
    judged: tuple[Path, list[Verdict]], truth: pl.DataFrame
) -> None:
    silver = table(judged, "silver/trades")
    midnight_ms = int(MIDNIGHT.timestamp() * 1000)
    before = truth.filter(pl.col("time_ms") < midnight_ms).height
    assert dict(silver.group_by("event_hour").len().iter_rows()) == {
        "2024-08-08-23": before,
        "2024-08-09-00": truth.height - before,
    }
    assert silver.filter(pl.col("event_hour") == "2024-08-08-23")["event_time"].max() < MIDNIGHT
    assert truth.height == 34_419


@pytest.mark.parametrize(
    ("name", "window_ms"),
    [("gold/bars_1m", 60_000), ("gold/bars_5m", 300_000), ("gold/bars_1h", 3_600_000), ("gold/bars_1d", 86_400_000)],
)
def test_bars_of_every_length_equal_a_recount(
    judged: tuple[Path, list[Verdict]], truth: pl.DataFrame, name: str, window_ms: int
) -> None:
    expected = recounted_bars(truth, window_ms)
    bars = table(judged, name).select(BAR).sort("symbol", "window_start")
    traded = bars.filter(pl.col("trade_count") > 0)
    assert_frame_equal(traded.drop("volume_base"), expected.drop("volume_base"))
    assert_frame_equal(traded.select("volume_base"), expected.select("volume_base"), rel_tol=1e-9, abs_tol=1e-12)


def test_the_minute_behind_midnight_continues_the_one_before(judged: tuple[Path, list[Verdict]]) -> None:
    bars = table(judged, "gold/bars_1m").filter(pl.col("symbol") == "BTC-USDT").sort("window_start")
    last = bars.filter(pl.col("window_start") < MIDNIGHT).row(-1, named=True)
    first = bars.filter(pl.col("window_start") >= MIDNIGHT).row(0, named=True)
    assert first["first_trade_id"] == last["last_trade_id"] + 1
    assert first["return_pct"] == pytest.approx(100 * (first["close"] / last["close"] - 1))
    assert (last["completeness"], first["completeness"]) == ("complete", "complete")
    returns = table(judged, "gold/returns_volatility").filter(pl.col("symbol") == "BTC-USDT")
    assert returns.filter(pl.col("window_start") == MIDNIGHT)["return_pct"].item() == pytest.approx(first["return_pct"])


def test_a_check_that_fails_is_told_with_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Verdict("silver/trades", "ids_contiguous", "2024-08-08-23", passed=False, shown="rows: | 12 | 14 |")
    assert report([bad, bad._replace(passed=True)]) == 1
    assert "FAILED silver/trades: ids_contiguous 2024-08-08-23" in (said := capsys.readouterr().out)
    assert "| 12 | 14 |" in said
