"""Hand-made markets for the rules: minutes and slices as the stream would have folded them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crypto_intel_tests.streaming.transforms.test_market import START, trade, trades
from streaming.transforms import intervals
from streaming.transforms.bars import fold
from streaming.transforms.rules.market import SLICE_US, Market, NewsItem


def market(*rows: Mapping[str, Any], news: Sequence[NewsItem] = (), silences: Sequence[tuple[int, int]] = ()) -> Market:
    """The market of these trades; it is known from START on."""
    frame = trades(*(dict(row) for row in rows))
    ids = frame.filter(frame["trade_id"] >= 0)["trade_id"].to_numpy()
    return Market(
        slices=fold(frame, SLICE_US),
        minutes=fold(frame),
        seen=intervals.from_ids(ids),
        since=START,
        silences=silences,
        news=news,
        clock=int(frame["event_time"].max()),  # type: ignore[arg-type]
    )


def path(*prices: float, every_s: float = 10) -> list[dict[str, Any]]:
    """A trade each ten seconds."""
    return [trade(number, every_s * number, price=price) for number, price in enumerate(prices)]


def at(seconds: float) -> int:
    """A time after START."""
    return START + int(seconds * 1_000_000)
