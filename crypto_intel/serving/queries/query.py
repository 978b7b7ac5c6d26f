"""A query as data, the parts that one is made of, and cursors that go on where a page ended."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from crypto_intel.contracts.columns import Column, LogicalType

Order = Literal["asc", "desc"]
Row = tuple[Any, ...]

MAX_ROWS = 10_000
"""Rows a page at most: five megabytes of bars as JSON, a week of one market's minutes."""


class BadQueryError(ValueError):
    """What was asked does not fit; the text says what does."""


def column(name: str, type_: LogicalType, doc: str, *, nullable: bool = False) -> Column:
    """A column of an answer that no table has."""
    return Column(name, type_, doc, nullable=nullable)


def pick(columns: Sequence[Column], *names: str) -> tuple[Column, ...]:
    """The columns of these names, in this order."""
    by_name = {found.name: found for found in columns}
    return tuple(by_name[name] for name in names)


@dataclass(frozen=True)
class Query:
    """A read of PostgreSQL.

    Attributes:
        name: of the read, for cursors and logs.
        statement: text with %(name)s places; composed of constants of this package alone.
        params: values of the places.
        columns: of the answer, in order.
        key: names of the columns that a cursor holds; empty: the answer is one page.
        limit: rows of a page; the statement asks for one more, which tells whether there are more.
    """

    name: str
    statement: str
    params: dict[str, Any]
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    limit: int = MAX_ROWS

    @property
    def column_names(self) -> list[str]:
        """Names in order."""
        return [found.name for found in self.columns]


@dataclass(frozen=True)
class Page:
    """Rows of a query, and the cursor that goes on behind them (None: there are no more)."""

    query: Query
    rows: list[Row]
    cursor: str | None = None

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by name."""
        names = self.query.column_names
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def page_of(query: Query, rows: list[Row]) -> Page:
    """Cut the one row too many off, and remember where to go on."""
    if not query.key or len(rows) <= query.limit:
        return Page(query, rows)
    kept = rows[: query.limit]
    names = query.column_names
    last = [kept[-1][names.index(name)] for name in query.key]
    return Page(query, kept, _encode(query, last))


@dataclass(frozen=True)
class Select:
    """A SELECT that grows by conditions; values go into `params` only."""

    name: str
    columns: tuple[Column, ...]
    source: str
    where: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)

    def filter(self, condition: str, **params: Any) -> Select:
        """Add a condition with its values."""
        return replace(self, where=(*self.where, condition), params={**self.params, **params})

    def filter_given(self, condition: str, **params: Any) -> Select:
        """Add a condition unless its values are all None (or empty)."""
        return self.filter(condition, **params) if any(v not in (None, (), []) for v in params.values()) else self

    def keyset(self, key: tuple[str, ...], *, order: Order, limit: int, cursor: str | None = None) -> Query:
        """The query, ordered by `key` (unique), from behind the cursor on.

        Raises:
            BadQueryError: the cursor is none of this query with these filters.
        """
        unpaged = Query(self.name, order, self.params, self.columns, key, limit)
        select = self
        if cursor:
            types = {found.name: found.postgres_type for found in self.columns}
            places = ", ".join(f"%(after_{name})s::{types[name]}" for name in key)
            sign = ">" if order == "asc" else "<"
            after = _decode(unpaged, cursor)
            select = self.filter(
                f"({', '.join(key)}) {sign} ({places})",
                **{f"after_{name}": value for name, value in zip(key, after, strict=True)},
            )
        ordering = ", ".join(f"{name} {order.upper()}" for name in key)
        return replace(unpaged, statement=select.text(f"ORDER BY {ordering} LIMIT {limit + 1:d}"), params=select.params)

    def text(self, tail: str = "") -> str:
        """The statement."""
        names = ", ".join(found.name for found in self.columns)
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"SELECT {names} FROM {self.source}{where} {tail}"  # noqa: S608 - composed of constants


def _digest(query: Query) -> str:
    # A cursor is only good for the query that gave it: name, order (in statement) and filters.
    asked = json.dumps([query.name, query.statement, query.params], sort_keys=True, default=str)
    return hashlib.blake2b(asked.encode(), digest_size=6).hexdigest()


def _encode(query: Query, last: list[Any]) -> str:
    filters = {name: value for name, value in query.params.items() if not name.startswith("after_")}
    order = "desc" if " DESC" in query.statement else "asc"
    digest = _digest(replace(query, statement=order, params=filters))
    values = [value.isoformat() if isinstance(value, date) else value for value in last]
    text = json.dumps([digest, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(query: Query, cursor: str) -> list[Any]:
    wrong = BadQueryError("cursor: it belongs to another query; keep the parameters of the one that gave it")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(found, list) or found[:1] != [_digest(query)] or len(found) != 1 + len(query.key):
            raise wrong
        types = {c.name: c.type for c in query.columns}
        return [_typed(types[name], value) for name, value in zip(query.key, found[1:], strict=True)]
    except (binascii.Error, ValueError, OverflowError, RecursionError):
        raise wrong from None


def _typed(type_: LogicalType, value: Any) -> Any:
    if type_ in {"timestamp", "date"}:
        if not isinstance(value, str):
            raise ValueError("no time")
        return datetime.fromisoformat(value).astimezone(UTC) if type_ == "timestamp" else date.fromisoformat(value)
    if type_ == "bigint" and (isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63):
        raise ValueError("no number")
    if type_ == "string" and (not isinstance(value, str) or "\x00" in value):
        raise ValueError("no text")
    if type_ == "double" and not isinstance(value, int | float):
        raise ValueError("no number")
    return value
