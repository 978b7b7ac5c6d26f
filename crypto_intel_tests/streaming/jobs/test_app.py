"""How the application's queries are started."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from streaming.jobs.app import QUERIES, start_queries


@dataclass
class Plain:
    """A query that does nothing."""

    name: str
    is_active: bool = True
    is_working: bool = False
    has_progress: bool = True
    error: str = ""

    def stop(self) -> None:
        """End it."""
        self.is_active = False


def test_queries_start_in_the_order_in_which_readers_wait_for_them() -> None:
    started = start_queries(sorted(QUERIES), Plain, threading.Event())
    assert [query.name for query in started] == list(QUERIES)


def test_when_one_dies_before_all_have_started_the_others_are_not_started() -> None:
    dead = {"publish"}
    started = start_queries(list(QUERIES), lambda name: Plain(name, is_active=name not in dead), threading.Event())
    assert [query.name for query in started] == ["ingest", "publish"]


def test_a_stop_meanwhile_starts_no_more() -> None:
    stopping = threading.Event()

    def start(name: str) -> Plain:
        stopping.set()
        return Plain(name)

    assert [query.name for query in start_queries(list(QUERIES), start, stopping)] == ["ingest"]
