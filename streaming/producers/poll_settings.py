"""Settings of the polled sources. Polls are as frequent as the plan of a live source bears, and denser in a demo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from crypto_intel.contracts.settings import Source
from crypto_intel.contracts.symbols import Symbol
from streaming.producers.alphavantage import FUNCTIONS
from streaming.producers.budget import DAY_S, MINUTE_S, Limit
from streaming.producers.coingecko import COINS

DEMO_POLL_S = 15.0
NO_LIMITS: Sequence[Limit] = ()


class Polled(BaseModel):
    """What all polled sources have in common."""

    poll_s: float | None = Field(default=None, gt=0, description="Feed seconds between polls; default: by source.")

    def every_s(self, source: Source, live_s: float, demo_s: float = DEMO_POLL_S) -> float:
        """Feed seconds between polls."""
        return self.poll_s or (live_s if source == "live" else demo_s)


class NewsApi(Polled):
    """NewsAPI's /v2/everything. A free key has 100 requests a day."""

    url: str = "https://newsapi.org"
    key: SecretStr | None = None
    query: str = "bitcoin OR ethereum OR crypto OR solana OR ripple OR dogecoin OR cardano OR polkadot OR avalanche OR litecoin OR BNB OR XRP"  # noqa: E501
    language: str | None = Field(default=None, pattern="^[a-z]{2}$")
    page_size: int = Field(default=100, ge=1, le=100)
    max_pages: int = Field(default=5, ge=1)
    overlap_minutes: float = Field(default=60.0, ge=0, description="Asked for again: indexes are filled late.")
    per_day: int = Field(default=100, ge=1, description="Requests that the plan allows.")

    def limits(self, source: Source) -> Sequence[Limit]:
        """Of a live key."""
        return [Limit(self.per_day, DAY_S)] if source == "live" else NO_LIMITS


def _coins(value: str) -> str:
    for part in value.split(","):
        coin, _, ticker = part.strip().partition("=")
        if not re.fullmatch(r"[a-z0-9_-]+", coin):
            raise ValueError(f"{coin!r} is no id of a coin")
        if not re.fullmatch(r"[A-Z0-9]{1,15}", ticker or COINS.get(coin, "")):
            raise ValueError(f"what is the ticker of {coin!r}? write {coin}=TICKER")
    return value


def _named_feeds(value: str) -> str:
    for part in value.split(","):
        name, found, url = part.partition("=")
        if not (found and name.strip() and url.strip().startswith(("http://", "https://"))):
            raise ValueError(f"{part.strip()!r} is no name=URL of a feed")
    return value


class Rss(Polled):
    """RSS and Atom feeds, no key needed."""

    feeds: Annotated[str, AfterValidator(_named_feeds)] = Field(
        default="CoinDesk=https://www.coindesk.com/arc/outboundfeeds/rss/,"
        "Cointelegraph=https://cointelegraph.com/rss,"
        "Decrypt=https://decrypt.co/feed,"
        "Bitcoin Magazine=https://bitcoinmagazine.com/feed,"
        "The Block=https://www.theblock.co/rss.xml",
        description="name=URL, separated by commas; the name is the articles' source.",
    )

    @property
    def named(self) -> dict[str, str]:
        """Feeds by name."""
        pairs = (part.partition("=") for part in self.feeds.split(","))
        return {name.strip(): url.strip() for name, _, url in pairs}


class CoinGecko(Polled):
    """CoinGecko's /coins/markets. `public` and `demo` are free of charge; a demo key has 10,000 requests a month."""

    url: str | None = Field(default=None, description="Default: the address of the plan.")
    plan: Literal["public", "demo", "pro"] = "public"
    key: SecretStr | None = Field(default=None, description="Needed for demo and pro.")
    top: int = Field(default=10, ge=1, le=250, description="So many of the greatest coins, at each poll.")
    coins: Annotated[str, AfterValidator(_coins)] = Field(
        default=",".join(COINS), description="Tracked coins by CoinGecko's ids; id=TICKER for others than the default."
    )
    tracked_poll_s: float = Field(default=600, gt=0, description="Feed seconds between polls of all tracked coins.")

    @property
    def tickers(self) -> dict[str, str]:
        """Tickers of the tracked coins by their ids."""
        parts = (part.strip().partition("=") for part in self.coins.split(","))
        return {coin: ticker or COINS[coin] for coin, _, ticker in parts}

    @property
    def address(self) -> str:
        """Where it is asked."""
        return self.url or f"https://{'pro-' if self.plan == 'pro' else ''}api.coingecko.com"

    @property
    def key_header(self) -> str:
        """Header of the plan's key."""
        return f"x-cg-{'pro' if self.plan == 'pro' else 'demo'}-api-key"

    def every(self, source: Source) -> float:
        """Feed seconds between polls of the top coins."""
        return self.every_s(source, 15.0 if self.plan == "pro" else 300.0)

    def limits(self, source: Source) -> Sequence[Limit]:
        """Of the plan."""
        if source != "live":
            return NO_LIMITS
        of_plan = {
            "public": [Limit(5, MINUTE_S)],
            "demo": [Limit(30, MINUTE_S), Limit(320, DAY_S)],
            "pro": [Limit(500, MINUTE_S)],
        }
        return of_plan[self.plan]


def _known_series(value: str) -> str:
    for part in value.split(","):
        kind, _, symbol = part.strip().partition(":")
        if kind not in FUNCTIONS:
            raise ValueError(f"{part.strip()!r}: a series begins with one of {', '.join(FUNCTIONS)}")
        Symbol(symbol)
    return value


class AlphaVantage(Polled):
    """Alpha Vantage's /query. A free key has 25 requests a day, 5 a minute."""

    url: str = "https://www.alphavantage.co"
    key: SecretStr | None = None
    series: Annotated[str, AfterValidator(_known_series)] = Field(
        default="fx-daily:EUR-USD,crypto-daily:BTC-USD,crypto-daily:ETH-USD",
        description=f"kind:BASE-QUOTE, separated by commas; kinds: {', '.join(FUNCTIONS)}.",
    )
    interval: Literal["1min", "5min", "15min", "30min", "60min"] = Field(default="5min", description="Of intraday.")
    per_minute: int = Field(default=5, ge=1)
    per_day: int = Field(default=25, ge=1)

    @property
    def wanted(self) -> list[tuple[str, str]]:
        """Kind and symbol of each series."""
        parts = (part.strip().partition(":") for part in self.series.split(","))
        return [(kind, str(Symbol(symbol))) for kind, _, symbol in parts]

    def every(self, source: Source) -> float:
        """Feed seconds between polls: live, as often as the day's budget bears."""
        live_s = max(DAY_S * len(self.wanted) / self.per_day * 1.1, 60.0)
        return self.every_s(source, live_s, demo_s=60.0)

    def limits(self, source: Source) -> Sequence[Limit]:
        """Of a live key."""
        return [Limit(self.per_minute, MINUTE_S), Limit(self.per_day, DAY_S)] if source == "live" else NO_LIMITS


def key_missing(variable: str, key: SecretStr | None, source: Any) -> str | None:
    """Why a live source that needs a key cannot be asked."""
    return f"no key: set CRYPTO_INTEL_{variable}" if key is None and source == "live" else None
