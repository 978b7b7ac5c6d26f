"""news_move: the price moved by X % after news about the asset.

The price before is the last one before the news; the move is looked for in slices that begin behind it, so that what
moved before the news is not said to follow from it. One alert a story and direction, however many articles tell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from crypto_intel.contracts.rules import Family, Severity
from streaming.transforms.rules.fired import Fired, severity_of
from streaming.transforms.rules.market import SLICE_US, Market, NewsItem

_STALE_US = 60_000_000  # a price older than this is not the one at the time of the news


class NewsMove(msgspec.Struct, frozen=True):
    """The rule: `threshold_pct` within `window_s` behind an article. No cool-down: of a story it is told once."""

    threshold_pct: float
    window_s: int
    name: str = "news_move"
    severity: Severity | None = None
    family: ClassVar[Family] = "news_move"
    cooldown_s: ClassVar[None] = None

    def judge(self, market: Market, at: int) -> Iterator[Fired]:
        """Look at the slice that starts at `at`."""
        near = [news for news in market.news if at - self.window_s * 1_000_000 <= news.at <= at]
        stories: set[str] = set()
        for news in near:
            if news.cluster_id not in stories:
                stories.add(news.cluster_id)
                yield from self._story(market, at, news, [other.article_id for other in near])

    def _story(self, market: Market, at: int, news: NewsItem, article_ids: list[str]) -> Iterator[Fired]:
        before = _price_at(market, news.at)
        now = market.slices.get(at)
        if before is None or now is None:
            return
        for about, price in (("up", now.high), ("down", now.low)):
            move_pct = 100 * (price / before - 1)
            if (move_pct if about == "up" else -move_pct) >= self.threshold_pct:
                fired = self._fired(at, news, before, price)
                fired.about, fired.article_ids = f"{news.cluster_id}:{about}", article_ids
                fired.values["article_count"] = len(article_ids)
                yield fired

    def _fired(self, at: int, news: NewsItem, before: float, price: float) -> Fired:
        move_pct = 100 * (price / before - 1)
        minutes = max(1, round((at + SLICE_US - news.at) / 60_000_000))
        verb = "rose" if move_pct > 0 else "fell"
        return Fired(
            rule=self.name,
            about="",
            anchor="",
            at=at,
            window_start=news.at,
            window_end=at + SLICE_US,
            value=move_pct,
            threshold=self.threshold_pct,
            unit="pct",
            text=f"{verb} {abs(move_pct):.2f} % within {minutes} min of news, to {price:g}",
            severity=severity_of(move_pct, self.threshold_pct),
            values={"price_before": before, "price": price, "news_at": news.at},
        )


def _price_at(market: Market, time: int) -> float | None:
    # The last price of the slice before the one in which the news came; None where that is too long ago.
    own = time - time % SLICE_US
    for start in range(own - SLICE_US, own - _STALE_US - 1, -SLICE_US):
        if start in market.slices:
            return market.slices[start].close
    return None
