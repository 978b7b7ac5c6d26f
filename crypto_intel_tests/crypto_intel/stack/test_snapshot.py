"""Feeds are shown at their worst, and named by what fails."""

from __future__ import annotations

from typing import Any

from crypto_intel.stack.snapshot import feed_lines
from crypto_intel_tests.crypto_intel.stack.samples import NOON


def row(stream: str, state: str, detail: str = "", venue: str = "rss") -> dict[str, Any]:
    """A row of public.feeds."""
    return {"venue": venue, "stream": stream, "state": state, "detail": detail, "event_time": NOON}


def test_one_failing_stream_makes_the_feed_fail_and_is_named() -> None:
    (feed,) = feed_lines([row("CoinDesk", "failing", "503"), row("Decrypt", "polled"), row("heartbeat", "alive")])
    assert (feed.state, feed.detail, feed.well, feed.heartbeat_at) == ("failing", "CoinDesk: 503", False, NOON)


def test_a_lost_connection_is_worse_than_a_failing_page() -> None:
    (feed,) = feed_lines([row("trade", "disconnected", "reset"), row("rest", "failing", "429")])
    assert (feed.state, feed.detail) == ("disconnected", "trade: reset")


def test_a_connection_says_more_than_a_page_beside_it() -> None:
    (feed,) = feed_lines([row("trade", "connected"), row("rest", "polled"), row("heartbeat", "alive")])
    assert feed.state == "connected"


def test_a_feed_that_ended_is_well() -> None:
    (feed,) = feed_lines([row("trade", "connected"), row("heartbeat", "ended")])
    assert (feed.state, feed.well) == ("ended", True)


def test_feeds_are_in_order_of_their_names() -> None:
    feeds = feed_lines([row("trade", "connected", venue="kraken"), row("heartbeat", "alive", venue="binance")])
    assert [(feed.venue, feed.state) for feed in feeds] == [("binance", "alive"), ("kraken", "connected")]
