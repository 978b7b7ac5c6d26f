"""Tables for people: times without zones and microseconds, headings in words, numbers as long as they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

_TIME = "YYYY-MM-DD HH:mm:ss"
_EXACT = frozenset({"price", "close", "quantity", "open", "high", "low", "volume_quote", "volume_24h_quote", "value"})


def columns_of(frame: pl.DataFrame, **more: Any) -> Mapping[str, Any]:
    """How each column is shown; `more` goes before."""
    found: dict[str, Any] = {}
    for name, kind in frame.schema.items():
        label = name.removesuffix("_at").replace("_pct", " %").replace("_", " ")
        if isinstance(kind, pl.Datetime):
            found[name] = st.column_config.DatetimeColumn(label, format=_TIME, timezone="UTC")
        elif kind == pl.Float64:
            form = "%.8g" if name in _EXACT else "%.2f"
            found[name] = st.column_config.NumberColumn(label, format=form)
        else:
            found[name] = st.column_config.Column(label)
    return {**found, **more}


def show(frame: pl.DataFrame, key: str, *, place: Any = st, **more: Any) -> None:
    """A table without row numbers; `more` are columns that are shown in another way."""
    place.dataframe(frame, hide_index=True, key=key, column_config=columns_of(frame, **more))
