"""R9: PostgreSQL goes away, commits slowly, or has no disk left, while records flow.

Each time the lake must go on, what is served must be level with it again within twice the time that the trouble took,
and whoever waits must do so with pauses.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import psycopg

from crypto_intel.stack.errors import ServerFailedError
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import finish, newest, started
from crypto_intel_tests.chaos.ground import Ground, Stores
from crypto_intel_tests.chaos.judgement import Verdict, bar_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.outages import SERVING, back, fill, flowing, keep_up, small_disk
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.session import wait
from crypto_intel_tests.chaos.table import Row
from streaming.jobs.publisher import MAX_PAUSE_S

SLOW_S = 2.0
DISK_MB = 200
"""PostgreSQL's disk: a new cluster takes 40 MB, its log of changes 64."""

NORMAL_LAG_S = 8.0
"""Of `live` beside a flow: a trigger of 1 s, a batch, and what a busy machine adds."""

PUBLISHING = 2
"""Queries that wait for PostgreSQL."""

Trouble = Callable[[], AbstractContextManager[None]]


def away(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """PostgreSQL is stopped."""
    with ground.own_stores() as (own, stores):
        run = Outage(*flowing(own, scale, SERVING), scale)
        return run.done(f"PostgreSQL down {scale.frozen_s:.0f} s", lambda: _stopped(stores), tell)


def slow(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """Each commit takes two seconds more; it must go on with fewer, larger ones."""
    with ground.own_stores() as (own, _):
        run = Outage(*flowing(own, scale, SERVING), scale)
        fault = f"each commit of PostgreSQL takes {SLOW_S:g} s more, for {scale.frozen_s:.0f} s"
        row = run.done(fault, lambda: slow_commits(run.application.dsn, SLOW_S), tell)
    if not run.commits:
        row.verdict.add("no batch was committed while commits were slow", wrong=1)
    return row


def full(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """Its disk is full, in the end for its log of changes too, of which the server dies."""
    folder = ground.folder / f"stores-{uuid.uuid4().hex[:8]}"
    with small_disk(folder / "postgres", DISK_MB) as disk, Stores.at(folder) as stores:
        own = replace(ground, dsn=stores.postgres.dsn, redis_url=stores.cache.url)
        run = Outage(*flowing(own, scale, SERVING), scale)

        trouble = _FullDisk(stores, disk / "ballast", scale.frozen_s / 2)
        row = run.done(f"PostgreSQL's disk full for {scale.frozen_s:.0f} s", trouble.lasts, tell, trouble.look)
    how = f"ended and was started again {trouble.ends} times" if trouble.ends else "started anew by itself"
    row.note += f"; without space for its log of changes the server died, and {how}"
    if not run.reasons["DiskFull"] or not trouble.has_died:
        row.verdict.add(f"a full disk was not met in both ways: {dict(run.reasons)}", wrong=1)
    return row


class Outage:
    """A flow, some trouble in the middle of it, and what came of it.

    Attributes:
        reasons: why queries waited meanwhile, and how often.
        commits: batches that were published meanwhile.
    """

    def __init__(self, application: Application, sender: Sender, load: Load, scale: Scale) -> None:
        self.application = application
        self.sender = sender
        self._load = load
        self._scale = scale
        self.reasons: Counter[str] = Counter()
        self.commits = 0

    def done(self, fault: str, trouble: Trouble, tell: Tell, look: Callable[[], None] = lambda: None) -> Row:
        """Do it, looking after the server meanwhile, and judge."""
        flow = self.sender.in_background(self._load.records, self._scale.per_s)
        started(self.application)
        self.application.wait_for(self.is_level)
        tell(fault)
        began = time.monotonic()
        went_on, ended = self._endure(trouble, look)
        self.application.wait_for(self.is_level)
        took_s, caught_up = ended - began, time.monotonic() - ended
        tell("level again; the flow goes on to its end")
        flow.join()
        verdict, _ = finish(self.application, self.sender, self._load, 300)
        self._judge(verdict, took_s, caught_up)
        waits = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common()) or "none"
        note = (
            f"the lake went on after {went_on:.1f} s; {self.commits} batches published meanwhile, waits: {waits}; "
            f"served level with the lake {caught_up:.0f} s after its {took_s:.0f} s"
        )
        note += f"; the application ended {self.application.restarts} times" if self.application.restarts else ""
        return Row("R9", fault, 1, verdict, len(self.sender.acked), [caught_up], note)

    def _endure(self, trouble: Trouble, look: Callable[[], None]) -> tuple[float, float]:
        # After how many seconds the lake went on, and when the trouble ended.
        log, batches = self.application.log, self._batches()
        size, began = log.stat().st_size, time.monotonic()
        with trouble():
            went_on = back(self.application)
            while time.monotonic() < began + self._scale.frozen_s:
                keep_up(self.application)
                look()
                time.sleep(0.5)
            ended = time.monotonic()
        said = log.read_bytes()[size:].decode(errors="replace")
        self.reasons = Counter(_reason(line) for line in said.splitlines() if "waiting for a store" in line)
        self.commits = self._batches() - batches
        return went_on, ended

    def _batches(self) -> int:
        with psycopg.connect(self.application.dsn) as connection:
            (count,) = connection.execute("SELECT count(*) FROM ops.sink_batches").fetchone() or (0,)
        return int(count)

    def is_level(self) -> bool:
        """Whether PostgreSQL has the lake's bars, and `live` is as near to the broker's end as without trouble."""
        with psycopg.connect(self.application.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM bars_1m WHERE trade_count > 0").fetchone() or (0,)
        is_near = len(self.sender.acked) - self._taken() <= NORMAL_LAG_S * self._scale.per_s
        return is_near and int(row[0]) >= bar_count(self.application.lake)

    def _taken(self) -> int:
        # Records behind which `live` is done: those of its last batch that Spark counts as such.
        checkpoint = self.application.folder / "checkpoints" / "live"
        if not any(path.name.isdigit() for path in checkpoint.glob("commits/*")):
            return 0
        last = newest(checkpoint / "commits").name
        (offsets,) = (checkpoint / "offsets" / last).read_text().splitlines()[2:]
        return sum(offset for partitions in json.loads(offsets).values() for offset in partitions.values())

    def _judge(self, verdict: Verdict, took_s: float, caught_up: float) -> None:
        if caught_up > 2 * took_s:
            verdict.add(f"level after {caught_up:.0f} s, behind {took_s:.0f} s of trouble", wrong=1)
        most = PUBLISHING * (8 + took_s / MAX_PAUSE_S)
        if self.reasons.total() > most:
            verdict.add(f"tried {self.reasons.total()} times in {took_s:.0f} s: {dict(self.reasons)}", wrong=1)


def _reason(line: str) -> str:
    found = re.search(r"not available: (\w+)", line)
    return found[1] if found else line[-120:]


@contextlib.contextmanager
def _stopped(stores: Stores) -> Iterator[None]:
    stores.stop("postgres")
    yield
    stores.start("postgres")


_SLOW = """
CREATE SCHEMA chaos;
CREATE FUNCTION chaos.slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Once a transaction, however many rows it has.
  IF coalesce(current_setting('chaos.was_slow', true), '') = '' THEN
    PERFORM set_config('chaos.was_slow', 'yes', true), pg_sleep({seconds});
  END IF;
  RETURN NULL;
END $$;
"""
_TRIGGER = """
CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON ops.{table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION chaos.slow()
"""
WRITTEN_AT_EACH_COMMIT = ("sink_batches", "alert_outbox", "stream_progress")


@contextlib.contextmanager
def slow_commits(dsn: str, seconds: float) -> Iterator[None]:
    """Transactions of a batch, of the outbox and of the figures take so much longer, at their commit."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SLOW.format(seconds=seconds))
        for table in WRITTEN_AT_EACH_COMMIT:
            connection.execute(_TRIGGER.format(table=table))
    yield
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA chaos CASCADE")


class _FullDisk:
    """Fills PostgreSQL's disk and keeps it full; starts a server that has ended after pauses of 1, 2, 3 ... seconds.

    Args:
        log_after_s: then its log of changes needs a new file, which rows of its tables alone would take long to do.
    """

    def __init__(self, stores: Stores, ballast: Path, log_after_s: float) -> None:
        self._stores = stores
        self._ballast = ballast
        self._log_after_s = log_after_s
        self._log_due = self._start_due = 0.0
        self.ends = 0
        self.has_died = False

    @contextlib.contextmanager
    def lasts(self) -> Iterator[None]:
        """No space; with space again the server is up at the end."""
        # Made before: on a full disk it takes no connection.
        with psycopg.connect(self._stores.postgres.dsn, autocommit=True) as self._connection:
            fill(self._ballast)
            self._log_due = time.monotonic() + self._log_after_s
            yield
        self._ballast.unlink()
        wait(self._answers)

    def look(self) -> None:
        """Do what is due. By the thread that goes on: a server ends with the one that started it."""
        fill(self._ballast)
        if time.monotonic() > self._log_due and not self.has_died:
            self._outgrow_log()
        self._start_again()

    def _outgrow_log(self) -> None:
        try:
            self._connection.execute("SELECT pg_logical_emit_message(false, 'chaos', 'x'), pg_switch_wal()")
        except psycopg.OperationalError:
            self.has_died = self._connection.broken

    def _start_again(self) -> None:
        if self._stores.is_running("postgres") or time.monotonic() < self._start_due:
            return
        self.ends += 1
        self._start_due = time.monotonic() + self.ends
        with contextlib.suppress(ServerFailedError):
            self._stores.start("postgres")

    def _answers(self) -> bool:
        self._start_again()
        return self._stores.postgres.answers()
