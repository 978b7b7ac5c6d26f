"""Asks Alpha Vantage for its series, one request each, and writes the closes that are new."""

from __future__ import annotations

from crypto_intel.contracts.events import Quote
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.alphavantage import VENUE, parameters, parse_rate, parse_series, quote_of
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.poll_settings import key_missing
from streaming.producers.polling import Polled, Refusals, Seen, reason_of
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink

PATH = "/query"


class AlphaVantageSource:
    """A list of series; one that fails says so in its own answer.

    Args:
        settings: of the producers.
        http: Alpha Vantage's address; its key goes into the query below the client.
        sink: takes the quotes.
        clock: the platform's; quotes are received when the answer is here.
        refusals: takes what cannot be used.
    """

    venue = VENUE
    stream = "series"

    def __init__(
        self, settings: ProducerSettings, http: VenueHttp, sink: EventSink, clock: PlatformClock, refusals: Refusals
    ) -> None:
        self._settings = settings
        self._own = settings.alphavantage
        self._http = http
        self._sink = sink
        self._clock = clock
        self._refusals = refusals
        self._seen = Seen()

    @property
    def poll_s(self) -> float:
        """Feed seconds between polls."""
        return self._own.every(self._settings.source)

    @property
    def lacks(self) -> str | None:
        """A key, if there is none."""
        return key_missing("ALPHAVANTAGE__KEY", self._own.key, self._settings.source)

    async def ask(self, asked_at: int) -> list[Polled]:
        """Ask for each series in turn: the venue counts requests a minute."""
        return [await self._ask_one(kind, symbol) for kind, symbol in self._own.wanted]

    async def _ask_one(self, kind: str, symbol: str) -> Polled:
        stream = f"{kind}:{symbol}"
        try:
            body = await self._http.get(PATH, parameters(kind, symbol, self._own.interval))
            quotes = self._quotes(body, kind, symbol)
        except (RetryableError, RequestRefused, RejectedInput) as error:
            return Polled(stream, failure=reason_of(error))
        return Polled(stream, sum(self._take(quote, stream) for quote in quotes), len(quotes))

    def _quotes(self, body: bytes, kind: str, symbol: str) -> list[Quote]:
        received_at = self._clock.now_us()
        place = f"rest {PATH} {kind}:{symbol}"
        with self._refusals.of(body, place, received_at):
            if kind == "rate":
                return [parse_rate(body, received_at)]
            series = parse_series(body, symbol, received_at)
        for raw, error in series.rejected:
            self._refusals.add(raw, place, error, received_at)
        return [quote_of(candle, received_at) for candle in series.candles]

    def _take(self, quote: Quote, stream: str) -> bool:
        """Write a quote that is new: an open candle is one again when its close has moved."""
        if not self._seen.add(f"{stream}:{quote.event_time}:{quote.price}"):
            return False
        self._sink.quote(quote)
        return True
