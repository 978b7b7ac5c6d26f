"""HTTP to venues: one client with retries, jitter and `Retry-After`. Errors are mapped to ours here.

A venue that names a time to come again is not asked before by any caller, since it counts requests of all of them.

Keys travel in headers, never in a URL: URLs are logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import stamina

from streaming.errors import RetryableError, StreamingError

TIMEOUT_S = 10.0
MAX_RETRY_AFTER_S = 60.0  # a venue that asks for longer is asked again by the caller's next try, not held here
_BUSY = frozenset({418, 429})  # 418: Binance's ban of a client that went on after 429


class RequestRefused(StreamingError):  # noqa: N818 - says what the venue did
    """The venue answered, and repeating the same request will not help.

    Args:
        status: HTTP status.
        body: the answer's bytes, cut; it may carry the venue's own error envelope.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}: {body[:200]!r}")
        self.status = status
        self.body = body


class _BusyError(RetryableError):
    """The venue says when to come again; 0 when it does not."""

    def __init__(self, status: int, after_s: float) -> None:
        super().__init__(f"HTTP {status}")
        self.after_s = after_s


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds of a Retry-After header, given as a number or a date; 0 if absent or unreadable."""
    if not value:
        return 0.0
    try:
        if value.strip().isdigit():
            return min(float(value), MAX_RETRY_AFTER_S)
        after = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(after, 0.0), MAX_RETRY_AFTER_S)


def _wait(error: Exception) -> bool | float:
    if isinstance(error, _BusyError) and error.after_s:
        return error.after_s
    return isinstance(error, RetryableError)


class VenueHttp:
    """GET requests to one venue.

    Args:
        base_url: scheme and host.
        headers: sent with each request; may hold a key.
        attempts: of one call, within `timeout_s` in all.
    """

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str] | None = None, attempts: int = 6, timeout_s: float = 20.0
    ) -> None:
        self._attempts = attempts
        self._closed_until = 0.0
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(base_url=base_url, headers=dict(headers or {}), timeout=TIMEOUT_S)

    @property
    def client(self) -> httpx.AsyncClient:
        """The client underneath."""
        return self._client

    @property
    def is_held_off(self) -> bool:
        """Whether the venue asked not to be asked yet."""
        return self._closed_until > time.monotonic()

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> bytes:
        """The body of a successful answer.

        Raises:
            RetryableError: the venue could not be reached or is busy, after all retries.
            RequestRefused: it answered with another error.
        """
        async for attempt in stamina.retry_context(
            on=_wait, attempts=self._attempts, timeout=self._timeout_s, wait_initial=0.1, wait_max=3.0, wait_jitter=0.3
        ):
            with attempt:
                return await self._get(path, params)
        raise AssertionError("unreachable: the last attempt raises")

    async def _get(self, path: str, params: Mapping[str, str | int] | None) -> bytes:
        if (closed_s := self._closed_until - time.monotonic()) > 0:
            raise _BusyError(429, closed_s)  # not sent: going on after a 429 earns a ban
        try:
            response = await self._client.get(path, params=params)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise RetryableError(f"{type(error).__name__} {error}".strip()) from error
        if response.status_code in _BUSY or response.is_server_error:
            after = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
            self._closed_until = time.monotonic() + after
            raise _BusyError(response.status_code, after)
        if not response.is_success:
            raise RequestRefused(response.status_code, response.content[:4096])
        return response.content

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()
