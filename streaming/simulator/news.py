"""The simulated news wire: articles about the events that move the simulated market, in NewsAPI's form.

Every text says that it is simulated. Articles are drawn by hour from events.py, so any past article can be asked for
again. What belongs here: texts and the semantics of `/v2/everything`. What does not: HTTP (http.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streaming.errors import RejectedInput
from streaming.simulator.events import HOUR_S, HourEvents, events_of_hour

SOURCE = "Simulated Wire"
MAX_PAGE_SIZE = 100
_MAX_LOOK_BACK_HOURS = 48  # what `/v2/everything` reaches back, so that a query stays cheap
_MILD_LOG_MOVE = 0.006
MAX_BURST = 100
_MAX_EXTRA = 1_000  # stories of bursts that are kept; the oldest are forgotten first

ASSET_NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "XRP": "XRP",
    "BNB": "BNB",
    "DOGE": "Dogecoin",
    "ADA": "Cardano",
    "LTC": "Litecoin",
    "DOT": "Polkadot",
    "AVAX": "Avalanche",
}

_GOOD = (
    "{name} rallies as a fictional fund reports inflows of {figure} million dollars",
    "{name} surges after an invented exchange wins approval to trade {figure} products",
    "Strong demand lifts {name} by {figure} points in made-up survey of traders",
)
_BAD = (
    "{name} plunges after an invented exchange halts withdrawals of {figure} million dollars",
    "{name} falls as a fictional regulator asks for {figure} million dollars",
    "Fears of a made-up hack of {figure} million dollars weigh on {name}",
)
_PLAIN = (
    "{name} developers discuss fictional upgrade number {figure}",
    "What an invented analyst says about {name} at {figure} points this week",
    "{name} volumes unchanged at {figure} million dollars in a made-up report",
)
"""The figure is the story's own: without it, stories of two days would have the same titles by the dozen."""

_STIRRING = (*_BAD, *_GOOD)


@dataclass(frozen=True)
class WireArticle:
    """One article; `published_us` is in whole seconds, as NewsAPI tells it."""

    asset: str
    url: str
    title: str
    description: str
    published_us: int

    def as_json(self) -> dict[str, Any]:
        """The article in NewsAPI's form, with its nulls."""
        published = datetime.fromtimestamp(self.published_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "source": {"id": None, "name": SOURCE},
            "author": None,
            "title": self.title,
            "description": self.description,
            "url": self.url,
            "urlToImage": None,
            "publishedAt": published,
            "content": f"{self.description} None of this happened. [+0 chars]",
        }

    def mentions(self, words: Sequence[str]) -> bool:
        """Whether any of the lower-case words stands in title or description."""
        text = f"{self.title} {self.description}".lower()
        return not words or any(word in text for word in words)


class NewsWire:
    """All articles between two times.

    Args:
        seed: the market's seed.
        assets: what is written about; for the market, its bases in order, since its events are theirs.
        start_us: nothing was published before.
    """

    def __init__(self, seed: int, assets: Sequence[str], start_us: int) -> None:
        self._seed = seed
        self._assets = list(assets)
        self._start_us = start_us
        self._extra: deque[WireArticle] = deque(maxlen=_MAX_EXTRA)

    def burst(self, about: str, count: int, now_us: int) -> str:
        """Publish stories of one asset at once, beside what is drawn; they are forgotten with this process.

        Args:
            about: the asset, or a market of it: BTC, BTC-USDT.
            count: how many, each a story of its own.
            now_us: their time.

        Returns:
            The asset.

        Raises:
            RejectedInput: nothing is written about it, or there are too many.
        """
        asset = about.upper().partition("-")[0]
        if asset not in self._assets:
            raise RejectedInput("unknown_symbol", f"{about!r}: nothing is written of it; allowed: {self._assets}")
        if count > MAX_BURST:
            raise RejectedInput("too_many", f"at most {MAX_BURST} stories at once")
        at_us = now_us // 1_000_000 * 1_000_000
        for number in range(count):
            text = _STIRRING[number % len(_STIRRING)]
            slug = f"burst-{at_us // 1_000_000}-{number}"
            self._extra.append(self._told(asset, slug, text, 1_000 + at_us // 1_000_000 % 9_000 + number, at_us))
        return asset

    def published(self, from_us: int, until_us: int) -> list[WireArticle]:
        """Articles of [from_us, until_us], newest first; at most two days of them."""
        hour_us = HOUR_S * 1_000_000
        from_us = max(from_us, self._start_us, until_us - _MAX_LOOK_BACK_HOURS * hour_us)
        articles = [
            article
            for hour in range(from_us // hour_us, until_us // hour_us + 1)
            for article in self._of_hour(hour)
            if from_us <= article.published_us <= until_us
        ]
        articles += [article for article in self._extra if from_us <= article.published_us <= until_us]
        return sorted(articles, key=lambda article: article.published_us, reverse=True)

    def _of_hour(self, hour: int) -> list[WireArticle]:
        events = events_of_hour(self._seed, hour, len(self._assets))
        return [self._article(hour, number, events) for number in events.is_reported.nonzero()[0].tolist()]

    def _article(self, hour: int, number: int, events: HourEvents) -> WireArticle:
        move = float(events.log_move[number])
        texts = _PLAIN if abs(move) < 1e-9 else _GOOD if move > 0 else _BAD
        wording = int(events.wording[number])
        return self._told(
            self._assets[events.asset[number]],
            f"{hour}-{number}",
            texts[wording % len(texts)],
            10 + wording % 99_999 / 10,
            (hour * HOUR_S + int(events.second[number])) * 1_000_000,
            is_decisive=abs(move) > _MILD_LOG_MOVE,
        )

    def _told(
        self, asset: str, slug: str, text: str, figure: float, at_us: int, *, is_decisive: bool = False
    ) -> WireArticle:
        name = ASSET_NAMES.get(asset, asset)
        weight = "Traders call it decisive." if is_decisive else "Traders shrug."
        return WireArticle(
            asset=asset,
            url=f"https://simulated.example/wire/{asset.lower()}/{slug}",
            title=f"Simulated: {text.format(name=name, figure=f'{figure:.1f}')}",
            description=f"Simulated news about {name} ({asset}) from a seeded market. {weight}",
            published_us=at_us,
        )


def query_words(query: str) -> list[str]:
    """Words of a NewsAPI query, any of which may match: quotes, brackets and OR are taken off."""
    parts = query.replace("(", " ").replace(")", " ").split(" OR ")
    return [part.strip().strip('"').lower() for part in parts if part.strip()]


def page(articles: Sequence[WireArticle], size: int, number: int) -> dict[str, Any]:
    """The body of `/v2/everything` for one page, counted from 1."""
    start = (number - 1) * size
    return {
        "status": "ok",
        "totalResults": len(articles),
        "articles": [article.as_json() for article in articles[start : start + size]],
    }


def error(code: str, message: str) -> dict[str, str]:
    """The body of a refusal."""
    return {"status": "error", "code": code, "message": message}
