"""`crypto-intel rules`: when a rule would have fired, by what was known at each moment."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, BRONZE_TRADES
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.rules import app
from crypto_intel_tests.crypto_intel.lakes import HOUR, append, article, heartbeats, trade


def told(data_dir: Path, rule: str, *options: str) -> list[dict[str, Any]]:
    """What `rules test RULE` tells."""
    command = ["test", rule, "--data-dir", str(data_dir), "--json", *options]
    found: list[dict[str, Any]] = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    return found


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Half an hour of calm, news that is known two minutes later, a rise; four ids before it came 40 s behind it."""
    lake = tmp_path / "lake"
    at = [HOUR + timedelta(seconds=10 * n) for n in range(240)]
    rows = [trade(n, at[n], price="102" if n > 180 else "100", kafka_offset=10 * n) for n in range(240)]
    came = {"origin": "rest", "kafka_time": at[185]}
    late = [{**row, **came, "kafka_offset": 1850 + n} for n, row in enumerate(rows[176:180], 1)]
    append(lake, BRONZE_TRADES, [*rows[:176], *rows[180:], *late])
    append(lake, BRONZE_FEED_STATUS, heartbeats(HOUR, at[-1]))
    append(lake, BRONZE_NEWS, [article("a1", at[170], kafka_time=at[182])])
    return tmp_path


def test_a_move_over_ids_that_came_late_is_known_when_they_were_there(data_dir: Path) -> None:
    (fired,) = told(data_dir, "price_move")
    assert (fired["market"], fired["text"]) == ("binance:BTC-USDT", "rose 2.00 % within 5 min, to 102")
    assert fired["at"] == (HOUR + timedelta(seconds=1810)).isoformat()
    assert fired["completeness"] == "repaired"
    assert fired["known_at"] >= (HOUR + timedelta(seconds=1850)).isoformat()


def test_where_patience_ends_before_they_come_a_data_incident_is_told_instead(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "impatient.yaml"
    file.write_text(
        "rules:\n"
        "- {name: price_move, family: price_move, move_pct: 0.6, window_s: 300}\n"
        "- {name: ids_missing, family: ids_missing, patience_s: 20}\n"
    )
    fired = told(data_dir, "price_move", "--file", str(file))
    assert [one["rule"] for one in fired] == ["data_incident", "price_move"]
    assert fired[0]["text"].startswith("no price_move alert, since its window is not whole (4 trade ids missing)")


def test_news_counts_from_when_it_was_known(data_dir: Path) -> None:
    (fired,) = told(data_dir, "news_move")
    assert fired["article_ids"] == ["a1"]
    assert fired["known_at"] >= (HOUR + timedelta(seconds=1820)).isoformat()


def test_another_threshold_is_tried_without_a_file(data_dir: Path) -> None:
    assert told(data_dir, "price_move", "--set", "move_pct=2.5") == []
    with pytest.raises(StackError, match=r"rules\[0\].move_pct of price_move: Input should be greater than 0"):
        told(data_dir, "price_move", "--set", "move_pct=-1")


def test_only_what_fired_in_the_span_is_told(data_dir: Path) -> None:
    assert told(data_dir, "price_move", "--to", "2024-08-08T22:30:00") == []
    assert len(told(data_dir, "price_move", "--from", "2024-08-08T22:30:00")) == 1


def test_people_see_how_often_a_day_and_when(data_dir: Path) -> None:
    shown = CliRunner().invoke(app, ["test", "price_move", "--data-dir", str(data_dir)], catch_exceptions=False).stdout
    assert "price_move from 2024-08-07 22:39 to 2024-08-08 22:39 UTC: 1 times, 1.0 a day" in shown
    assert "rose 2.00 %" in shown


def test_a_rule_that_is_not_there_and_a_lake_without_trades_say_so(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"has no rule jump\n.*there are price_move, news_move"):
        told(data_dir, "jump")
    with pytest.raises(StackError, match="no trades in"):
        told(tmp_path / "empty", "price_move")
