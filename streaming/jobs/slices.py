"""A batch of Kafka records, slice by slice: the shell around the pure steps of `ingest` and `live`.

Spark plans a batch: how far each partition is read, in its offset log, and repeats it after a crash. A slice is what a
batch has of one partition. Slices are read where they are worked on, in Spark's Python workers, by librdkafka: the way
through the JVM costs 3 to 5 µs a record and this one 0.5, and decoding and folding together take 3. Records of a market
are all in one partition, so a step sees them in order without a shuffle; what it remembers comes in with the slice and
goes back with its result (sinks/states.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from crypto_intel.contracts.settings import Kafka
from streaming.errors import FatalError
from streaming.sinks.objects import get
from streaming.sinks.states import States
from streaming.steps.range import Range
from streaming.steps.slice import Result, Step, work_on

if TYPE_CHECKING:
    from pyspark import SparkContext

FEW = 5_000
"""Records that one task takes alone: more tasks would cost more than they save."""

NO_OFFSET = "-"
"""What Spark's log has for a source that has given nothing yet."""


def planned(checkpoint: str, batch_id: int, before: States) -> list[Range]:
    """The slices of a batch: from where the states before it end to where Spark's offset log has it end.

    Raises:
        FatalError: the log is not as this version of Spark writes it, or goes back behind the states.
    """
    ends = _offsets(f"{checkpoint}/offsets/{batch_id}", line=2)
    starts = begins(checkpoint)
    ranges = [
        Range(topic, int(number), before.ends.get(name := f"{topic}/{number}", starts.get(name, 0) - 1) + 1, until)
        for topic, partitions in ends.items()
        for number, until in partitions.items()
    ]
    if any(range_.size < 0 for range_ in ranges):
        raise FatalError(
            f"batch {batch_id} of {checkpoint} ends before what was taken already: start from a new checkpoint"
        )
    return [range_ for range_ in ranges if range_.size]


def begins(checkpoint: str) -> dict[str, int]:
    """From which offset on the checkpoint reads each partition, by `topic/partition`: where Kafka began at its start.

    Raises:
        FatalError: Spark's note of it is not as this version writes it.
    """
    starts = _offsets(f"{checkpoint}/sources/0/0", line=1)
    return {f"{topic}/{number}": first for topic, parts in starts.items() for number, first in parts.items()}


def last_offsets(ranges: Sequence[Range]) -> dict[str, int]:
    """The last offset of each range, by `topic/partition`."""
    return {range_.name: range_.last for range_ in ranges}


def planned_versions(checkpoint: str, batch_id: int) -> dict[str, int]:
    """Up to which version a batch reads each table, by `layer/table`: what lake_source's offsets say.

    Raises:
        FatalError: the log is not as this version of Spark writes it.
    """
    return planned_ends(checkpoint, batch_id, of=int)


def planned_ends(checkpoint: str, batch_id: int, of: Any) -> dict[str, Any]:
    """Up to where a batch reads, of all its sources together, by what they call their parts.

    Args:
        of: type of a part's end: int for a table's version, dict[str, int] for a topic's offsets, Any for both.

    Raises:
        FatalError: the log is not as this version of Spark writes it.
    """
    path = f"{checkpoint}/offsets/{batch_id}"
    ends: dict[str, Any] = {}
    try:
        for line in _lines(path)[2:]:  # behind the log's version and the batch's settings, a line a source
            ends |= msgspec.json.decode(line, type=dict[str, of]) if line != NO_OFFSET else {}
    except ValueError as error:
        raise FatalError(f"{path} is not an offset log of version 1: {error!r}") from error
    return ends


def _offsets(path: str, *, line: int) -> dict[str, dict[str, int]]:
    try:
        return msgspec.json.decode(_lines(path)[line], type=dict[str, dict[str, int]])
    except (IndexError, ValueError) as error:
        raise FatalError(f"{path} is not an offset log of version 1: {error!r}") from error


def _lines(path: str) -> list[str]:
    lines = (get(path) or b"").lstrip(b"\0").decode().splitlines()
    if not lines or lines[0] != "v1":
        raise FatalError(f"{path} is not an offset log of version 1")
    return lines


def run(
    context: SparkContext, kafka: Kafka, ranges: Sequence[Range], step: Step, states: Mapping[str, bytes]
) -> list[Result]:
    """Run the step over every slice of a batch.

    Args:
        states: by `topic/partition`.

    Raises:
        Py4JJavaError: a slice failed; its cause is the worker's error.
    """
    if not ranges:
        return []
    made = bundles(ranges, context.defaultParallelism)
    work = [[(range_, states.get(range_.name)) for range_ in bundle] for bundle in made]
    task = partial(work_on, step, kafka)
    return context.parallelize(work, len(work)).flatMap(task).collect()


def bundles(ranges: Sequence[Range], most: int) -> list[list[Range]]:
    """What each task takes, at most `most` of them: largest slices first, each to the bundle that has least."""
    count = 1 if sum(range_.size for range_ in ranges) <= FEW else min(most, len(ranges))
    made: list[list[Range]] = [[] for _ in range(count)]
    for range_ in sorted(ranges, key=lambda r: r.size, reverse=True):
        min(made, key=lambda bundle: sum(r.size for r in bundle)).append(range_)
    return made


def advanced(before: States, results: Sequence[Result], resume: bytes = b"") -> States:
    """The states behind a batch."""
    return States(
        ends={**before.ends, **{result.name: result.last_offset for result in results}},
        partitions={**before.partitions, **{result.name: result.state for result in results if result.state}},
        resume=resume,
    )
