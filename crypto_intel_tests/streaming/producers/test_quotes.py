"""Of many quotes the newest of each market and kind, once an interval."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Quote
from streaming.producers.quotes import QuoteThrottle

SECOND = 1_000_000


def quote(at_us: int, symbol: str = "BTC-USDT", volume: str | None = None) -> Quote:
    return Quote(venue="binance", symbol=symbol, price="1", event_time=at_us, received_at=at_us, volume_24h_base=volume)


def test_the_first_passes_at_once_and_then_the_newest_when_its_time_has_come() -> None:
    passed: list[Quote] = []
    throttle = QuoteThrottle(1.0, passed.append)
    for at in (0, SECOND // 2, SECOND - 1):
        throttle.offer(quote(at))
    assert passed == [quote(0)]
    throttle.flush(SECOND - 1)
    assert passed == [quote(0)]
    throttle.flush(SECOND)
    assert passed == [quote(0), quote(SECOND - 1)]


def test_markets_and_kinds_are_kept_apart() -> None:
    passed: list[Quote] = []
    throttle = QuoteThrottle(1.0, passed.append)
    given_ = [quote(0), quote(0, "ETH-USDT"), quote(0, volume="5")]
    for one in given_:
        throttle.offer(one)
    assert passed == given_


def test_at_the_end_what_waits_is_passed_on() -> None:
    passed: list[Quote] = []
    throttle = QuoteThrottle(1.0, passed.append)
    throttle.offer(quote(0))
    throttle.offer(quote(5))
    throttle.flush()
    assert passed == [quote(0), quote(5)]


@given(st.lists(st.integers(0, 20 * SECOND), min_size=1))
def test_never_more_than_one_an_interval_and_the_last_one_always(times: list[int]) -> None:
    passed: list[tuple[int, Quote]] = []
    now = 0
    throttle = QuoteThrottle(1.0, lambda one: passed.append((now, one)))
    for now in sorted(times):
        throttle.offer(quote(now))
        throttle.flush(now)
    assert len(passed) <= (max(times) - min(times)) // SECOND + 1
    throttle.flush()
    assert passed[-1][1].received_at == max(times)
