"""What a batch takes, by Spark's own notes and the states before it; how slices become tasks, and states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import FatalError
from streaming.jobs.slices import (
    FEW,
    advanced,
    begins,
    bundles,
    last_offsets,
    planned,
    planned_versions,
)
from streaming.sinks.states import States
from streaming.steps.range import Range
from streaming.steps.slice import Result

OFFSETS = '{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{}}'


def checkpoint(folder: Path, begin: object, *batches: object) -> str:
    """A checkpoint as Spark 4.2 writes it: where its source began, and the ends of each batch."""
    (folder / "sources" / "0").mkdir(parents=True)
    (folder / "offsets").mkdir()
    # Spark puts a zero byte before this one's version, for readers of long ago.
    (folder / "sources" / "0" / "0").write_bytes(b"\0v1\n" + json.dumps(begin).encode())
    for number, ends in enumerate(batches):
        (folder / "offsets" / str(number)).write_text(f"v1\n{OFFSETS}\n{json.dumps(ends)}")
    return str(folder)


def test_the_first_batch_begins_where_kafka_began(tmp_path: Path) -> None:
    at = checkpoint(tmp_path, {"trades": {"0": 5, "1": 0}}, {"trades": {"0": 9, "1": 0}})
    assert begins(at) == {"trades/0": 5, "trades/1": 0}
    assert planned(at, 0, States()) == [Range("trades", 0, 5, 9)]


def test_later_batches_begin_behind_the_states(tmp_path: Path) -> None:
    at = checkpoint(tmp_path, {"trades": {"0": 5}}, {"trades": {"0": 9}}, {"trades": {"0": 20, "1": 3}})
    before = States(ends={"trades/0": 8})
    assert planned(at, 1, before) == [Range("trades", 0, 9, 20), Range("trades", 1, 0, 3)]
    assert last_offsets(planned(at, 1, before)) == {"trades/0": 19, "trades/1": 2}


def test_a_plan_that_ends_before_what_was_taken_is_refused(tmp_path: Path) -> None:
    at = checkpoint(tmp_path, {"trades": {"0": 0}}, {"trades": {"0": 9}})
    with pytest.raises(FatalError, match="ends before what was taken"):
        planned(at, 0, States(ends={"trades/0": 30}))


@pytest.mark.parametrize("content", ["", "v2\n{}\n{}", "v1\n", 'v1\n{}\n{"trades":', "v1\n{}\n[1]"])
def test_an_offset_log_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    at = checkpoint(tmp_path, {"trades": {"0": 0}}, {})
    (tmp_path / "offsets" / "0").write_text(content)
    with pytest.raises(FatalError, match="is not an offset log of version 1"):
        planned(at, 0, States())


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="is not an offset log of version 1"):
        planned(checkpoint(tmp_path, {}), 0, States())


def test_versions_of_all_sources_are_read_and_one_without_any_is_left_out(tmp_path: Path) -> None:
    at = checkpoint(tmp_path, {}, {})
    (tmp_path / "offsets" / "0").write_text(f'v1\n{OFFSETS}\n{{"silver/bars_1m":4}}\n-')
    assert planned_versions(at, 0) == {"silver/bars_1m": 4}
    (tmp_path / "offsets" / "0").write_text(f"v1\n{OFFSETS}\n7")
    with pytest.raises(FatalError, match="is not an offset log"):
        planned_versions(at, 0)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=20), st.integers(1, 4))
def test_every_slice_is_in_one_bundle_and_few_records_are_one_task(sizes: list[int], most: int) -> None:
    ranges = [Range("t", number, 0, size) for number, size in enumerate(sizes)]
    made = bundles(ranges, most)
    assert sorted(range_.partition for bundle in made for range_ in bundle) == list(range(len(sizes)))
    assert len(made) == (1 if sum(sizes) <= FEW else min(most, len(sizes)))
    loads = [sum(range_.size for range_ in bundle) for bundle in made]
    assert max(loads) - min(loads) <= max(sizes)


def test_states_of_partitions_without_records_stay() -> None:
    before = States(ends={"t/0": 1, "t/1": 5}, partitions={"t/0": b"old", "t/1": b"kept"})
    after = advanced(before, [Result("t/0", 9, 8, b"new", b""), Result("u/0", 3, 4, None, b"")], b"resume")
    assert after.ends == {"t/0": 9, "t/1": 5, "u/0": 3}
    assert after.partitions == {"t/0": b"new", "t/1": b"kept"}
    assert after.resume == b"resume"
    assert before.ends == {"t/0": 1, "t/1": 5}
