"""Writing a partition replaces exactly that partition."""

import threading
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import DeltaError
from filelock import FileLock

from crypto_intel.contracts.tables import BRONZE_TRADES, MACRO_FRED_OBSERVATIONS, SILVER_TRADES
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.macro import parse_observations
from crypto_intel.core.trades import distinct_trades
from crypto_intel.graph.specs import key_of
from crypto_intel.resources.delta_io import DeltaIOManager, contract_of, partition_filter, partition_predicate
from crypto_intel.resources.lake import Lake
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.lakes import trade

FIRST, SECOND = lakes.HOUR, lakes.HOUR + HOUR


@pytest.fixture
def store(lake: Lake) -> DeltaIOManager:
    return DeltaIOManager(lake=lake)


def rows(hour: datetime, count: int) -> pl.DataFrame:
    records = [trade(n, hour + timedelta(seconds=n)) for n in range(count + 1)]
    return distinct_trades(pl.LazyFrame(records), hour).head(count)


def count_by_hour(lake: Lake) -> dict[str, int]:
    return dict(lake.scan(SILVER_TRADES).group_by("event_hour").len().collect().iter_rows())


def test_the_table_is_created_with_the_contract_schema_and_partition_column(store: DeltaIOManager, lake: Lake) -> None:
    store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)])
    table = lake.open(SILVER_TRADES)
    assert table is not None
    assert table.metadata().partition_columns == ["event_hour"]
    assert lake.scan(SILVER_TRADES).collect_schema() == rows(FIRST, 1).schema
    assert [field.nullable for field in table.schema().fields] == [c.nullable for c in SILVER_TRADES.columns]


def test_a_partition_is_replaced_and_the_others_stay(store: DeltaIOManager, lake: Lake) -> None:
    store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)])
    store.write(SILVER_TRADES, rows(SECOND, 4), [event_hour(SECOND)])
    version = store.write(SILVER_TRADES, rows(FIRST, 2), [event_hour(FIRST)])
    assert count_by_hour(lake) == {event_hour(FIRST): 2, event_hour(SECOND): 4}
    assert version == 3


def test_the_same_rows_in_any_order_are_no_commit(store: DeltaIOManager, lake: Lake) -> None:
    version = store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)])
    assert store.write(SILVER_TRADES, rows(FIRST, 3).reverse(), [event_hour(FIRST)]) == version
    store.write(SILVER_TRADES, rows(SECOND, 4), [event_hour(SECOND)])
    assert store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)]) == version + 1
    other = rows(FIRST, 3).with_columns(taker_side=pl.lit("buy"))
    assert store.write(SILVER_TRADES, other, [event_hour(FIRST)]) == version + 2


def test_an_hour_that_became_empty_is_emptied(store: DeltaIOManager, lake: Lake) -> None:
    store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)])
    store.write(SILVER_TRADES, rows(FIRST, 0), [event_hour(FIRST)])
    assert count_by_hour(lake) == {}


def test_a_row_outside_of_the_written_partition_is_refused_and_nothing_changes(
    store: DeltaIOManager, lake: Lake
) -> None:
    store.write(SILVER_TRADES, rows(FIRST, 3), [event_hour(FIRST)])
    with pytest.raises(DeltaError):
        store.write(SILVER_TRADES, rows(SECOND, 1), [event_hour(FIRST)])
    assert count_by_hour(lake) == {event_hour(FIRST): 3}


def test_nulls_where_the_contract_allows_none_are_refused(store: DeltaIOManager, lake: Lake) -> None:
    holed = rows(FIRST, 3).with_columns(venue=pl.lit(None, pl.String))
    with pytest.raises(ValueError, match=r"silver\.trades\.venue holds nulls"):
        store.write(SILVER_TRADES, holed, [event_hour(FIRST)])
    assert lake.open(SILVER_TRADES) is None


