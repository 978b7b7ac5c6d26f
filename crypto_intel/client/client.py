"""The two clients: the same methods, with and without `await`."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import httpx
import polars as pl

from crypto_intel.client import requests as ask
from crypto_intel.client.requests import Ask, Interval, Moment

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0


class CryptoIntel:
    """Reads the API. Use it as a context manager, or close it.

    Args:
        url: of the API, without /api/v1.
        key: `ci_...` or an access token; None where reads are open.

    Raises:
        ApiError: the API refused; of any method.
        httpx.TransportError: it does not answer.
    """

    def __init__(self, url: str = DEFAULT_URL, *, key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        base = url.rstrip("/") + ask.PREFIX
        self._http = httpx.Client(base_url=base, headers=ask.headers(key), timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def bars(
        self,
        symbol: str,
        *,
        interval: Interval = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """Bars in [start, end), all in order of time; or `rows` of them, the newest first where no start is given."""
        return self._frame(
            ask.listed("/bars", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue)
        )

    def indicators(
        self,
        symbol: str,
        *,
        interval: Interval = "5m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """RSI, MACD, Bollinger bands and more of the bars of 1m, 5m or 1h; columns of the contract's indicators."""
        return self._frame(
            ask.listed("/indicators", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue)
        )

    def enriched(
        self,
        symbol: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
        final_only: bool = False,
    ) -> pl.DataFrame:
        """Minutes with news and macro values as known then: columns of market_enriched."""
        return self._frame(
            ask.listed("/enriched", rows, symbol=symbol, start=start, end=end, venue=venue, final_only=final_only)
        )

    def as_of(self, symbol: str, venue: str, window_start: Moment, known_by: Moment) -> dict[str, Any]:
        """The enriched row of a minute as it was known at a moment."""
        given = {"symbol": symbol, "venue": venue, "window_start": window_start, "known_by": known_by}
        return self._object("/as-of", given)

    def news(
        self,
        *,
        asset: str | None = None,
        words: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> pl.DataFrame:
        """Articles; the newest first where no start is given."""
        return self._frame(ask.listed("/news", rows, asset=asset, q=words, start=start, end=end))

    def alerts(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> pl.DataFrame:
        """Alerts; the newest first where no start is given."""
        return self._frame(ask.listed("/alerts", rows, symbol=symbol, state=state, start=start, end=end))

    def gaps(self, *, symbol: str | None = None, state: str | None = None, rows: int | None = 100) -> pl.DataFrame:
        """The ledger of gaps, the newest first."""
        return self._frame(ask.listed("/gaps", rows, symbol=symbol, state=state))

    def macro(
        self, series: str, *, as_of: Moment | None = None, start: Moment | None = None, end: Moment | None = None
    ) -> pl.DataFrame:
        """A macro series as it could be used on a day."""
        return self._frame(ask.listed(f"/macro/{series}", None, as_of=as_of, start=start, end=end))

    def completeness(
        self, *, symbol: str | None = None, start: Moment | None = None, end: Moment | None = None
    ) -> pl.DataFrame:
        """How complete each hour is."""
        return self._frame(Ask("/completeness", {"symbol": symbol, "start": start, "end": end}, is_paged=False))

    def prices(self) -> pl.DataFrame:
        """The newest state of each market."""
        return self._frame(Ask("/prices", is_paged=False))

    def symbols(self) -> pl.DataFrame:
        """Every market."""
        return self._frame(Ask("/symbols", is_paged=False))

    def lineage(self, alert_id: str) -> dict[str, Any]:
        """Where an alert comes from: enriched rows, bars, Kafka records."""
        return self._object(f"/lineage/{alert_id}", {})

    def health(self) -> dict[str, Any]:
        """How the platform is."""
        return self._object("/health", {})

    def acknowledge(self, alert_id: str, note: str = "") -> dict[str, Any]:
        """Say that somebody looks at an alert; needs the scope `alerts`."""
        answer = self._http.post(f"/alerts/{alert_id}/acknowledge", json={"note": note})
        return ask.checked(answer).json()  # type: ignore[no-any-return]

    def judge(self, alert_id: str, *, right: bool, note: str = "") -> dict[str, Any]:
        """Say whether an alert was right; needs the scope `alerts`."""
        body = {"verdict": "right" if right else "wrong", "note": note}
        return ask.checked(self._http.post(f"/alerts/{alert_id}/feedback", json=body)).json()  # type: ignore[no-any-return]

    def _object(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._get(path, {name: ask.text(value) for name, value in params.items()}).json()  # type: ignore[no-any-return]

    def _frame(self, wanted: Ask) -> pl.DataFrame:
        pages: list[bytes] = []
        params: dict[str, str] | None = wanted.first()
        while params is not None:
            response = self._get(wanted.path, params)
            pages.append(response.content)
            params = wanted.following(response, len(pages) * ask.PAGE_ROWS)
        return ask.frame(pages, wanted.rows)

    def _get(self, path: str, params: dict[str, str]) -> httpx.Response:
        attempt = 0
        while True:
            response = self._http.get(path, params=params)
            pause = ask.wait_s(response, attempt)
            if pause is None:
                return ask.checked(response)
            attempt += 1
            time.sleep(pause)


class AsyncCryptoIntel:
    """As `CryptoIntel`, for asyncio: `async with AsyncCryptoIntel() as api: bars = await api.bars("BTC-USDT")`."""

    def __init__(self, url: str = DEFAULT_URL, *, key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        base = url.rstrip("/") + ask.PREFIX
        self._http = httpx.AsyncClient(base_url=base, headers=ask.headers(key), timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def bars(
        self,
        symbol: str,
        *,
        interval: Interval = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """Bars in [start, end), all in order of time; or `rows` of them, the newest first where no start is given."""
        return await self._frame(
            ask.listed("/bars", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue)
        )

    async def indicators(
        self,
        symbol: str,
        *,
        interval: Interval = "5m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """RSI, MACD, Bollinger bands and more of the bars of 1m, 5m or 1h; columns of the contract's indicators."""
        return await self._frame(
            ask.listed("/indicators", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue)
        )

    async def enriched(
        self,
        symbol: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
        final_only: bool = False,
    ) -> pl.DataFrame:
        """Minutes with news and macro values as known then."""
        return await self._frame(
            ask.listed("/enriched", rows, symbol=symbol, start=start, end=end, venue=venue, final_only=final_only)
        )

    async def as_of(self, symbol: str, venue: str, window_start: Moment, known_by: Moment) -> dict[str, Any]:
        """The enriched row of a minute as it was known at a moment."""
        given = {"symbol": symbol, "venue": venue, "window_start": window_start, "known_by": known_by}
        answer = await self._get("/as-of", {name: ask.text(value) for name, value in given.items()})
        return answer.json()  # type: ignore[no-any-return]

    async def alerts(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> pl.DataFrame:
        """Alerts; the newest first where no start is given."""
        return await self._frame(ask.listed("/alerts", rows, symbol=symbol, state=state, start=start, end=end))

    async def news(
        self,
        *,
        asset: str | None = None,
        words: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> pl.DataFrame:
        """Articles; the newest first where no start is given."""
        return await self._frame(ask.listed("/news", rows, asset=asset, q=words, start=start, end=end))

    async def macro(
        self, series: str, *, as_of: Moment | None = None, start: Moment | None = None, end: Moment | None = None
    ) -> pl.DataFrame:
        """A macro series as it could be used on a day."""
        return await self._frame(ask.listed(f"/macro/{series}", None, as_of=as_of, start=start, end=end))

    async def prices(self) -> pl.DataFrame:
        """The newest state of each market."""
        return await self._frame(Ask("/prices", is_paged=False))

    async def symbols(self) -> pl.DataFrame:
        """Every market."""
        return await self._frame(Ask("/symbols", is_paged=False))

    async def health(self) -> dict[str, Any]:
        """How the platform is."""
        return (await self._get("/health", {})).json()  # type: ignore[no-any-return]

    async def _frame(self, wanted: Ask) -> pl.DataFrame:
        pages: list[bytes] = []
        params: dict[str, str] | None = wanted.first()
        while params is not None:
            response = await self._get(wanted.path, params)
            pages.append(response.content)
            params = wanted.following(response, len(pages) * ask.PAGE_ROWS)
        return ask.frame(pages, wanted.rows)

    async def _get(self, path: str, params: dict[str, str]) -> httpx.Response:
        attempt = 0
        while True:
            response = await self._http.get(path, params=params)
            pause = ask.wait_s(response, attempt)
            if pause is None:
                return ask.checked(response)
            attempt += 1
            await asyncio.sleep(pause)
