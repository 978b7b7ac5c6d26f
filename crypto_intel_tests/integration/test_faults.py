"""The whole platform under every kind of fault at both venues ends with its books right."""

from __future__ import annotations

import pytest

from crypto_intel_tests.chaos.platform import Report

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_nothing_is_lost_and_nothing_is_doubled(faulted: Report) -> None:
    assert faulted.unexplained == []
    assert faulted.verified


def test_every_gap_is_repaired_within_its_budget(faulted: Report) -> None:
    assert set(faulted.gaps) == {"repaired"}
    assert faulted.slowest_repair_s <= 30


def test_the_dead_letters_hold_exactly_what_was_injected_each_with_a_reason(faulted: Report) -> None:
    assert (faulted.rejected, faulted.without_reason) == (faulted.rejectable, 0)


def test_no_part_was_restarted(faulted: Report) -> None:
    assert faulted.restarts == {}


def test_the_containers_health_checks_answer_where_the_same_commands_run(faulted: Report) -> None:
    assert faulted.unhealthy == []


def test_a_burst_of_news_has_the_open_hour_enriched_by_one_run(faulted: Report) -> None:
    assert len(faulted.burst_runs) == len(set(faulted.burst_runs)) >= 1
    assert faulted.burst_rows
    assert max(revision for _, _, revision in faulted.burst_rows) >= 1
