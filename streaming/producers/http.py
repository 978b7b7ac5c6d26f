"""HTTP to venues: one client with retries, jitter, `Retry-After`, a budget and conditional requests.

Errors are mapped to ours here. A venue that names a time to come again is not asked before by any caller, since it
counts requests of all of them.

A key travels in a header, or, where a venue wants it in the query, is added below the client that logs URLs and puts
them into errors: no URL above the transport ever holds it, and what the venue echoes of it is blotted out.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote_plus, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import stamina
from pydantic import SecretStr

from streaming.errors import RetryableError, StreamingError
from streaming.producers.budget import Budget, BudgetSpent

TIMEOUT_S = 10.0
MAX_RETRY_AFTER_S = 60.0  # a venue that asks for longer is asked again by the caller's next try, not held here
MAX_BODY_BYTES = 32 * 1024 * 1024  # no source answers with more; what does is not read on
BLOT = "***"
_KEPT_VALIDATORS = 256
_LEAST_SECRET = 12  # what is shorter is no key that a venue gives out, and would stand in texts by chance
_BUSY = frozenset({418, 429})  # 418: Binance's ban of a client that went on after 429

Params = Mapping[str, str | int]


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


@dataclass(frozen=True)
class Key:
    """A key and where the venue wants it: the name of a header or of a parameter of the query."""

    name: str
    value: SecretStr
    place: Literal["header", "query"] = "header"


class Page(NamedTuple):
    """A body, and what the venue said that tells whether it is still the same."""

    body: bytes
    place: str
    etag: str = ""
    modified: str = ""


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
    return isinstance(error, RetryableError) and not isinstance(error, BudgetSpent)


class _KeyInQuery(httpx.AsyncBaseTransport):
    """Adds a key to each URL on its way out."""

    def __init__(self, inner: httpx.AsyncBaseTransport, key: Key) -> None:
        self._inner = inner
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_add_param(self._key.name, self._key.value.get_secret_value())
        keyed = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await self._inner.handle_async_request(keyed)

    async def aclose(self) -> None:
        await self._inner.aclose()


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One for all clients: each would read the certificates again, and keep them."""
    return httpx.create_ssl_context()


def _transport(url: str) -> httpx.AsyncHTTPTransport:
    """With the environment's proxy, which httpx leaves out when it is given a transport."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    return httpx.AsyncHTTPTransport(verify=_tls(), proxy=proxy)


class VenueHttp:
    """GET requests to one venue.

    Args:
        base_url: scheme and host.
        headers: sent with each request; no secrets.
        key: sent with each request, and never shown.
        budget: asked before each request, retries too.
        attempts: of one call, within `timeout_s` in all.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        key: Key | None = None,
        budget: Budget | None = None,
        attempts: int = 6,
        timeout_s: float = 20.0,
    ) -> None:
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._budget = budget
        self._closed_until = 0.0
        self._validators: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._secrets = _spellings(key)
        own = dict(headers or {})
        if key and key.place == "header":
            own[key.name] = key.value.get_secret_value()
        inner = _transport(base_url) if key and key.place == "query" else None
        if inner:  # its debug log has the headers of answers, and a redirect's has the URL that was asked for
            logging.getLogger("httpcore").setLevel(logging.INFO)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=own,
            timeout=TIMEOUT_S,
            verify=_tls(),
            follow_redirects=key is None,  # a key must not follow to another host
            max_redirects=3,
            transport=_KeyInQuery(inner, key) if inner and key else None,
        )

    @property
    def client(self) -> httpx.AsyncClient:
        """The client underneath."""
        return self._client

    @property
    def is_held_off(self) -> bool:
        """Whether the venue asked not to be asked yet."""
        return self._closed_until > time.monotonic()

    def blot(self, text: str) -> str:
        """A text without the key, whoever put it there."""
        for secret in self._secrets:
            text = text.replace(secret, BLOT)
        return text

    async def get(self, path: str, params: Params | None = None) -> bytes:
        """The body of a successful answer.

        Raises:
            RetryableError: the venue could not be reached or is busy, after all retries, or the budget is spent.
            RequestRefused: it answered with another error.
        """
        page = await self._patiently(path, params, {})
        assert page is not None  # noqa: S101 - nothing was asked that may be "not modified"
        return page.body

    async def get_changed(self, path: str, params: Params | None = None) -> Page | None:
        """The page if it is another one than the last that `keep` was told of, else None; raises as `get` does."""
        etag, modified = self._validators.get(_place(path, params), ("", ""))
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        return await self._patiently(path, params, {name: value for name, value in conditions.items() if value})

    def keep(self, page: Page) -> None:
        """The page has been used: only now may the venue leave it out, or a failure behind `get_changed` loses it."""
        self._validators[page.place] = (page.etag, page.modified)
        self._validators.move_to_end(page.place)
        if len(self._validators) > _KEPT_VALIDATORS:
            self._validators.popitem(last=False)

    async def _patiently(self, path: str, params: Params | None, conditions: Mapping[str, str]) -> Page | None:
        failed = ""
        async for attempt in stamina.retry_context(
            on=_wait, attempts=self._attempts, timeout=self._timeout_s, wait_initial=0.1, wait_max=3.0, wait_jitter=0.3
        ):
            with attempt:
                try:
                    return await self._once(path, params, conditions)
                except BudgetSpent as spent:
                    # Why it was tried so often is what people need to know.
                    raise (BudgetSpent(f"{failed}; then {spent}") if failed else spent) from None
                except RetryableError as error:
                    failed = str(error)
                    raise
        raise AssertionError("unreachable: the last attempt raises")

    async def _once(self, path: str, params: Params | None, conditions: Mapping[str, str]) -> Page | None:
        if (closed_s := self._closed_until - time.monotonic()) > 0:
            raise _BusyError(429, closed_s)  # not sent: going on after a 429 earns a ban
        if self._budget:
            await self._budget.take()
        try:
            async with self._client.stream("GET", path, params=params, headers=conditions) as response:
                body = await self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RetryableError(self.blot(f"{type(error).__name__} {error}".strip())) from None
        if conditions and response.status_code == httpx.codes.NOT_MODIFIED:
            return None
        self._check(response, body)
        headers = response.headers
        return Page(body, _place(path, params), headers.get("etag", ""), headers.get("last-modified", ""))

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise RequestRefused(response.status_code, b"an answer without end")
        blotted = bytes(body)
        for secret in self._secrets:
            blotted = blotted.replace(secret.encode(), BLOT.encode())
        return blotted

    def _check(self, response: httpx.Response, body: bytes) -> None:
        if response.status_code in _BUSY or response.is_server_error:
            after = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
            self._closed_until = time.monotonic() + after
            raise _BusyError(response.status_code, after)
        if not response.is_success:
            raise RequestRefused(response.status_code, body[:4096])

    async def aclose(self) -> None:
        """Close the client and its budget."""
        await self._client.aclose()
        if self._budget:
            self._budget.close()


def _spellings(key: Key | None) -> tuple[str, ...]:
    """The key as it may stand in a text: as it is, and as a URL has it."""
    secret = key.value.get_secret_value() if key else ""
    spell: tuple[Callable[[str], str], ...] = (str, quote_plus, lambda text: str(httpx.QueryParams({"": text}))[1:])
    return tuple(dict.fromkeys(way(secret) for way in spell)) if len(secret) >= _LEAST_SECRET else ()


def _place(path: str, params: Params | None) -> str:
    return f"{path}?{httpx.QueryParams(dict(params or {}))}"
