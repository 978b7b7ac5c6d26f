"""A follower reads each new row once, repeats the batch that a crash cut, and says what ended it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_intel.contracts.tables import SILVER_LATE_ARRIVALS
from crypto_intel_tests.streaming.sinks.test_delta import rows
from streaming.errors import RetryableError
from streaming.jobs.follower import Follower, Progress, Rows
from streaming.sinks.delta import Lake, ensure_table

TABLE = SILVER_LATE_ARRIVALS
WAIT_S = 10


class Taken:
    """A sink that notes what it got, fails where it is told to, and can be waited for."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, list[int]]] = []
        self.reports: list[Progress] = []
        self.fail: Callable[[], None] = lambda: None
        self.told = threading.Semaphore(0)

    def write(self, rows: Rows, epoch: str, batch_id: int) -> None:
        """Take a batch."""
        self.batches.append((epoch, batch_id, sorted(rows[TABLE]["first_trade_id"].to_list())))
        self.fail()

    def note(self, progress: Progress) -> None:
        """A batch is done, or the start says where the last one ended."""
        self.reports.append(progress)
        if progress.rows:
            self.told.release()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with the empty table."""
    ensure_table(TABLE, str(tmp_path))
    return Lake(str(tmp_path))


def follow(lake: Lake, taken: Taken) -> Follower:
    """A follower of the table that looks all the time."""
    folder = f"{lake.root}/checkpoint"
    return Follower(
        "test", {TABLE: lambda all_: all_}, lake, folder, every_s=0.01, sink=taken.write, told=taken.note
    ).start()


def test_each_new_row_comes_once_over_a_restart(lake: Lake) -> None:
    taken = Taken()
    lake.append(rows(1), TABLE, application="q", batch_id=0)
    for first in (10, 20):
        follower = follow(lake, taken)
        assert taken.told.acquire(timeout=WAIT_S)
        follower.stop()
        lake.append(rows(first), TABLE, application="q", batch_id=first)
    follower = follow(lake, taken)
    assert taken.told.acquire(timeout=WAIT_S)
    follower.stop()
    assert [batch[2] for batch in taken.batches] == [[1, 2, 3], [10, 11, 12], [20, 21, 22]]
    assert [batch[1] for batch in taken.batches] == [0, 1, 2]
    assert len({batch[0] for batch in taken.batches}) == 1


def test_a_start_with_nothing_new_tells_where_it_stands(lake: Lake) -> None:
    taken = Taken()
    lake.append(rows(1), TABLE, application="q", batch_id=0)
    follower = follow(lake, taken)
    assert taken.told.acquire(timeout=WAIT_S)
    follower.stop()
    follow(lake, taken).stop()
    done, standing = taken.reports
    assert (standing.batch_id, standing.ends, standing.rows) == (done.batch_id, done.ends, 0)


def test_a_batch_that_was_cut_comes_again_as_it_was(lake: Lake) -> None:
    taken = Taken()
    lake.append(rows(1), TABLE, application="q", batch_id=0)

    def away() -> None:
        raise RetryableError("away")

    taken.fail = away
    cut = follow(lake, taken)
    cut._thread.join(WAIT_S)
    assert (cut.is_active, cut.error) == (False, "")
    lake.append(rows(10), TABLE, application="q", batch_id=1)
    taken.fail = lambda: None
    follower = follow(lake, taken)
    assert taken.told.acquire(timeout=WAIT_S)
    assert taken.told.acquire(timeout=WAIT_S)
    follower.stop()
    assert [(batch[1], batch[2]) for batch in taken.batches] == [(0, [1, 2, 3]), (0, [1, 2, 3]), (1, [10, 11, 12])]


def test_what_ends_it_is_told(lake: Lake) -> None:
    taken = Taken()
    lake.append(rows(1), TABLE, application="q", batch_id=0)

    def broken() -> None:
        raise ValueError("no such column")

    taken.fail = broken
    follower = follow(lake, taken)
    follower._thread.join(WAIT_S)
    assert follower.error == "ValueError: no such column"
