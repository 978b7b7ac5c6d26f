"""Rules as people write them: what fits, what is said of what does not, and rows that say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_intel.contracts.rules import (
    FAMILIES,
    BadRulesError,
    load_alert_config,
    read_alert_config,
    row_of,
    rule_of,
)
from crypto_intel.contracts.serving import ALERT_RULES

MOVE = "{name: a, family: price_move, move_pct: 1, window_s: 60}"


def test_the_file_that_comes_along_has_a_rule_of_each_family_and_tells_everybody() -> None:
    config = load_alert_config()
    assert [rule.family for rule in config.rules] == list(FAMILIES)
    assert [route.name for route in config.routes] == ["everybody"]


def test_a_row_says_what_the_rule_says() -> None:
    rules = load_alert_config().rules
    assert [rule_of(row_of(rule)) for rule in rules] == list(rules)
    assert set(row_of(rules[0])) <= set(ALERT_RULES.column_names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"rules: [{MOVE}, {{name: b, family: price_move, move_pct: -1, window_s: 60}}]",
         "rules[1].move_pct of b: Input should be greater than 0 (it is -1)"),
        ("rules: [{name: b, family: volume_spike, times: many}]",
         "rules[0].times of b: Input should be a valid number"),
        ("rules: [{name: b, family: price_move, move_pct: 1, window_s: 60, window: 9}]",
         "rules[0].window of b: no such field; there are name, enabled, severity, markets, cooldown_s, family, "
         "move_pct, window_s"),
        ("rules: [{name: b, family: price_jump}]", "'price_move', 'news_move'"),
        ("rules: [{name: b, family: price_move, window_s: 60}]", "rules[0].move_pct of b: Field required"),
        ("rules: [{name: b, family: volume_spike, times: 2, least_minutes: 31}]",
         "rules[0] of b: least_minutes must not be greater than baseline_minutes (30)"),
        ("rules: [{name: b, family: price_move, move_pct: 1, window_s: 60, markets: [BTC]}]",
         "rules[0].markets[0] of b: String should match pattern"),
        (f"rules: [{MOVE}, {MOVE}]", "the whole: each rule has a name of its own; there twice: a"),
        ("rules: []", "rules: Tuple should have at least 1 item"),
        (f"rules: [{MOVE}]\nroutes: [{{name: r, quiet_hours: {{start: 22:00, end: \"07:00\"}}}}]",
         'routes[0].quiet_hours.start of r: write the time in quotes, such as "22:00"'),
        (f"rules: [{MOVE}]\nroutes: [{{name: r, quiet_hours: {{start: \"22:00\", end: \"07:00\", zone: Mars}}}}]",
         "routes[0].quiet_hours.zone of r: no time zone of this name"),
        (f"rules: [{MOVE}]\nroutes: [{{name: r, least_severity: loud}}]",
         "routes[0].least_severity of r: Input should be 'info', 'warning' or 'critical' (it is 'loud')"),
        ("rules: [", "mine.yaml is not YAML"),
        ("- 1", "mine.yaml: a mapping with `rules` and `routes` is wanted"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_by_field_with_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(BadRulesError) as raised:
        read_alert_config(text, "mine.yaml")
    assert complaint in str(raised.value)
    assert str(raised.value).startswith("mine.yaml")


def test_a_file_that_is_not_there_names_itself(tmp_path: Path) -> None:
    with pytest.raises(BadRulesError, match=r"none\.yaml can not be read"):
        load_alert_config(tmp_path / "none.yaml")


def test_a_row_that_does_not_fit_is_refused_by_column() -> None:
    row = row_of(load_alert_config().rules[0])
    with pytest.raises(BadRulesError, match=r"rule price_move does not fit\n  threshold: .*greater than 0"):
        rule_of({**row, "threshold": 0})
    with pytest.raises(BadRulesError, match="the unit of a price_move is pct"):
        rule_of({**row, "unit": "s"})
    with pytest.raises(BadRulesError, match="family must be one of price_move, news_move"):
        rule_of({**row, "family": "hunch"})


def test_a_rule_covers_the_markets_that_its_patterns_match() -> None:
    rule = load_alert_config().rules[0]
    some = rule.model_copy(update={"markets": ("binance:*", "*:BTC-*")})
    assert [some.covers(name) for name in ("binance:ETH-USDT", "kraken:BTC-USD", "kraken:ETH-USD")] == [
        True,
        True,
        False,
    ]
    assert rule.covers("kraken:ETH-USD")
