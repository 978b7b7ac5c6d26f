"""A slice: what a batch has of one Kafka partition, how a worker goes through it, and what comes back."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from crypto_intel.contracts.settings import Kafka
from streaming.steps.fetch import fetch
from streaming.steps.range import Range
from streaming.transforms.decode import Records

Step = Callable[[Records, bytes | None], tuple[bytes | None, bytes]]
"""(records, state or None) -> (new state or None, output). Runs in a worker: it must be picklable, and a function of
its arguments but for files that nobody sees before they are committed."""


class Result(msgspec.Struct):
    """What became of a slice."""

    name: str
    last_offset: int
    records: int
    state: bytes | None
    output: bytes


class Newest(NamedTuple):
    """Of the records of a batch: the newest event time in microseconds, and Kafka's newest in milliseconds; 0: none."""

    event_us: int = 0
    kafka_ms: int = 0

    @classmethod
    def of(cls, all_: Iterable[Newest]) -> Newest:
        """The newest of several."""
        told = [cls(), *all_]
        return cls(max(one.event_us for one in told), max(one.kafka_ms for one in told))


NOTHING = Newest()


def work_on(step: Step, kafka: Kafka, work: Sequence[tuple[Range, bytes | None]]) -> list[Result]:
    """Read slices and take them through the step, each with what it remembers."""
    results = []
    gc.disable()  # a hundred thousand small objects live for a moment: looking through them finds nothing
    try:
        for range_, state in work:
            records = fetch(kafka, range_)
            after, output = step(records, state)
            results.append(Result(range_.name, range_.last, len(records.values), after, output))
    finally:
        gc.enable()
    return results
