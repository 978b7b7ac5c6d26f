"""Symbols: one spelling for a market inside the platform, whatever the venue calls it.

A symbol is `BASE-QUOTE` in capitals (`BTC-USDT`). Venue spellings (`BTCUSDT`, `XBT/USD`) are mapped at the
edge, in the venue's own producer module, and never travel further.
"""

from __future__ import annotations

import re

SYMBOL_PATTERN = r"^[A-Z0-9]{1,15}-[A-Z0-9]{2,10}$"
_SHAPE = re.compile(SYMBOL_PATTERN)

# Kraken's historical names for assets that the rest of the market writes otherwise.
_ASSET_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}


class Symbol(str):
    """A market as `BASE-QUOTE`; normalised and checked on construction.

    Accepts `-`, `/` or `_` between base and quote, any case, and Kraken's `XBT`/`XDG`.

    Raises:
        ValueError: the text is not a base and a quote asset.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Symbol:
        parts = re.split(r"[-/_]", text.strip().upper())
        if len(parts) == 2:
            text = "-".join(_ASSET_ALIASES.get(part, part) for part in parts)
        if not _SHAPE.match(text):
            raise ValueError(f"not a symbol: {text!r}; expected BASE-QUOTE such as BTC-USDT")
        return super().__new__(cls, text)

    @property
    def base(self) -> str:
        """The asset that is traded: `BTC` of `BTC-USDT`."""
        return self.partition("-")[0]

    @property
    def quote(self) -> str:
        """The asset that prices are in: `USDT` of `BTC-USDT`."""
        return self.partition("-")[2]


def market_key(venue: str, symbol: str) -> str:
    """Key of a market event in Kafka and of a market's state in Spark: `venue:symbol`."""
    return f"{venue}:{symbol}"
