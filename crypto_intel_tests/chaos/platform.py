"""Every kind of fault at both venues of the whole platform, then its own verdict: R6, R7, R8 and R12 end to end.

`python -m crypto_intel_tests.chaos.platform [ROUNDS]`: starts `crypto-intel up` on the simulated market, injects each
fault of FAULTS at Binance and Kraken at once, ROUNDS times over (4 by default, which makes 40 cuts), waits until every
gap that was found is settled, and asks `verify`. Ends with 1 unless nothing is lost, nothing is doubled, the dead
letters hold exactly the injected rejects, no part was restarted, every repair took less than 30 s, and behind it all
each health check of docker/compose.yaml answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from rich.progress import Progress

from crypto_intel.core.gaps import fold
from crypto_intel.stack.dagster_home import DATABASE
from crypto_intel.stack.inject import send
from crypto_intel.stack.postgres import PostgresServer, with_database
from crypto_intel.stack.process import tied_to_parent
from crypto_intel.stack.state import Folder
from crypto_intel_tests.helpers import health_checks
from streaming.simulator.ledger import Account, read_account

VENUES = {"binance": "ETH-USDT", "kraken": "ETH-USD"}
TRADES_PER_SECOND = 200
BUDGET_S = 30.0
PATIENCE_S = 300.0

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "gap", "count": 40},
    {"kind": "cut", "how": "reset"},
    {"kind": "malformed", "count": 50},
    {"kind": "cut", "how": "close"},
    {"kind": "duplicate", "count": 100},
    {"kind": "rest_error", "count": 2, "status": 429},
    {"kind": "gap", "count": 3},
    {"kind": "cut", "how": "silence", "seconds": 7.0},
    {"kind": "reorder", "count": 30},
    {"kind": "rest_empty", "count": 1},
    {"kind": "gap", "count": 200},
    {"kind": "cut", "how": "handshake", "seconds": 2.0},
    {"kind": "future", "count": 20},
    {"kind": "clock_skew", "count": 20, "skew_s": 300.0},
    {"kind": "clock_skew", "count": 20, "skew_s": -30.0},
    {"kind": "cut", "how": "forced", "seconds": 2.0},
)
"""What goes wrong, in this order, at each venue; skewed by 300 s a clock is refused, by -30 s it is not."""


BURST = {"kind": "news_burst", "symbol": "BTC-USDT", "count": 20}
"""Of a market that no other fault is about."""


@dataclass
class Report:
    """What was injected, and what became of it."""

    rounds: int
    injected: dict[str, int] = field(default_factory=dict)
    verified: bool = False
    unexplained: list[dict[str, Any]] = field(default_factory=list)
    gaps: dict[str, int] = field(default_factory=dict)
    slowest_repair_s: float = 0.0
    trades: int = 0
    rejected: int = 0
    rejectable: int = 0
    without_reason: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    unhealthy: list[str] = field(default_factory=list)
    burst_runs: list[str] = field(default_factory=list)
    burst_rows: list[tuple[int, float, int]] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        rejects_agree = self.rejected == self.rejectable and not self.without_reason
        is_settled = not self.gaps.get("open") and self.slowest_repair_s <= BUDGET_S
        return self.verified and rejects_agree and is_settled and not self.restarts and not self.unhealthy


def run(folder: Path, rounds: int = 1, advance: Callable[[], None] = lambda: None) -> Report:
    """Start the platform, inject, wait, judge, stop.

    Args:
        advance: called after each fault.
    """
    report = Report(rounds)
    with running(folder) as up:
        _wait(lambda: _rows(folder, "bronze/trades") is not None and bool(_served(folder)), up)
        send(Folder(folder), BURST)
        for faults in _in_order(rounds):
            _inject(folder, faults, up)
            advance()
        _wait(lambda: _gaps(folder).filter(pl.col("state") == "open").is_empty(), up)
        _wait(lambda: bool(_scored(folder)), up)
        report.burst_rows, report.burst_runs = _scored(folder), _burst_runs(folder)
        report.unhealthy = health_checks.unanswered(Folder(folder))
        told = _command(folder, "verify", "--json")
        verdict = json.loads(told.stdout)
        report.verified = told.returncode == 0 and verdict["ok"]
        report.unexplained = [finding for finding in verdict["findings"] if not finding["ok"]]
        snapshot = json.loads(_command(folder, "status", "--json").stdout)
        report.restarts = {part["name"]: part["restarts"] for part in snapshot["parts"] if part["restarts"]}
    _account(report, folder)
    return report


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`crypto-intel up` on a folder; stopped as Ctrl-C does."""
    rate = {
        "CRYPTO_INTEL_SIMULATOR__TRADES_PER_SECOND": str(TRADES_PER_SECOND),
        "CRYPTO_INTEL_SIMULATOR__KRAKEN_SHARE": "0.5",
    }
    command = [sys.executable, "-m", "crypto_intel.cli", "up", "--source", "sim", "--data-dir", str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.out").open("w") as out:
        up = subprocess.Popen(
            tied_to_parent(command), stdout=out, stderr=subprocess.STDOUT, text=True, env={**os.environ, **rate}
        )
        try:
            yield up
        finally:
            up.send_signal(signal.SIGINT)
            up.wait()


def _in_order(rounds: int) -> Iterator[list[dict[str, Any]]]:
    # Each fault at every venue at the same time.
    for _ in range(rounds):
        for fault in FAULTS:
            is_of_a_market = fault["kind"] != "cut" and not fault["kind"].startswith("rest")
            yield [
                {**fault, "venue": venue} | ({"symbol": symbol} if is_of_a_market else {})
                for venue, symbol in VENUES.items()
            ]


def _inject(folder: Path, faults: list[dict[str, Any]], up: subprocess.Popen[str]) -> None:
    """Inject and wait until it has happened; a REST fault happens at the next repair, a cut until trades flow again."""
    have_happened = [_happening(folder, fault) for fault in faults]
    for fault in faults:
        send(Folder(folder), fault)
    for has_happened in have_happened:
        _wait(has_happened, up)


def _happening(folder: Path, fault: dict[str, Any]) -> Callable[[], bool]:
    frames, count = _told(folder, fault["venue"]), _injected(folder, fault)
    if fault["kind"] == "cut":
        return lambda: _told(folder, fault["venue"]) >= frames + 2 * TRADES_PER_SECOND
    if "symbol" in fault:
        # As many trades may not be at hand to be sent again.
        more = 1 if fault["kind"] == "duplicate" else fault["count"]
        return lambda: _injected(folder, fault) >= count + more
    return lambda: True


def _account_of(folder: Path) -> Account:
    account = read_account(Folder(folder).ledger_file)
    assert account is not None, "the simulator keeps no account"
    return account


def _told(folder: Path, venue: str) -> int:
    markets = _account_of(folder).markets
    return sum(own.frames for name, own in markets.items() if name.startswith(f"{venue}:"))


def _injected(folder: Path, fault: dict[str, Any]) -> int:
    # A clock that is ahead by more than readers take counts as future.
    name = "future" if fault.get("skew_s", 0) > 60 else fault["kind"]
    own = _account_of(folder).injected_at.get(f"{fault['venue']}:{fault.get('symbol')}", {})
    return own.get(name, 0)


def _wait(is_so: Callable[[], bool], up: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert up.poll() is None, f"up has ended with {up.returncode}"
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:g} s"
        time.sleep(0.2)


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crypto_intel.cli", *arguments, "--data-dir", str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def _rows(folder: Path, name: str) -> pl.DataFrame | None:
    path = folder / "lake" / name
    return pl.read_delta(str(path)) if (path / "_delta_log").is_dir() else None


def _served(folder: Path) -> list[Any]:
    bars = _rows(folder, "silver/bars_1m")
    return [] if bars is None else bars["venue"].unique().to_list()


def _gaps(folder: Path) -> pl.DataFrame:
    statuses = _rows(folder, "bronze/feed_status")
    assert statuses is not None
    return fold(statuses)


def _scored(folder: Path) -> list[tuple[int, float, int]]:
    # News, mood and revision of provisional rows around the burst. The simulated wire and its feeds tell no mood.
    return _rows_of(
        folder,
        "SELECT news_count, sentiment_mean, revision FROM market_enriched "
        "WHERE symbol LIKE 'BTC-%' AND NOT is_final AND sentiment_mean IS NOT NULL AND news_count >= 20",
    )


def _burst_runs(folder: Path) -> list[str]:
    # The causes that runs of bursts were asked for.
    own = "SELECT value FROM run_tags WHERE key = 'dagster/run_key' AND value LIKE 'BTC/%' ORDER BY value"
    return [value for (value,) in _rows_of(folder, own, DATABASE)]


def _rows_of(folder: Path, query: str, database: str | None = None) -> list[Any]:
    state = Folder(folder).read()
    assert state is not None, "no stack runs"
    dsn = PostgresServer(folder / "postgres", state.ports["postgres"]).dsn
    with psycopg.connect(with_database(dsn, database) if database else dsn) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def _account(report: Report, folder: Path) -> None:
    account = _account_of(folder)
    report.injected = {kind: count for kind, count in account.injected.items() if ":" not in kind}
    report.rejectable = account.injected.get("malformed", 0) + account.injected.get("future", 0)
    rejected, trades, gaps = _rows(folder, "bronze/rejected"), _rows(folder, "bronze/trades"), _gaps(folder)
    assert rejected is not None
    assert trades is not None
    report.rejected, report.trades = rejected.height, trades.height
    report.without_reason = rejected.filter(pl.col("reason") == "").height
    report.gaps = {str(state): int(count) for state, count in gaps["state"].value_counts().iter_rows()}
    slowest = (gaps["repaired_at"] - gaps["found_at"]).max()
    report.slowest_repair_s = slowest.total_seconds() if slowest is not None else 0.0  # type: ignore[union-attr]


def main() -> int:
    """Run, show, judge."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        task = progress.add_task("faults", total=rounds * len(FAULTS))
        report = run(Path(folder) / "platform", rounds, lambda: progress.advance(task))
    print(json.dumps(asdict(report) | {"is_good": report.is_good}, indent=2))  # noqa: T201
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
