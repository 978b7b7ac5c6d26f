"""Asks CoinGecko for quotes, and for the chart of a coin; its past as a whole is brought by coingecko_history.py."""

from __future__ import annotations

from crypto_intel.contracts.events import Quote
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.coingecko import VENUE, Tickers, parse_chart, parse_market, parse_rows
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.polling import Polled, Refusals, Seen, reason_of
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink

PATH = "/api/v3/coins/markets"


class CoinGeckoSource:
    """Quotes of the greatest coins at each poll, and of all tracked coins now and then.

    Args:
        settings: of the producers.
        http: CoinGecko's address, with the key in its headers.
        sink: takes the quotes.
        clock: the platform's; quotes are received when the answer is here.
        refusals: takes what cannot be used.
    """

    venue = VENUE
    stream = "markets"

    def __init__(
        self, settings: ProducerSettings, http: VenueHttp, sink: EventSink, clock: PlatformClock, refusals: Refusals
    ) -> None:
        self._settings = settings
        self._own = settings.coingecko
        self._http = http
        self._sink = sink
        self._clock = clock
        self._refusals = refusals
        self._seen = Seen()
        self._tickers = Tickers(self._own.tickers)
        self._tracked_at_us: int | None = None

    @property
    def poll_s(self) -> float:
        """Feed seconds between polls of the greatest coins."""
        return self._own.every(self._settings.source)

    @property
    def lacks(self) -> str | None:
        """A key, if the plan needs one."""
        is_free = self._own.plan == "public" or self._own.key is not None or self._settings.source != "live"
        return None if is_free else "no key: set CRYPTO_INTEL_COINGECKO__KEY"

    async def ask(self, asked_at: int) -> list[Polled]:
        """Ask for quotes; a list that fails says so in its own answer."""
        top: dict[str, str | int] = {"order": "market_cap_desc", "per_page": self._own.top, "page": 1}
        answers = [await self._markets("top", top)]
        last = self._tracked_at_us
        if last is None or asked_at - last >= self._own.tracked_poll_s * 1e6:
            answers.append(
                await self._markets("tracked", {"ids": ",".join(self._own.tickers), "per_page": 250, "page": 1})
            )
            self._tracked_at_us = asked_at
        return answers

    async def _markets(self, stream: str, params: dict[str, str | int]) -> Polled:
        try:
            return await self._quotes(stream, params)
        except (RetryableError, RequestRefused, RejectedInput) as error:
            return Polled(stream, failure=reason_of(error))

    async def _quotes(self, stream: str, params: dict[str, str | int]) -> Polled:
        page = await self._http.get_changed(PATH, {"vs_currency": "usd", **params})
        if page is None:
            return Polled(stream, note="not changed")
        received_at = self._clock.now_us()
        with self._refusals.of(page.body, f"rest {PATH}", received_at):
            rows = parse_rows(page.body)
        new = sum(self._take(row, received_at) for row in rows)
        self._http.keep(page)
        return Polled(stream, new, len(rows))

    def _take(self, row: bytes, received_at: int) -> bool:
        """Write a quote, or why it cannot be used; whether it was new."""
        try:
            quote = parse_market(row, received_at, self._tickers)
        except RejectedInput as error:
            self._refusals.add(row, f"rest {PATH}", error, received_at)
            return False
        if not self._seen.add(f"{quote.symbol}:{quote.event_time}"):  # in both lists, twice in one, or not updated
            return False
        self._sink.quote(quote)
        return True


async def market_chart(
    http: VenueHttp, coin: str, ticker: str, days: int | str, received_at: int
) -> list[Quote | RejectedInput]:
    """Points of a coin's chart in dollars, in its order; what is no quote as the reason why.

    Args:
        http: CoinGecko's address.
        coin: its id there.
        ticker: its symbol here, without the quote.
        days: how far back, or "max"; 1 gives points of 5 minutes, up to 90 of an hour, more of a day.
        received_at: platform time in microseconds.

    Raises:
        RetryableError, RequestRefused, RejectedInput: there is no chart, and why.
    """
    path = f"/api/v3/coins/{coin}/market_chart"
    body = await http.get(path, {"vs_currency": "usd", "days": days})
    return list(parse_chart(body, f"{ticker}-USD", received_at))
