"""A stack as data, for tests that render or judge one without running it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from crypto_intel.stack.jars import Jars
from crypto_intel.stack.parts import Servers
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.snapshot import AlertLine, FeedLine, Hop, MarketLine, PartView, QueryLine, Snapshot
from crypto_intel.stack.state import Folder, StackState, open_state

NOON = datetime(2024, 8, 9, 12, 34, 56, tzinfo=UTC)


def recording(folder: Path, *urls: str) -> Path:
    """A recording with a message of each address; default: of Binance."""
    folder.mkdir(parents=True)
    for number, url in enumerate(urls or ("wss://stream.binance.com:9443/stream",)):
        (folder / f"{number}.txt").write_text(f"{url} <-> 1700000000.0\n1700000000.1: {{}}\n")
    return folder


def stack(root: Path, source: str = "sim") -> tuple[Folder, StackState, Servers, StackSettings]:
    """A folder, its state, its stores (prepared as far as passwords go) and settings with the default ports."""
    settings = StackSettings(jars_dir=root / "jars")
    folder = Folder(root / "data")
    state = open_state(folder, source=source, seed=7, now=NOON)  # type: ignore[arg-type]
    state.ports = settings.ports.model_dump()
    state.stack_id = "0" * 32
    if source == "replay":
        state.capture = recording(root / "capture")
    jars = Jars(root / "jars" / "spark", root / "jars" / "kafka")
    servers = Servers.of(folder, state.ports, settings, Path("/java"), jars)
    password = folder.root / "postgres" / "password"
    password.parent.mkdir(parents=True)
    password.write_text("pg-secret\n")
    servers.valkey.prepare()
    return folder, state, servers, settings


def snapshot() -> Snapshot:
    """A running stack with one part that does not answer and one that failed."""
    return Snapshot(
        title="SIMULATED MARKET (seed 7)",
        source="sim",
        data_dir="/data",
        taken_at=NOON,
        overall="degraded",
        parts=[
            PartView(name="kafka", state="RUNNING", answers=True, uptime_s=4000, rss_bytes=400 * 2**20, cores=0.05),
            PartView(name="spark", state="RUNNING", answers=False, uptime_s=90, rss_bytes=1500 * 2**20, cores=0.6),
            PartView(name="producer-binance", state="FATAL", restarts=6, last_lines=["Traceback", "ValueError: no"]),
        ],
        hops=[
            Hop(name="source: trade frames sent", count=34419),
            Hop(name="bronze.trades", count=34419),
            Hop(name="cache: keys"),
            Hop(name="rejected", count=1),
        ],
        feeds=[
            FeedLine(venue="binance", state="connected", heartbeat_at=NOON),
            FeedLine(venue="kraken", state="disconnected", detail="trade: ConnectError Name or service not known"),
        ],
        markets=[
            MarketLine(
                venue="binance", symbol="BTC-USDT", price=61556.01, event_time=NOON, trade_count=12, change_1h_pct=-0.5
            ),
            MarketLine(venue="binance", symbol="DOGE-USDT", price=0.10321, event_time=NOON, trade_count=0),
        ],
        alerts=[AlertLine(raised_at=NOON, severity="warning", symbol="BTC-USDT", message="moved 0.7 % in 5 minutes")],
        queries=[QueryLine(name="ingest", batch_id=12, rows_total=34500, rows_per_second=812.4, batch_ms=1200)],
        pages={"Dagster": "http://127.0.0.1:3000"},
    )
