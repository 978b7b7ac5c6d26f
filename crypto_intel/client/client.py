"""The two clients: how requests are sent, with and without `await`. What can be asked for is in endpoints.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import httpx
import polars as pl

from crypto_intel.client import requests as ask
from crypto_intel.client.endpoints import Endpoints
from crypto_intel.client.requests import Ask, Call

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0

_Object = dict[str, Any]


class CryptoIntel(Endpoints[pl.DataFrame, _Object]):
    """Reads the API. Use it as a context manager, or close it.

    Args:
        url: of the API, without /api/v1.
        key: `ci_...` or an access token; None where reads are open.
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

    def _frame(self, wanted: Ask) -> pl.DataFrame:
        pages: list[bytes] = []
        params: dict[str, str] | None = wanted.first()
        while params is not None:
            response = self._send(Call(wanted.path, params=params))
            pages.append(response.content)
            params = wanted.following(response, len(pages) * ask.PAGE_ROWS)
        return ask.frame(pages, wanted.rows)

    def _object(self, wanted: Call) -> _Object:
        return self._send(wanted).json()  # type: ignore[no-any-return]

    def _send(self, wanted: Call) -> httpx.Response:
        attempt = 0
        while True:
            response = self._http.request(wanted.method, wanted.path, **wanted.arguments())
            pause = ask.wait_s(response, attempt)
            if pause is None:
                return ask.checked(response)
            attempt += 1
            time.sleep(pause)


class AsyncCryptoIntel(Endpoints[Coroutine[Any, Any, pl.DataFrame], Coroutine[Any, Any, _Object]]):
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

    async def _frame(self, wanted: Ask) -> pl.DataFrame:
        pages: list[bytes] = []
        params: dict[str, str] | None = wanted.first()
        while params is not None:
            response = await self._send(Call(wanted.path, params=params))
            pages.append(response.content)
            params = wanted.following(response, len(pages) * ask.PAGE_ROWS)
        return ask.frame(pages, wanted.rows)

    async def _object(self, wanted: Call) -> _Object:
        return (await self._send(wanted)).json()  # type: ignore[no-any-return]

    async def _send(self, wanted: Call) -> httpx.Response:
        attempt = 0
        while True:
            response = await self._http.request(wanted.method, wanted.path, **wanted.arguments())
            pause = ask.wait_s(response, attempt)
            if pause is None:
                return ask.checked(response)
            attempt += 1
            await asyncio.sleep(pause)
