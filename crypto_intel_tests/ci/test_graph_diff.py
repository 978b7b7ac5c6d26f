"""The asset graph's difference as a pull request shows it."""

from __future__ import annotations

from crypto_intel_tests.ci.graph_diff import differences

BEFORE = {
    "assets": {
        "gold/bars_1m": {"deps": ["silver/trades"], "partitions": "hourly"},
        "gold/old": {"deps": []},
    },
    "jobs": {"market_hour": ["gold/bars_1m"]},
}


def test_what_came_went_and_changed_is_told_by_name() -> None:
    after = {
        "assets": {
            "gold/bars_1m": {"deps": ["silver/trades", "silver/gaps"], "partitions": "daily"},
            "gold/new": {"deps": ["gold/bars_1m"]},
        },
        "jobs": {"market_hour": ["gold/bars_1m"]},
    }
    assert list(differences(BEFORE, after)) == [
        "- **changed** asset `gold/bars_1m`: deps +`silver/gaps`; partitions `hourly` → `daily`",
        "- **new** asset `gold/new`, from `gold/bars_1m`",
        "- **gone** asset `gold/old`",
    ]


def test_the_same_graph_has_no_difference() -> None:
    assert list(differences(BEFORE, BEFORE)) == []
