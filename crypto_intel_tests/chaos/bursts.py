"""What a burst of records costs an application that is warm: seconds, and CPU-seconds of its whole process tree.

The processes are held while a burst is sent, so that all of it stands in Kafka when they go on: the sender's pace is
no part of the figure. Only figures of one run are comparable.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from crypto_intel_tests.benchmarks.measure import Tree
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import newest
from crypto_intel_tests.chaos.judgement import bronze_count
from crypto_intel_tests.chaos.load import Record


@dataclass
class Spent:
    """On records, of which some were good."""

    records: int = 0
    good: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, other: Spent) -> None:
        """Count another burst, too."""
        self.records, self.good = self.records + other.records, self.good + other.good
        self.wall_s, self.cpu_s = self.wall_s + other.wall_s, self.cpu_s + other.cpu_s


def burst(application: Application, sender: Sender, records: Sequence[Record], good: int) -> Spent:
    """Send the records while the application is held, then let it go: what `ingest` took for them."""
    assert application.process
    tree = Tree(application.process.pid)
    with _held(application):
        sender.send(records)
        before, began = tree.sample(), time.monotonic()
    application.wait_for(lambda: bronze_count(application.lake) >= len(sender.acked) and _is_done(application))
    return Spent(len(records), good, time.monotonic() - began, tree.sample() - before)


def _is_done(application: Application) -> bool:
    checkpoint = application.folder / "checkpoints" / "ingest"
    return newest(checkpoint / "commits").name == newest(checkpoint / "offsets").name


@contextlib.contextmanager
def _held(application: Application) -> Iterator[None]:
    assert application.process
    top = psutil.Process(application.process.pid)
    processes = [top, *top.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
