"""Column lineage names columns that are there, of assets that are upstream."""

import dagster as dg
import pytest

from crypto_intel.contracts.tables import TABLES
from crypto_intel.definitions import build_defs
from crypto_intel.graph.lineage import OTHERWISE, SOURCES, lineage_metadata
from crypto_intel.graph.specs import key_of


@pytest.fixture(scope="module")
def upstream() -> dict[dg.AssetKey, set[dg.AssetKey]]:
    return {spec.key: {dep.asset_key for dep in spec.deps} for spec in build_defs().resolve_all_asset_specs()}


@pytest.mark.parametrize("name", SOURCES)
def test_each_column_comes_from_columns_of_assets_upstream(
    name: str, upstream: dict[dg.AssetKey, set[dg.AssetKey]]
) -> None:
    table = TABLES[name]
    lineage = lineage_metadata(table)["dagster/column_lineage"]
    columns = {source.full_name: set(source.column_names) for source in SOURCES[name]}
    for column, sources in lineage.deps_by_column.items():
        assert column in table.column_names
        for source in sources:
            assert source.column_name in columns[".".join(source.asset_key.path)]
            assert source.asset_key in upstream[key_of(table)]
    assert len(lineage.deps_by_column) > len(table.columns) / 2


@pytest.mark.parametrize("name", OTHERWISE)
def test_each_column_that_has_another_source_is_one_of_its_table(name: str) -> None:
    assert set(OTHERWISE[name]) <= set(TABLES[name].column_names)
    known = {column for source in SOURCES[name] for column in source.column_names}
    assert {source for sources in OTHERWISE[name].values() for source in sources} <= known


def test_a_table_that_is_not_derived_has_no_column_lineage() -> None:
    assert lineage_metadata(TABLES["bronze.trades"]) == {}
