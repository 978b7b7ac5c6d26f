"""The step of `live`: trades into the states of their markets, live rows and what rules fired out; news into a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from crypto_intel.contracts.tables import BRONZE_NEWS
from streaming.steps.slice import Newest
from streaming.transforms.decode import Records, decode
from streaming.transforms.from_bronze import news_items
from streaming.transforms.live import LiveState, advance_all
from streaming.transforms.rules import Book, Fired, NewsItem, Rules

MAX_NEWS = 500
"""Articles a partition that rules know of; the oldest go first."""

MARKETS = msgspec.msgpack.Decoder(dict[str, LiveState])
ARTICLES = msgspec.msgpack.Decoder(list[NewsItem])


class Emitted(msgspec.Struct):
    """What a slice gave: (market, row) of markets that traded, (market, fired) of rules that fired."""

    rows: list[tuple[str, dict[str, Any]]] = []
    fired: list[tuple[str, Fired]] = []
    newest: Newest = Newest()


@dataclass(frozen=True)
class Live:
    """The step of a slice: trades into the states of their markets, live rows and what fired out; news into a list.

    Args:
        rules: what is judged.
        trades_topic: the topic that has the markets; what comes from elsewhere is news.
        clock: which of an article's times counts.
        news: what the batches before brought.
    """

    rules: Rules | Book
    trades_topic: str
    clock: str
    news: tuple[NewsItem, ...] = ()

    def __call__(self, records: Records, state: bytes | None) -> tuple[bytes | None, bytes]:
        """Advance the markets of a partition, or its news."""
        if records.topic != self.trades_topic:
            return self._read(records, state), msgspec.msgpack.encode(Emitted())
        decoded = decode(records)
        markets = MARKETS.decode(state) if state else {}
        told = advance_all(markets, decoded.trades, decoded.beats, self.rules, self.news)
        emitted = Emitted(
            rows=[(market, one.row) for market, one in told.items() if one.row],
            fired=[(market, fired) for market, one in told.items() for fired in one.fired],
            newest=Newest(max((state.clock_us for state in markets.values()), default=0), records.newest_ms),
        )
        return msgspec.msgpack.encode(markets), msgspec.msgpack.encode(emitted)

    def _read(self, records: Records, state: bytes | None) -> bytes:
        known = ARTICLES.decode(state) if state else []
        rows = decode(records).bronze.get(BRONZE_NEWS)
        new = [one for one in news_items(rows, self.clock) if one.assets] if rows is not None else []
        by_id = {article.article_id: article for article in [*new[::-1], *known]}  # the first sighting stays
        newest = max([article.at for article in by_id.values()], default=0)
        oldest = newest - 2 * self.rules.horizon_s * 1_000_000
        kept = sorted((one for one in by_id.values() if one.at >= oldest), key=lambda one: (one.at, one.article_id))
        return msgspec.msgpack.encode(kept[-MAX_NEWS:])


def known_news(partitions: Mapping[str, bytes], topic: str) -> tuple[NewsItem, ...]:
    """The articles among the states of a batch, ascending by time."""
    parts: Iterable[bytes] = (state for name, state in partitions.items() if name.startswith(f"{topic}/"))
    return tuple(sorted((one for part in parts for one in ARTICLES.decode(part)), key=lambda one: one.at))
