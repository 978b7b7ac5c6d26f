"""The whole platform under every kind of fault at both venues ends with its books right."""

from __future__ import annotations

import pytest

from crypto_intel_tests.chaos.platform import Report, run

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What became of one round of faults."""
    return run(tmp_path_factory.mktemp("faults") / "platform")


def test_nothing_is_lost_and_nothing_is_doubled(report: Report) -> None:
    assert report.unexplained == []
    assert report.verified


def test_every_gap_is_repaired_within_its_budget(report: Report) -> None:
    assert set(report.gaps) == {"repaired"}
    assert report.slowest_repair_s <= 30


def test_the_dead_letters_hold_exactly_what_was_injected_each_with_a_reason(report: Report) -> None:
    assert (report.rejected, report.without_reason) == (report.rejectable, 0)


def test_no_part_was_restarted(report: Report) -> None:
    assert report.restarts == {}
