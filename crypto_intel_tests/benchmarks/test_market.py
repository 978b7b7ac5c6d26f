"""The load and its truth: the same for a seed, of the shape it says, and right by hand."""

from __future__ import annotations

import polars as pl

from crypto_intel.contracts import events
from crypto_intel.contracts.events import Heartbeat, Trade
from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.benchmarks.fill import PARTITIONS, decimal, news_records, trade_records
from crypto_intel_tests.benchmarks.market import DISORDER_US, MINUTE_US, START_US, Market, Shape
from crypto_intel_tests.benchmarks.truth import BAR_KEY, JOIN_US, PAIR_KEY, bars_of, faults, truth_of

SMALL = Shape(trades=20_000, minutes=10, articles=100)


def test_a_seed_gives_the_same_market_and_another_seed_another() -> None:
    assert Market(SMALL).trades.equals(Market(SMALL).trades)
    assert not Market(SMALL).trades.equals(Market(Shape(trades=20_000, minutes=10, articles=100, seed=8)).trades)


def test_every_trade_arrives_and_one_in_a_thousand_twice() -> None:
    market = Market(SMALL)
    assert market.arrivals.height == SMALL.trades
    assert market.arrivals["place"].n_unique() == market.trades.height == SMALL.trades - SMALL.trades // 1000


def test_trades_arrive_after_their_time_and_within_the_disorder() -> None:
    market = Market(SMALL)
    taken = market.arrivals.with_columns(market.trades["event_time"][market.arrivals["place"]].alias("at"))
    delay = taken["arrived_at"] - taken["at"]
    assert delay.min() >= 0  # type: ignore[operator]
    assert delay.max() <= DISORDER_US + 10_000_000  # type: ignore[operator]
    assert not taken["at"].is_sorted()


def test_ids_of_a_market_have_no_holes() -> None:
    spans = (
        Market(SMALL)
        .trades.group_by("market")
        .agg(pl.len(), span=pl.col("trade_id").max() - pl.col("trade_id").min() + 1)
    )
    assert (spans["len"] == spans["span"]).all()


def test_many_markets_have_names_of_their_own() -> None:
    symbols = Market(Shape(trades=5_000, symbols=500, minutes=5)).symbols
    assert len(set(symbols)) == 500
    assert symbols[0] == "BTC-USDT"


def test_records_are_events_of_the_contract_and_a_market_has_one_partition() -> None:
    market, topics = Market(SMALL), Topics()
    records = list(trade_records(market, topics))
    trades = [(record, event) for record in records if isinstance(event := events.decode(record.value), Trade)]
    assert len(trades) == SMALL.trades
    assert len({(event.symbol, record.partition) for record, event in trades}) == 10
    assert [type(events.decode(record.value)) for record in records[-PARTITIONS:]] == [Heartbeat] * PARTITIONS
    first = market.trades.row(market.arrivals["place"][0], named=True)
    assert trades[0][1].price == decimal(first["price"])


def test_news_comes_before_the_heartbeat_that_vouches_for_it() -> None:
    market = Market(SMALL)
    times = [record.arrived_at for record in news_records(market, Topics())]
    assert times == sorted(times)
    assert times[-1] > SMALL.end_us


def test_the_truth_of_a_minute_is_what_a_count_by_hand_gives() -> None:
    market = Market(SMALL)
    bar = bars_of(market).filter(pl.col("symbol") == "BTC-USDT").row(3, named=True)
    own = [
        trade
        for trade in market.trades.filter(pl.col("market") == 0).sort("trade_id").iter_rows(named=True)
        if bar["window_start"] <= trade["event_time"] < bar["window_start"] + MINUTE_US
    ]
    prices = [float(decimal(trade["price"])) for trade in own]
    assert (bar["open"], bar["close"], bar["high"], bar["low"]) == (prices[0], prices[-1], max(prices), min(prices))
    assert bar["trade_count"] == len(own)
    assert bar["volume_base"] == sum(trade["quantity"] for trade in own) / 10_000
    assert bar["window_start"] == START_US + 3 * MINUTE_US


def test_a_pair_is_an_article_within_five_minutes_of_a_bars_end() -> None:
    market = Market(SMALL)
    bars, pairs = truth_of(market)
    by_hand = {
        (symbol, start, article.article_id)
        for symbol, start in bars.select(BAR_KEY).iter_rows()
        for article in market.articles
        if f"{article.symbols[0]}-USDT" == symbol and abs(article.published_at - start - MINUTE_US) <= JOIN_US
    }
    assert set(pairs.select(PAIR_KEY).iter_rows()) == by_hand
    assert len(by_hand) > 100


def test_what_is_lost_doubled_or_wrong_is_told() -> None:
    bars = truth_of(Market(SMALL)).bars
    assert faults("bars", bars.reverse(), bars, BAR_KEY) == []
    assert "1 lost" in faults("bars", bars[1:], bars, BAR_KEY)[0]
    assert "1 doubled" in faults("bars", pl.concat([bars, bars[:1]]), bars, BAR_KEY)[0]
    assert faults("bars", bars.with_columns(pl.col("close") + 1e-4), bars, BAR_KEY) == [
        "bars.close: 100 of 100 rows differ"
    ]
    assert faults("bars", bars.with_columns(pl.col("vwap") * (1 + 1e-12)), bars, BAR_KEY) == []
    assert "vwap" in faults("bars", bars.with_columns(pl.col("vwap") * (1 + 1e-6)), bars, BAR_KEY)[0]
