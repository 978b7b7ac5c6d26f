"""Follows streamed tables and hands each batch of new rows to a sink: a query that needs no engine.

The lake's tables are its input, their versions its offsets. A batch is planned first (`planned` in its checkpoint says
from which version of each table to which), then its rows go to the sink, then `done` says so. A crash repeats the
planned batch, so a sink that knows batches by their number (sinks/postgres.py) takes each once. Rows that compaction
moved are told apart by Delta's own mark, and are no news.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import polars as pl
import structlog

from crypto_intel.contracts.columns import Table
from streaming import failpoints
from streaming.errors import FatalError, RetryableError
from streaming.sinks.delta import Lake, kept_files
from streaming.sinks.objects import get, put

MAX_VERSIONS = 500
"""Versions of a table in one batch, so that a backlog comes in bounded ones."""

log = structlog.get_logger()

Followed = Mapping[Table, Callable[[pl.LazyFrame], pl.LazyFrame]]
"""The tables, and what of their rows is wanted."""

Rows = dict[Table, pl.DataFrame]

Sink = Callable[[Rows, str, int], None]
"""(new rows by table, epoch, batch id); a batch may come again after a crash. The epoch names the checkpoint."""


class Plan(msgspec.Struct):
    """A batch: versions of each table behind `starts` up to `ends`, by `layer/table`."""

    epoch: str
    batch_id: int
    starts: dict[str, int]
    ends: dict[str, int]


@dataclass(frozen=True)
class Progress:
    """What a batch did. `ends`: the version of each table that was read to, by `layer/table`."""

    query: str
    epoch: str
    batch_id: int
    rows: int
    batch_ms: int
    ends: dict[str, int]


class Follower:
    """A thread that follows tables until it is stopped.

    Args:
        name: of the query.
        folder: its checkpoint.
        told: called after each batch, and at the start with where the last one ended.
    """

    def __init__(
        self,
        name: str,
        followed: Followed,
        lake: Lake,
        folder: str,
        *,
        every_s: float,
        sink: Sink,
        told: Callable[[Progress], None],
    ) -> None:
        self.name = name
        self._followed = {table.full_name.replace(".", "/"): (table, wanted) for table, wanted in followed.items()}
        self._lake = lake
        self._folder = folder
        self._every_s = every_s
        self._sink = sink
        self._told = told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error = ""
        self.is_working = False
        self.progress: Progress | None = None

    def start(self) -> Follower:
        """Begin."""
        self._thread.start()
        return self

    @property
    def is_active(self) -> bool:
        """Whether it still follows."""
        return self._thread.is_alive()

    @property
    def has_progress(self) -> bool:
        """Whether a batch is done."""
        return self.progress is not None

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._follow()
        except RetryableError as error:
            log.info("stopped while a store was away; the next start repeats the batch", reason=str(error))
        except Exception as error:
            log.exception("query failed", query=self.name)
            self.error = f"{type(error).__name__}: {error}"

    def _follow(self) -> None:
        done = self._read("done") or Plan(uuid.uuid4().hex, -1, {}, {})
        plan = self._read("planned")
        if plan and plan.epoch == done.epoch and plan.batch_id not in (done.batch_id, done.batch_id + 1):
            raise FatalError(f"{self._folder} has done batch {done.batch_id} and planned {plan.batch_id}; {_REMEDY}")
        if done.batch_id >= 0:  # a kill may have come before its report, and there may be nothing new to report
            self._told(Progress(self.name, done.epoch, done.batch_id, 0, 0, done.ends))
        while not self._stopping.is_set():
            began = time.monotonic()
            if plan is None or plan.batch_id == done.batch_id:
                plan = self._next(done)
            if plan is not None:
                self._work(plan)
                done = plan
            self._stopping.wait(max(0.0, self._every_s - (time.monotonic() - began)))

    def _next(self, done: Plan) -> Plan | None:
        ends = {}
        for name, (table, _) in self._followed.items():
            start, newest = done.ends.get(name, -1), self._lake.version(table)
            ends[name] = newest if start < 0 else min(newest, start + MAX_VERSIONS)
        if ends == done.ends:
            return None
        plan = Plan(done.epoch, done.batch_id + 1, done.ends, ends)
        put(f"{self._folder}/planned", msgspec.json.encode(plan))
        failpoints.reach(f"{self.name}:planned")
        return plan

    def _work(self, plan: Plan) -> None:
        began = time.monotonic()
        self.is_working = True
        rows: Rows = {}
        for name, (table, wanted) in self._followed.items():
            added = self._lake.added(table, plan.starts.get(name, -1), plan.ends.get(name, -1))
            with kept_files([table.full_name]):
                frame = wanted(added).collect()
            if frame.height:
                rows[table] = frame
        if rows:
            self._sink(rows, plan.epoch, plan.batch_id)
            failpoints.reach(f"{self.name}:sink")
        put(f"{self._folder}/done", msgspec.json.encode(plan))
        count = sum(frame.height for frame in rows.values())
        spent_ms = round(1000 * (time.monotonic() - began))
        self.progress = Progress(self.name, plan.epoch, plan.batch_id, count, spent_ms, plan.ends)
        self.is_working = False
        self._told(self.progress)

    def _read(self, name: str) -> Plan | None:
        content = get(f"{self._folder}/{name}")
        try:
            return None if content is None else msgspec.json.decode(content, type=Plan)
        except msgspec.DecodeError as error:
            raise FatalError(f"{self._folder}/{name} is damaged: {error}; {_REMEDY}") from error


_REMEDY = "start this query from a new checkpoint: `crypto-intel rebuild QUERY`"
