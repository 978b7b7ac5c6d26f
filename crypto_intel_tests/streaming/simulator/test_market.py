"""The seeded market: the same for a seed, contiguous, and alive enough to be worth watching."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from streaming.simulator.backing import MarketBacking
from streaming.simulator.binance import stream_name
from streaming.simulator.events import HOUR_S
from streaming.simulator.market import INSTRUMENTS, KRAKEN_INSTRUMENTS, KRAKEN_NUMBER, SeededMarket
from streaming.simulator.paths import ASSETS, PricePaths
from streaming.simulator.venue import E8, VenueTrade

HOUR_US = HOUR_S * 1_000_000
ORIGIN_US = 480_000 * HOUR_US


def market(*, seed: int = 7, rate: float = 25) -> SeededMarket:
    return SeededMarket(PricePaths(seed, ORIGIN_US), seed, rate)


def kraken(*, rate: float = 25) -> SeededMarket:
    paths = PricePaths(7, ORIGIN_US)
    return SeededMarket(paths, 7, rate, instruments=KRAKEN_INSTRUMENTS, venue=KRAKEN_NUMBER)


def minutes(of: SeededMarket, symbol: int, count: int, first: int = 0) -> list[VenueTrade]:
    return [t for i in range(first, first + count) for t in of.minute(symbol, i).trades(0, 10**9)]


def test_a_seed_gives_the_same_market_in_whatever_order_it_is_asked() -> None:
    forward, backward = market(), market()
    late = minutes(backward, 0, 2, first=150)
    assert minutes(forward, 0, 2) == minutes(backward, 0, 2)
    assert minutes(forward, 0, 2, first=150) == late


def test_another_seed_is_another_market() -> None:
    assert minutes(market(seed=7), 0, 1) != minutes(market(seed=8), 0, 1)


@pytest.mark.parametrize("symbol", range(len(INSTRUMENTS)))
def test_ids_are_contiguous_from_one_across_minutes_and_hours(symbol: int) -> None:
    of = market()
    ids = [t.trade_id for t in minutes(of, symbol, 130)]
    assert ids == list(range(1, len(ids) + 1))


def test_times_grow_and_lie_in_their_minute() -> None:
    of = market(rate=20_000)
    for index in (0, 59, 60):
        times = of.minute(0, index).time_us
        assert (np.diff(times) > 0).all()
        assert times.min() >= of.origin_us + index * 60_000_000
        assert times.max() < of.origin_us + (index + 1) * 60_000_000


def test_prices_and_quantities_are_positive_multiples_of_tick_and_step() -> None:
    of = market()
    for number, instrument in enumerate(INSTRUMENTS):
        minute = of.minute(number, 5)
        assert (minute.price_e8 > 0).all()
        assert (minute.price_e8 % instrument.symbol.tick_e8 == 0).all()
        assert (minute.quantity_e8 > 0).all()
        assert (minute.quantity_e8 % instrument.symbol.step_e8 == 0).all()


def test_prices_stay_near_where_they_began_for_days() -> None:
    of = market(rate=1)
    for index in (0, 24, 96):
        deviation = of.hour(index).log_price[:, -1] - np.log([asset.price for asset in ASSETS])
        assert np.abs(deviation).max() < 0.5


def test_somewhere_a_price_moves_by_half_a_percent_every_few_minutes() -> None:
    of = market()
    moved = 0
    for hour in range(3):
        path = of.hour(hour).log_price
        windows = path[:, 300::300] - path[:, :-300:300]
        moved += int((np.abs(windows) > 0.006).any(axis=0).sum())
    assert moved >= 12  # of 36 windows of five minutes


@pytest.mark.parametrize("rate", [5, 25, 5_000])
def test_the_rate_is_the_one_asked_for_and_grows_in_bursts(rate: float) -> None:
    counts = market(rate=rate).hour(0).counts
    assert rate * 0.9 < counts.sum(axis=0).mean() < rate * 1.6
    assert counts.sum(axis=0).max() > 1.5 * rate


@pytest.mark.parametrize("trade_id", [1, 2, 500, 4_000, 40_000])
def test_an_id_is_found_in_the_minute_that_holds_it(trade_id: int) -> None:
    of = market()
    index = of.minute_of_id(0, trade_id, last_minute=179)
    assert index is not None
    assert trade_id in [t.trade_id for t in minutes(of, 0, 1, first=index)]


def test_an_id_of_the_future_is_not_found() -> None:
    assert market().minute_of_id(0, 10**9, last_minute=179) is None


def backing(monkeypatch: pytest.MonkeyPatch, now_ms: list[int]) -> MarketBacking:
    monkeypatch.setattr("streaming.simulator.backing._now_us", lambda: now_ms[0] * 1_000)
    return MarketBacking(market(), start_us=now_ms[0] * 1_000)


def test_streamed_trades_are_those_of_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [market().origin_us // 1_000 + 3_000_000]
    of = backing(monkeypatch, now)
    symbol = of.symbols[0]
    streamed = []
    for step in (25, 1_000, 70, 59_000, 15_000):
        now[0] += step
        streamed += [f.trade_id for f in of.due(frozenset([stream_name(symbol, "trade")]))]
    by_rest = of.trades_from(symbol, streamed[0], 1_000)[: len(streamed)]
    assert streamed == [t.trade_id for t in by_rest]
    assert streamed == list(range(streamed[0], streamed[0] + len(streamed)))


def test_frames_of_all_symbols_come_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [market().origin_us // 1_000 + 60_000]
    of = backing(monkeypatch, now)
    now[0] += 5_000
    frames = of.due(frozenset(stream_name(s, "trade") for s in of.symbols))
    times = [int(f.payload.split(b'"T":')[1].split(b",")[0]) for f in frames]
    assert times == sorted(times)
    assert len({f.market for f in frames}) > 5


def test_rest_tells_nothing_of_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [market().origin_us // 1_000 + 90_500]
    of = backing(monkeypatch, now)
    latest = of.trades_from(of.symbols[0], None, 10)
    assert len(latest) == 10
    assert latest[-1].time_us <= now[0] * 1_000
    assert of.trades_from(of.symbols[0], latest[-1].trade_id + 1, 10) == []


def test_rest_pages_cover_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = backing(monkeypatch, [market().origin_us // 1_000 + 7_300_000])
    pages = [of.trades_from(of.symbols[9], start, 1_000) for start in (1, 1_001, 2_001)]
    ids = list(itertools.chain.from_iterable([t.trade_id for t in page] for page in pages))
    assert ids == list(range(1, 3_001))


def test_after_a_long_stall_the_stream_goes_on_near_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [market().origin_us // 1_000 + 60_000]
    of = backing(monkeypatch, now)
    now[0] += 3_600_000
    frames = of.due(frozenset([stream_name(of.symbols[0], "trade")]))
    first_ms = int(frames[0].payload.split(b'"T":')[1].split(b",")[0])
    assert now[0] - first_ms <= 60_000


def test_a_bitcoin_costs_about_what_the_table_says() -> None:
    price = market().minute(0, 0).price_e8[0] / E8
    assert 60_000 < price < 68_000


def test_kraken_trades_the_same_assets_near_the_same_prices() -> None:
    binance_hour, kraken_hour = market().hour(3), kraken().hour(3)
    for row, instrument in enumerate(KRAKEN_INSTRUMENTS):
        apart = kraken_hour.log_price[row] - binance_hour.log_price[instrument.asset]
        assert 0 < np.abs(apart).max() < 0.001


def test_kraken_has_trades_and_ids_of_its_own() -> None:
    of = kraken()
    ids = [t.trade_id for t in minutes(of, 0, 61)]
    assert ids == list(range(1, len(ids) + 1))
    assert minutes(of, 0, 1) != minutes(market(), 0, 1)
    assert minutes(kraken(), 0, 1, first=60) == minutes(of, 0, 1, first=60)


def test_paging_by_time_gives_every_trade_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = backing(monkeypatch, [market().origin_us // 1_000 + 400_000])
    symbol, paged, after = of.symbols[0], [], 0
    while page := of.trades_since(symbol, after, 100):
        paged += [t.trade_id for t in page]
        after = page[-1].time_us
    assert paged == [t.trade_id for t in of.trades_from(symbol, 1, 100_000)]


def test_a_snapshot_ends_where_the_stream_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [market().origin_us // 1_000 + 400_000]
    of = backing(monkeypatch, now)
    now[0] += 3_000
    snapshot = of.recent(of.symbols[0], 50)
    streamed = of.due(frozenset([stream_name(of.symbols[0], "trade")]))
    assert streamed[0].trade_id == snapshot[-1].trade_id + 1