def test_a_second_writer_waits_for_the_first(store: DeltaIOManager, lake: Lake, lake_path: Path) -> None:
    store.write(SILVER_TRADES, rows(FIRST, 1), [event_hour(FIRST)])
    done = threading.Event()

    def write() -> None:
        store.write(SILVER_TRADES, rows(SECOND, 1), [event_hour(SECOND)])
        done.set()

    writer = threading.Thread(target=write)
    with FileLock(lake_path / "silver" / ".trades.lock"):
        writer.start()
        assert not done.wait(0.5)
    assert done.wait(20)
    writer.join()
    assert len(count_by_hour(lake)) == 2


def test_only_the_files_of_the_partition_are_read(store: DeltaIOManager, lake: Lake) -> None:
    for hour in (FIRST, SECOND):
        store.write(SILVER_TRADES, rows(hour, 2), [event_hour(hour)])
    plan = lake.scan(SILVER_TRADES).filter(pl.col("event_hour") == event_hour(FIRST)).explain()
    assert f"event_hour={event_hour(FIRST)}" in plan
    assert f"event_hour={event_hour(SECOND)}" not in plan


def test_a_table_that_is_not_there_reads_as_empty(lake: Lake) -> None:
    assert lake.open(BRONZE_TRADES) is None
    assert lake.facts(BRONZE_TRADES) is None
    assert lake.scan(BRONZE_TRADES).collect().is_empty()
    assert lake.time_spans(BRONZE_TRADES).is_empty()
    assert lake.platform_time() is None


def test_a_tables_log_tells_rows_and_newest_event(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [trade(1, FIRST), trade(2, SECOND)])
    lakes.append(lake_path, BRONZE_TRADES, [trade(3, FIRST)])
    facts = lake.facts(BRONZE_TRADES)
    assert facts is not None
    assert (facts.version, facts.rows, facts.newest) == (1, 3, SECOND)


def test_a_predicate_names_exactly_the_partitions() -> None:
    assert partition_predicate(SILVER_TRADES, ["2024-08-08-22"]) == "event_hour IN ('2024-08-08-22')"
    every = ["GDP|2023", "GDP|2024", "DGS10|2024", "DGS10|2023"]
    assert partition_predicate(MACRO_FRED_OBSERVATIONS, every) == (
        "series_id IN ('DGS10', 'GDP') AND observation_year IN ('2023', '2024')"
    )
    assert partition_predicate(MACRO_FRED_OBSERVATIONS, ["GDP|2023", "DGS10|2024"]) == (
        "(series_id IN ('DGS10') AND observation_year IN ('2024')) OR "
        "(series_id IN ('GDP') AND observation_year IN ('2023'))"
    )


def vintages(*keys: str) -> pl.DataFrame:
    """A vintage for each `series|year`."""
    told = {"value": "1", "realtime_start": "2025-01-01", "realtime_end": "9999-12-31"}
    pairs = [key.split("|") for key in keys]
    return pl.concat(parse_observations(name, [{**told, "date": f"{year}-06-01"}], FIRST) for name, year in pairs)


def test_of_two_partition_columns_exactly_the_named_pairs_are_replaced_and_read(
    store: DeltaIOManager, lake: Lake
) -> None:
    every = ["DGS10|2023", "DGS10|2024", "GDP|2023", "GDP|2024"]
    store.write(MACRO_FRED_OBSERVATIONS, vintages(*every), every)
    crossed = ["DGS10|2023", "GDP|2024"]  # no rectangle: the other two stay
    store.write(MACRO_FRED_OBSERVATIONS, vintages(*crossed).with_columns(value=2.0), crossed)
    rows = lake.scan(MACRO_FRED_OBSERVATIONS).collect().sort("series_id", "observation_year")
    assert rows["value"].to_list() == [2.0, 1.0, 1.0, 2.0]
    read = lake.scan(MACRO_FRED_OBSERVATIONS).filter(partition_filter(MACRO_FRED_OBSERVATIONS, crossed)).collect()
    assert read["value"].to_list() == [2.0, 2.0]


@pytest.mark.parametrize("keys", [[], ["x' OR '1'='1"]])
def test_a_predicate_of_nothing_or_of_sql_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="not partitions"):
        partition_predicate(SILVER_TRADES, keys)


def test_asset_keys_name_tables() -> None:
    assert contract_of(key_of(SILVER_TRADES)) is SILVER_TRADES
