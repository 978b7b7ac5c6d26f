"""Growth: what a trade costs and what is remembered, over more markets and over more hours of event time.

A trade a second and market, through the product's own steps of `ingest` and `live`: what Spark's workers run on
each slice of a batch, reading of Kafka apart. Their states go from batch to batch as they do there. What Spark adds is
by batch and not by trade, and is in the backlog's figures. `python -m crypto_intel_tests.benchmarks.growth SYMBOLS
MINUTES RATE SEED` runs one case with the platform's settings from the environment, on one thread as workers have.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.benchmarks.fill import Record, trade_records
from crypto_intel_tests.benchmarks.market import MINUTE_US, Market, Shape
from crypto_intel_tests.benchmarks.measure import Cost, run, say
from streaming.settings import StreamingSettings
from streaming.steps.ingest import Ingest
from streaming.steps.live import Live
from streaming.steps.slice import Step
from streaming.transforms.decode import Records
from streaming.transforms.live import HISTORY_MINUTES
from streaming.transforms.rules import Book

TIMEOUT_S = 900
SLICE_US = 10 * MINUTE_US
"""A batch has what arrived within so long."""
WARM = Shape(trades=5_000, minutes=10, articles=0)
"""Taken first and not counted: imports and first calls."""
ALLOWED = 1.2
"""How much more than the first a trade may cost, and than rate x retention says the states may be."""

CLOSE_BYTES = 18
"""A minute's close in the state of `live`: two numbers of msgpack, 9 bytes each; a day of them is kept."""
MARKET_BYTES = 10_000
"""What a market's open windows, means and rules (slices of ten seconds, minutes of the baseline) remember besides."""


class Case(NamedTuple):
    """Markets, and minutes of event time."""

    symbols: int
    minutes: int

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.symbols} markets, {self.minutes / 60:g} h"


CASES = [Case(10, 60), Case(100, 60), Case(500, 60), Case(10, 6 * 60), Case(10, 24 * 60)]


def expected_bytes(case: Case) -> int:
    """Rate x retention: a close a minute for a day, and what a market takes anyway."""
    return case.symbols * (min(case.minutes, HISTORY_MINUTES) * CLOSE_BYTES + MARKET_BYTES)


def measure(
    folder: Path, tell: Callable[[str], Any], cases: Sequence[Case], *, rate: int, seed: int = 7
) -> list[dict[str, Any]]:
    """A row for each case; ratios are to the first. `rate` is trades of a market in a minute."""
    rows = []
    for case in cases:
        tell(case.name)
        rows.append(_row(case, rate, _run(folder, case, rate, seed)))
    for row in rows:
        row["ratio"] = row["cpu_us"] / rows[0]["cpu_us"] if row["cpu_us"] and rows[0]["cpu_us"] else None
        row["missed"] = ", ".join(_missed(row))
    return rows


def _run(folder: Path, case: Case, rate: int, seed: int) -> Cost:
    arguments = [str(number) for number in (case.symbols, case.minutes, rate, seed)]
    command = [sys.executable, "-m", "crypto_intel_tests.benchmarks.growth", *arguments]
    environment = {"POLARS_MAX_THREADS": "1", "CRYPTO_INTEL_DATA_DIR": str(folder / f"growth-{'-'.join(arguments)}")}
    return run("growth", command, environment, folder / "logs" / "growth.log", TIMEOUT_S)


def _row(case: Case, rate: int, cost: Cost) -> dict[str, Any]:
    return {
        "name": case.name,
        "trades": case.symbols * case.minutes * rate,
        "cpu_us": sum(cost.facts.get("cpu_us", {}).values()) or None,
        "ingest_us": cost.facts.get("cpu_us", {}).get("ingest"),
        "live_us": cost.facts.get("cpu_us", {}).get("live"),
        "state_kib": sum(cost.facts.get("state_bytes", {}).values()) / 1024,
        "expected_kib": expected_bytes(case) / 1024,
        "peak_mib": cost.peak_mib,
        "wrong": cost.wrong,
    }


def _missed(row: dict[str, Any]) -> list[str]:
    missed = [row["wrong"]] if row["wrong"] else []
    missed += ["cost"] if (row["ratio"] or 0) > ALLOWED else []
    return missed + (["state"] if row["state_kib"] > ALLOWED * row["expected_kib"] else [])


def slices(records: Iterator[Record]) -> Iterator[Records]:
    """The records as workers get them: by batch and partition, in order."""
    ends: dict[int, int] = {}
    for _, batch in groupby(records, key=lambda record: record.arrived_at // SLICE_US):
        held: dict[int, list[Record]] = {}
        for record in batch:
            held.setdefault(record.partition, []).append(record)
        for own in held.values():
            yield _slice(own, ends)


def _slice(records: list[Record], ends: dict[int, int]) -> Records:
    topic, partition = records[0].topic, records[0].partition
    start = ends.get(partition, 0)
    ends[partition] = start + len(records)
    return Records(
        topic=topic,
        partition=partition,
        values=[record.value for record in records],
        offsets=pl.Series("kafka_offset", range(start, ends[partition]), dtype=pl.Int64),
        times_ms=pl.Series("kafka_time", [record.arrived_at // 1000 for record in records], dtype=pl.Int64),
    )


class Meter:
    """The steps with their states, and the CPU-seconds that they took."""

    def __init__(self, settings: StreamingSettings) -> None:
        topics = settings.topics
        self._steps: dict[str, Step] = {
            "ingest": Ingest(settings.lake_root, topics.trades, topics.feed_status, settings.bars.delay_s * 1_000_000),
            "live": Live(Book.of_rules(load_alert_config().rules), topics.trades, settings.news_clock),
        }
        self._states: dict[str, dict[int, bytes | None]] = {name: {} for name in self._steps}
        self.spent_s = dict.fromkeys(self._steps, 0.0)

    def take(self, market: Market, topics: Topics) -> None:
        """Take all of a market's trades."""
        for records in slices(trade_records(market, topics)):
            for name, step in self._steps.items():
                states = self._states[name]
                began = time.process_time()
                states[records.partition], _ = step(records, states.get(records.partition))
                self.spent_s[name] += time.process_time() - began

    def state_bytes(self) -> dict[str, int]:
        """Of the states as they are now."""
        return {name: sum(len(state or b"") for state in of.values()) for name, of in self._states.items()}


def main(symbols: int, minutes: int, rate: int, seed: int) -> None:
    """Run one case; says CPU-microseconds a trade and the bytes of the last states, by query."""
    settings = StreamingSettings()
    Meter(settings).take(Market(WARM), settings.topics)
    meter, trades = Meter(settings), symbols * minutes * rate
    say("ready")
    meter.take(Market(Shape(trades, symbols, minutes, articles=0, seed=seed)), settings.topics)
    say(
        "done",
        cpu_us={name: 1e6 * seconds / trades for name, seconds in meter.spent_s.items()},
        state_bytes=meter.state_bytes(),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
