"""A source that is away: told as such, asked no more often than agreed, and no harm to the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest

from crypto_intel.exporter.source import Source, States, gauge


class Store:
    """Answers, or is away."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    def ask(self) -> Iterator[Metric]:
        """One figure."""
        self.asked += 1
        if self.is_away:
            raise ConnectionError("host db.example port 5432")
        yield gauge("stored", "Things.", ["kind"], {("book",): 3.0})


@pytest.fixture
def store() -> Store:
    """One that answers."""
    return Store()


def page(source: Source) -> str:
    """The page that Prometheus would read."""
    registry = CollectorRegistry()
    registry.register(source)
    registry.register(States([source]))
    return generate_latest(registry).decode()


def test_a_source_that_is_away_is_told_and_its_figures_are_absent(store: Store) -> None:
    source = Source("db", store.ask, errors=(ConnectionError,), keep_s=0)
    there = page(source)
    assert 'stored{kind="book"} 3.0' in there
    assert 'crypto_intel_exporter_source_up{source="db"} 1.0' in there
    store.is_away = True
    gone = page(source)
    assert "stored{" not in gone
    assert 'crypto_intel_exporter_source_up{source="db"} 0.0' in gone
    store.is_away = False
    assert 'stored{kind="book"} 3.0' in page(source)


def test_two_readers_of_the_page_cost_one_question(store: Store) -> None:
    source = Source("db", store.ask, errors=(ConnectionError,), keep_s=60)
    assert page(source) == page(source)
    assert store.asked == 1


def test_a_source_that_is_away_is_not_asked_more_often(store: Store) -> None:
    store.is_away = True
    source = Source("db", store.ask, errors=(ConnectionError,), keep_s=60)
    page(source)
    page(source)
    assert store.asked == 1


def test_a_fault_of_ours_is_not_taken_for_a_source_that_is_away(store: Store) -> None:
    store.is_away = True
    with pytest.raises(ConnectionError):
        page(Source("db", store.ask, errors=(KeyError,)))
