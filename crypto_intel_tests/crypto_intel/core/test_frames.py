"""Contracts as Polars sees them are contracts as Arrow sees them."""

import polars as pl
import pytest

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import TABLES
from crypto_intel.core.frames import empty_frame, polars_schema


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.full_name)
def test_types_of_columns_are_those_of_arrow(table: Table) -> None:
    arrow = pl.from_arrow(table.arrow_schema().empty_table())
    assert isinstance(arrow, pl.DataFrame)
    assert polars_schema(table) == arrow.schema == empty_frame(table).schema
