"""Pages of queries as Polars frames with the contract's types, and frames as CSV, Parquet and Arrow."""

from __future__ import annotations

import io
from collections.abc import Callable

import polars as pl
from polars import selectors

from crypto_intel.serving.queries.query import Page

_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "bigint": pl.Int64(),
    "int": pl.Int32(),
    "double": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "array<string>": pl.List(pl.String()),
}


def to_frame(page: Page) -> pl.DataFrame:
    """The page's rows as a frame; an empty page has the types too."""
    schema = {column.name: _TYPES[column.type] for column in page.query.columns}
    return pl.DataFrame(page.rows, schema=schema, orient="row")


def write_csv(frame: pl.DataFrame) -> bytes:
    """As CSV: times in ISO 8601, lists joined by semicolons."""
    flat = frame.with_columns(selectors.by_dtype(pl.List(pl.String)).list.join(";"))
    return flat.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ").encode()


def write_parquet(frame: pl.DataFrame) -> bytes:
    """As Parquet."""
    sink = io.BytesIO()
    frame.write_parquet(sink, compression="zstd", compression_level=1)
    return sink.getvalue()


def write_arrow(frame: pl.DataFrame) -> bytes:
    """As an Arrow IPC stream, with plain strings, which every reader of Arrow knows."""
    sink = io.BytesIO()
    frame.write_ipc_stream(sink, compat_level=pl.CompatLevel.oldest())
    return sink.getvalue()


WRITERS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "arrow": write_arrow,
}
