"""Reads for the pages: one pool a process, frames kept for a few seconds for everybody who looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import ParamSpec

import polars as pl
import streamlit as st

from crypto_intel.serving.database import Database, UnavailableError
from crypto_intel.serving.frames import to_frame
from crypto_intel.serving.queries.query import Query
from crypto_intel.serving.settings import ServingSettings

_P = ParamSpec("_P")
SHORT_S = 2
"""How long a frame is kept: many pages that look at the same moment read once."""


@st.cache_resource
def settings() -> ServingSettings:
    """The settings of this process."""
    return ServingSettings()


@st.cache_resource
def _database() -> Database:
    dsn = settings().postgres_dsn
    if dsn is None:
        raise UnavailableError("no database is named: set CRYPTO_INTEL_POSTGRES_DSN or SUPABASE_DB_URL")
    return Database(dsn)


def read(query: Query) -> pl.DataFrame:
    """The query's first page.

    Raises:
        UnavailableError: the database does not answer.
    """
    return _read(query.name, query.statement, query)


@st.cache_data(ttl=SHORT_S, max_entries=200, show_spinner=False, hash_funcs={Query: lambda query: repr(query.params)})
def _read(_name: str, statement: str, query: Query) -> pl.DataFrame:
    return to_frame(_database().page(query))


def shown(page: Callable[_P, None]) -> Callable[_P, None]:
    """A page, or a part of one, that says so when the database is away instead of showing a fault."""

    @wraps(page)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except UnavailableError:
            st.error("The database does not answer now. This page tries again by itself.", icon=":material/cloud_off:")

    return guarded


def platform_now(prices: pl.DataFrame) -> datetime:
    """The newest moment that any market has told of: the present, also of a replay."""
    newest = prices["event_time"].max() if prices.height else None
    return newest if isinstance(newest, datetime) else datetime.now(UTC)


def age(moment: datetime, now: datetime) -> str:
    """`4 s`, `3 min`, `2 h 05 min` ago."""
    seconds = max(0, int((now - moment) / timedelta(seconds=1)))
    if seconds < 120:
        return f"{seconds} s ago"
    minutes = seconds // 60
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min ago"
