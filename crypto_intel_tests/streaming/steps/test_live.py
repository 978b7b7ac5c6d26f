"""The step of `live`: markets and news side by side, and settings that name what is allowed."""

from __future__ import annotations

import msgspec
import polars as pl
import pytest
from pydantic import ValidationError

from crypto_intel.contracts.events import Article, Heartbeat, Trade, encode
from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.contracts.settings import NewsClock, Topics
from streaming.jobs.live import raised
from streaming.settings import StreamingSettings
from streaming.steps.live import MAX_NEWS, Emitted, Live, known_news
from streaming.transforms.decode import Records
from streaming.transforms.rules import Book

START = 1_735_689_600_000_000
SECOND = 1_000_000
TOPICS = Topics()
RULES = Book.of_rules([rule for rule in load_alert_config().rules if rule.family != "price_move"])


def records(topic: str, *values: bytes) -> Records:
    """Records of partition 0."""
    offsets = pl.Series("kafka_offset", range(len(values)), dtype=pl.Int64)
    times = pl.Series("kafka_time", [START // 1000] * len(values), dtype=pl.Int64)
    return Records(topic, 0, list(values), offsets, times)


def trade(trade_id: int, at_s: float, price: float = 100) -> bytes:
    """A trade."""
    at = START + int(at_s * SECOND)
    return encode(Trade(venue="binance", symbol="BTC-USDT", trade_id=trade_id, price=f"{price:.2f}", quantity="1",
                        taker_side="buy", event_time=at, received_at=at))  # fmt: skip


def article(name: str, published_s: float, seen_s: float, *assets: str) -> bytes:
    """An article."""
    return encode(Article(article_id=name, source="s", url="u", title=name, symbols=assets,
                          published_at=START + int(published_s * SECOND),
                          first_seen_at=START + int(seen_s * SECOND)))  # fmt: skip


def beat(venue: str, at_s: float, *symbols: str) -> bytes:
    """A heartbeat."""
    at = START + int(at_s * SECOND)
    return encode(Heartbeat(venue=venue, symbols=symbols, event_time=at, received_at=at))


def step(live: Live, *values: bytes, topic: str = TOPICS.trades, state: bytes | None = None) -> tuple[bytes, Emitted]:
    """One slice."""
    after, output = live(records(topic, *values), state)
    return after or b"", msgspec.msgpack.decode(output, type=Emitted)


@pytest.mark.parametrize(("clock", "fires"), [("published", True), ("first_seen", False)])
def test_news_of_a_batch_is_known_to_the_rules_of_the_next(clock: NewsClock, fires: bool) -> None:
    live = Live(RULES, TOPICS.trades, clock)
    news, nothing = step(live, article("a", 15, 35, "BTC"), article("b", 15, 35, "ETH"), topic=TOPICS.news)
    assert nothing == Emitted()
    markets, _ = step(live, trade(1, 1), trade(2, 12))
    known = known_news({f"{TOPICS.news}/0": news, f"{TOPICS.trades}/0": markets}, TOPICS.news)
    assert [one.article_id for one in known] == ["a", "b"]
    _, emitted = step(Live(RULES, TOPICS.trades, clock, known), trade(3, 31, price=101), state=markets)
    found = [(market, fired.rule, fired.article_ids) for market, fired in emitted.fired]
    assert found == ([("binance:BTC-USDT", "news_move", ["a"])] if fires else [])
    assert [market for market, _ in emitted.rows] == ["binance:BTC-USDT"]
    assert (emitted.newest.event_us, emitted.newest.kafka_ms) == (START + 31 * SECOND, START // 1000)


def test_the_news_that_is_kept_is_bounded_recent_and_each_once() -> None:
    live = Live(RULES, TOPICS.trades, "published")
    old = article("old", 0, 0, "BTC")
    new = [article(f"n{n:03}", 5_000 + n, 6_000, "BTC") for n in range(MAX_NEWS + 9)]
    state, _ = step(live, old, *new, new[-1], article("of nothing", 5_000, 5_000), topic=TOPICS.news)
    state, _ = step(live, new[-1], topic=TOPICS.news, state=state)
    kept = [one.article_id for one in known_news({f"{TOPICS.news}/0": state}, TOPICS.news)]
    assert (len(kept), kept[-1], len(set(kept))) == (MAX_NEWS, f"n{MAX_NEWS + 8}", MAX_NEWS)


def test_a_feed_that_others_outrun_is_an_incident_of_each_of_its_markets_once() -> None:
    live = Live(RULES, TOPICS.trades, "published")
    state, _ = step(live, trade(1, 0), beat("binance", 2, "BTC-USDT"), beat("kraken", 2, "BTC-USD"))
    state, quiet = step(live, beat("kraken", 20, "BTC-USD"), state=state)
    assert quiet.fired == []
    state, told = step(live, beat("kraken", 40, "BTC-USD"), state=state)
    ((market, fired),) = told.fired
    assert (market, fired.rule, fired.value) == ("binance:BTC-USDT", "data_incident", 38.0)
    alert = raised(market, fired, START, "sim")
    assert alert.message == ("Simulated: BTC-USDT feed silent for 38 s; what is told of this market since is not whole")
    _, again = step(live, beat("kraken", 60, "BTC-USD"), state=state)
    assert again.fired == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"CRYPTO_INTEL_TRIGGERS__LIVE_S": "-1"}, r"triggers.live_s\n.*greater than 0"),
        ({"CRYPTO_INTEL_NEWS_CLOCK": "seen"}, r"news_clock\n.*'published' or 'first_seen'"),
    ],
)
def test_a_wrong_setting_names_itself_and_what_is_allowed(
    settings: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=complaint):
        StreamingSettings()
