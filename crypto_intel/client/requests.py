"""What is sent and how answers are read, without doing either: shared by the two clients."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

import httpx
import polars as pl

Interval = Literal["1m", "5m", "1h", "1d"]
Moment = datetime | date | str
"""A time, a day, or either as ISO 8601 text; without a zone: UTC."""

PREFIX = "/api/v1"
PAGE_ROWS = 10_000
RETRIED = frozenset({429, 503})
"""Answers that say to come again; the header Retry-After says when."""

RETRIES = 4
LONGEST_WAIT_S = 60.0


class ApiError(Exception):
    """The API refused.

    Attributes:
        status: of HTTP.
        word: the same for the same fault, e.g. `invalid-parameters`.
        errors: what was wrong, by parameter.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.word = str(problem.get("type", "")).rpartition(":")[2]
        self.errors = list(problem.get("errors", []))
        reasons = "; ".join(f"{error['field']}: {error['message']}" for error in self.errors)
        super().__init__(f"{status} {problem.get('detail', '')}" + (f" ({reasons})" if reasons else ""))


@dataclass(frozen=True)
class Ask:
    """A GET whose answer is a frame; pages are followed until `rows` are there (None: all)."""

    path: str
    params: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    is_paged: bool = True

    def first(self) -> dict[str, str]:
        """Parameters of the first request."""
        given = {name: text(value) for name, value in self.params.items() if value is not None}
        if self.is_paged:
            given["limit"] = str(min(PAGE_ROWS, self.rows or PAGE_ROWS))
        return {**given, "format": "arrow"}

    def following(self, response: httpx.Response, got: int) -> dict[str, str] | None:
        """Parameters of the next request; None when there is enough, or no more."""
        cursor = response.headers.get("x-next-cursor")
        if not cursor or (self.rows is not None and got >= self.rows):
            return None
        return {**self.first(), "cursor": cursor}


@dataclass(frozen=True)
class Call:
    """A request whose answer is one object, or one page."""

    path: str
    method: Literal["GET", "POST", "PATCH"] = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """For httpx."""
        given = {name: text(value) for name, value in self.params.items() if value is not None}
        return {"params": given} | ({} if self.body is None else {"json": self.body})


def text(value: Any) -> str:
    """A parameter as it goes into the address."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def headers(key: str | None) -> dict[str, str]:
    """Headers of every request."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def frame(pages: list[bytes], rows: int | None) -> pl.DataFrame:
    """Arrow pages as one frame."""
    whole = pl.concat([pl.read_ipc_stream(io.BytesIO(page)) for page in pages], rechunk=True)
    return whole if rows is None else whole.head(rows)


def checked(response: httpx.Response) -> httpx.Response:
    """The response, if it is a success.

    Raises:
        ApiError: it is not.
    """
    if response.is_success:
        return response
    is_problem = "json" in response.headers.get("content-type", "")
    raise ApiError(response.status_code, response.json() if is_problem else {"detail": response.reason_phrase})


def wait_s(response: httpx.Response, attempt: int) -> float | None:
    """How long to wait before the same request; None: not to send it again."""
    if response.status_code not in RETRIED or attempt >= RETRIES:
        return None
    told = response.headers.get("retry-after", "1")
    return min(float(told) if told.isdigit() else 1.0, LONGEST_WAIT_S)


def listed(path: str, rows: int | None, **params: Any) -> Ask:
    """Of an endpoint in pages. The newest come first only where some are wanted and no start is given."""
    order = "desc" if rows is not None and params.get("start") is None else "asc"
    return Ask(path, {**params, "order": order}, rows)
