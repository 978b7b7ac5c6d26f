"""What feeds said becomes the state of each stream, the newest word last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from streaming.transforms.feeds import feed_states

AT = datetime(2026, 1, 1, tzinfo=UTC)


def statuses(*rows: tuple[int, str, str, str]) -> pl.DataFrame:
    """(second, status, stream, detail) as rows of bronze.feed_status of one venue."""
    frame = [("kraken", status, stream, detail, AT + timedelta(seconds=s)) for s, status, stream, detail in rows]
    return pl.DataFrame(frame, schema=["venue", "status", "stream", "detail", "received_at"], orient="row")


def states(*rows: tuple[int, str, str, str]) -> dict[str, tuple[str, str]]:
    """State and detail by stream."""
    return {row["stream"]: (row["state"], row["detail"]) for row in feed_states(statuses(*rows)).iter_rows(named=True)}


def test_the_newest_word_of_each_stream_counts_in_whatever_order_it_comes() -> None:
    told = states((9, "connected", "trade", ""), (3, "disconnected", "trade", "reset"), (1, "poll", "rest", ""))
    assert told == {"trade": ("connected", ""), "rest": ("polled", "")}


def test_a_poll_that_failed_says_so() -> None:
    assert states((1, "poll", "CoinDesk", "failed: 503"))["CoinDesk"] == ("failing", "failed: 503")
    assert states((1, "poll", "rest", "could not fetch trades: 429"))["rest"][0] == "failing"
    assert states((1, "poll", "rest", "failed: 503"), (2, "poll", "rest", "3 new"))["rest"][0] == "polled"


def test_signs_of_life_are_a_stream_of_their_own_and_the_end_comes_last() -> None:
    beats = [(1, "heartbeat", "", ""), (2, "heartbeat", "", "")]
    assert states(*beats)["heartbeat"][0] == "alive"
    assert states((2, "ended", "", ""), *beats)["heartbeat"][0] == "ended"


def test_words_about_trade_ids_tell_no_state() -> None:
    assert (
        states((1, "gap", "trade", "3 trades"), (2, "repaired", "trade", ""), (3, "unrecoverable", "trade", "")) == {}
    )
