"""Settings of the producers. URLs default to the real venues; the embedded stack points them to the simulator."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from crypto_intel.contracts.symbols import Symbol
from streaming.producers.poll_settings import AlphaVantage, CoinGecko, NewsApi, Rss
from streaming.producers.repair_settings import RepairSettings

KRAKEN_SYMBOLS = ",".join(f"{base}-USD" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT", "LTC", "DOGE"))
DEFAULT_SYMBOLS = ",".join(
    f"{base}-USDT" for base in ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LTC", "DOT", "AVAX")
)


def _checked_symbols(value: Any) -> Any:
    if isinstance(value, str):
        return ",".join(dict.fromkeys(Symbol(part) for part in value.split(",") if part.strip()))
    return value


class Reconnect(BaseModel):
    """How a lost connection is won back. Waits are capped low: a venue that is back must be heard within 3 s."""

    wait_initial_s: float = Field(default=0.1, gt=0)
    wait_max_s: float = Field(default=2.0, gt=0)
    jitter_s: float = Field(default=0.5, ge=0)
    handshake_s: float = Field(
        default=2.5, gt=0, description="A connect that takes longer is given up; one that stalls costs no more of 3 s."
    )
    silence_s: float = Field(default=4.5, gt=0, description="Without a frame or an answer to a ping so long: dead.")
    steady_s: float = Field(default=10.0, gt=0, description="A connection that lasted this long starts waits anew.")
    hand_over_s: float = Field(
        default=85_800, gt=0, description="23 h 50 min: venues close after 24 h; by then another connection took over."
    )
    overlap_s: float = Field(default=2.0, ge=0, description="Both connections live so long, so that nothing is missed.")


class Venue(BaseModel):
    """What trade feeds have in common."""

    symbols: Annotated[str, BeforeValidator(_checked_symbols)] = Field(
        default=DEFAULT_SYMBOLS, min_length=1, description="BASE-QUOTE, separated by commas."
    )
    quotes: bool = Field(default=True, description="Best bid and ask and the ticker of 24 h are taken too.")
    heartbeat_s: float = Field(default=2.0, gt=0, description="Feed time between two heartbeats.")
    messages_per_s: int = Field(default=5, ge=1, description="That the venue takes from us on a connection.")
    connects: int = Field(default=300, ge=1, description="That the venue allows in connects_window_s.")
    connects_window_s: float = Field(default=300, gt=0)

    @property
    def markets(self) -> list[str]:
        """The symbols as a list of plain text, normalised."""
        return self.symbols.split(",")


class Binance(Venue):
    """Binance spot."""

    ws_url: str = "wss://stream.binance.com:9443"
    rest_url: str = "https://api.binance.com"
    api_key: SecretStr | None = Field(default=None, description="Optional; sent with REST requests only.")


class Kraken(Venue):
    """Kraken spot, WebSocket v2."""

    ws_url: str = "wss://ws.kraken.com/v2"
    rest_url: str = "https://api.kraken.com"
    rest_per_s: float = Field(default=1.0, gt=0, description="Requests a second that the venue takes.")
    symbols: Annotated[str, BeforeValidator(_checked_symbols)] = Field(default=KRAKEN_SYMBOLS, min_length=1)
    connects: int = Field(default=150, ge=1)
    connects_window_s: float = Field(default=600, gt=0)


class ProducerSettings(RepairSettings):
    """Everything that a producer reads."""

    clock_url: str | None = Field(default=None, description="Serves the platform clock; unset: system time.")
    coins_look_s: float = Field(
        default=2.0, gt=0, description="Between two looks at the tracked markets in PostgreSQL."
    )
    binance: Binance = Binance()
    kraken: Kraken = Kraken()
    quotes_interval_s: float = Field(default=1.0, ge=0, description="A quote a market and kind in so long; 0: all.")
    newsapi: NewsApi = NewsApi()
    rss: Rss = Rss()
    coingecko: CoinGecko = CoinGecko()
    alphavantage: AlphaVantage = AlphaVantage()
    reconnect: Reconnect = Reconnect()
