"""The recorded session of two markets: sliding means and rules against a recount of the raw frames, in any batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto_intel_tests.integration.recordings import recorded_trades
from streaming.transforms.bars import FIVE_MINUTES_US, MINUTE_US
from streaming.transforms.decode import BEATS, TRADE_EVENTS
from streaming.transforms.live import LiveState, advance_all
from streaming.transforms.market import MarketState
from streaming.transforms.market import advance_all as advance_bars
from streaming.transforms.rules import Incidents, PriceMove, Rules, Spike, alert_id

RULES = Rules(
    Incidents(silence_s=30, patience_s=30),
    by_slice=(PriceMove(0.1, window_s=120, cooldown_s=60),),
    by_minute=(
        Spike("volume", 2.0, 30, 3, 60, "volume_spike"),
        Spike("volatility", 2.0, 30, 3, 60, "volatility_spike"),
    ),
)
SLICE_US = 10_000_000


@pytest.fixture(scope="module")
def events(shared_data: Path) -> pl.DataFrame:
    """TRADE_EVENTS of the recording, in order of time."""
    raw = recorded_trades(shared_data / "binance" / "ws_raw").sort("time_ms", "symbol", "id")
    return raw.select(
        market=pl.format("binance:{}-USDT", pl.col("symbol").str.strip_suffix("USDT")),
        trade_id="id",
        price="price",
        quantity="quantity",
        is_buy=pl.lit(value=True),
        is_rest=pl.lit(value=False),
        event_time=pl.col("time_ms") * 1000,
    ).cast(TRADE_EVENTS)  # type: ignore[arg-type]


def batches(events: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """The events in batches."""
    return [events[start : start + size] for start in range(0, events.height, size)]


def test_the_sliding_means_are_those_of_the_raw_trades(events: pl.DataFrame) -> None:
    states = {market: MarketState() for market in events["market"].unique()}
    rows = []
    for batch in batches(events, 1_000):
        closed = advance_bars(states, batch, pl.DataFrame(schema=BEATS), delay_us=0)
        rows += [(market, row) for market, done in closed.items() for row in done.means]
    assert len(rows) >= 18
    for market, row in rows:
        within = (events["market"] == market) & events["event_time"].is_between(
            row["window_start"], row["window_end"], closed="left"
        )
        told = events.filter(within)
        assert row["trade_count"] == told.height
        assert row["price_mean"] == pytest.approx(float(told["price"].mean()), rel=1e-12)  # type: ignore[arg-type]
        vwap = (told["price"] * told["quantity"]).sum() / told["quantity"].sum()
        assert row["vwap"] == pytest.approx(vwap, rel=1e-12)
        assert row["window_end"] - row["window_start"] == FIVE_MINUTES_US


def fired(events: pl.DataFrame, size: int) -> dict[str, tuple[str, str, int]]:
    """What fired, by id."""
    states: dict[str, LiveState] = {}
    found = {}
    for batch in batches(events, size):
        for market, told in advance_all(states, batch, pl.DataFrame(schema=BEATS), RULES).items():
            found |= {alert_id(market, one): (market, f"{one.rule}:{one.about}", one.at) for one in told.fired}
    return found


def test_the_same_alerts_fire_in_whatever_batches_the_session_comes(events: pl.DataFrame) -> None:
    live, backlog = fired(events, 200), fired(events, 50_000)
    assert live == backlog
    assert {what.split(":")[0] for _, what, _ in live.values()} >= {"price_move", "volume_spike"}
    assert not any(what.startswith("data_incident") for _, what, _ in live.values())


def test_price_moves_are_those_that_a_recount_finds(events: pl.DataFrame) -> None:
    found = {(market, what, at) for market, what, at in fired(events, 200).values() if what.startswith("price_move")}
    assert found == {entry for market in events["market"].unique() for entry in _recount(events, market)}


def _recount(events: pl.DataFrame, market: str) -> set[tuple[str, str, int]]:
    # Slice by slice with NumPy: opening prices of the window against the slice's extremes; 60 s between two alerts.
    own = events.filter(pl.col("market") == market).sort("trade_id")
    start = own["event_time"].to_numpy() // SLICE_US * SLICE_US
    price = own["price"].to_numpy()
    starts = np.unique(start)
    opens = np.array([price[start == at][0] for at in starts])
    entries, last = set(), dict.fromkeys(("up", "down"), -(10**18))
    for at in starts:
        window = opens[(starts > at - 120_000_000) & (starts <= at)]
        inside = price[start == at]
        for about, move in (("up", inside.max() / window.min() - 1), ("down", 1 - inside.min() / window.max())):
            if 100 * move >= 0.1 and at - last[about] >= MINUTE_US:
                last[about] = at
                entries.add((market, f"price_move:{about}", int(at)))
    return entries
