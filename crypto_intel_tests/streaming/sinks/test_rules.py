"""Rules in force: the file, the table, changes of both while all runs, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.contracts.rules import load_alert_config
from crypto_intel_tests.streaming.sinks.conftest import Rows
from streaming.errors import FatalError
from streaming.sinks.rules import POLL_S, RulesInForce, RuleTable

MOVE = "rules: [{name: price_move, family: price_move, move_pct: %s, window_s: 60}]"


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += POLL_S
        return self.now


def thresholds(rules: RulesInForce) -> dict[str, float]:
    """Of the rules of moves, in force now."""
    return {rule.name: rule.threshold_pct for rule in rules.book().everywhere.by_slice}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one rule."""
    path = tmp_path / "rules.yaml"
    path.write_text(MOVE % 1)
    return path


def test_a_file_that_is_changed_is_judged_by_without_a_restart(file: Path) -> None:
    rules = RulesInForce(file, None, Clock())
    assert thresholds(rules) == {"price_move": 1}
    file.write_text(MOVE % 2.5)
    assert thresholds(rules) == {"price_move": 2.5}
    file.write_text(MOVE % -2)
    assert thresholds(rules) == {"price_move": 2.5}
    file.write_text(MOVE % 33)
    assert thresholds(rules) == {"price_move": 33}


def test_a_file_that_does_not_fit_stops_the_start(file: Path) -> None:
    file.write_text(MOVE % "many")
    with pytest.raises(FatalError, match=r"rules\[0\]\.move_pct of price_move: Input should be a valid number"):
        RulesInForce(file, None)


def test_a_database_that_is_away_leaves_the_files_rules_in_force(file: Path) -> None:
    away = RuleTable(SecretStr("postgresql://nobody@127.0.0.1:1/nothing"))
    assert thresholds(RulesInForce(file, away, Clock())) == {"price_move": 1}


@pytest.mark.stack
def test_the_table_counts_and_what_was_changed_there_stays(own_postgres_dsn: str, file: Path, rows: Rows) -> None:
    table = RuleTable(SecretStr(own_postgres_dsn))
    shipped = RulesInForce(None, table, Clock())
    assert thresholds(shipped) == {"news_move": 0.5, "price_move": 0.6}
    with psycopg.connect(own_postgres_dsn) as connection:
        connection.execute("UPDATE alert_rules SET threshold = 3, changed_by = 'key:1' WHERE rule = 'price_move'")
    assert thresholds(shipped) == {"news_move": 0.5, "price_move": 3}
    # Another file: what followed the old one follows the new one, and is gone where that has no such rule.
    assert thresholds(RulesInForce(file, table, Clock())) == {"price_move": 3}
    told = rows("SELECT rule, threshold, revision, changed_by FROM alert_rules")
    assert told == [{"rule": "price_move", "threshold": 3, "revision": 2, "changed_by": "key:1"}]
    table.close()


@pytest.mark.stack
def test_a_rule_that_is_switched_off_or_bound_to_markets_is_judged_there_alone(own_postgres_dsn: str) -> None:
    table = RuleTable(SecretStr(own_postgres_dsn))
    rules = RulesInForce(None, table, Clock())
    rules.book()
    with psycopg.connect(own_postgres_dsn) as connection:
        connection.execute("UPDATE alert_rules SET enabled = false, changed_by = 'me' WHERE rule = 'news_move'")
        connection.execute("UPDATE alert_rules SET markets = '{*:BTC-*}', changed_by = 'me' WHERE rule = 'price_move'")
    book = rules.book()
    assert [rule.name for rule in book.of("binance:BTC-USDT").by_slice] == ["price_move"]
    assert book.of("binance:ETH-USDT").by_slice == ()
    assert len(book.of("binance:ETH-USDT").by_minute) == 2
    table.close()


@pytest.mark.stack
def test_entering_the_same_rules_again_is_no_revision(own_postgres_dsn: str, rows: Rows) -> None:
    table = RuleTable(SecretStr(own_postgres_dsn))
    for _ in range(2):
        table.enter(load_alert_config().rules)
    assert {row["revision"] for row in rows("SELECT revision FROM alert_rules")} == {1}
    table.close()
