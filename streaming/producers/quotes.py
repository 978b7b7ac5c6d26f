"""Fewer quotes: the newest of each market and kind, at most one in an interval, so that they do not drown the lake."""

from __future__ import annotations

from collections.abc import Callable

from crypto_intel.contracts.events import Quote

_Key = tuple[str, bool]


class QuoteThrottle:
    """Passes the newest quote of each market and kind on.

    A market has two kinds: with a volume of 24 hours (a ticker) and without (best bid and ask). The first one passes
    at once, then one an interval; what came between is replaced by what came later, and told to nobody.

    Args:
        interval_s: in platform time; 0 passes all.
        write: takes what passes.
    """

    def __init__(self, interval_s: float, write: Callable[[Quote], None]) -> None:
        self._interval_us = int(interval_s * 1e6)
        self._write = write
        self._passed_at: dict[_Key, int] = {}
        self._waiting: dict[_Key, Quote] = {}

    def offer(self, quote: Quote) -> None:
        """A quote arrived."""
        key = (quote.symbol, quote.volume_24h_base is None)
        if quote.received_at - self._passed_at.get(key, -self._interval_us) >= self._interval_us:
            self._pass(key, quote, quote.received_at)
        else:
            self._waiting[key] = quote

    def flush(self, now_us: int | None = None) -> None:
        """Pass on what has waited long enough by `now_us`; all if None."""
        for key, quote in list(self._waiting.items()):
            if now_us is None or now_us - self._passed_at[key] >= self._interval_us:
                self._pass(key, quote, now_us or quote.received_at)

    def _pass(self, key: _Key, quote: Quote, at_us: int) -> None:
        self._passed_at[key] = at_us
        self._waiting.pop(key, None)
        self._write(quote)
