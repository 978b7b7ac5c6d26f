"""The rules in force: from what people wrote (crypto_intel.contracts.rules) to what judges a market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from crypto_intel.contracts.rules import (
    AlertRule,
    FeedSilentRule,
    IdsMissingRule,
    NewsMoveRule,
    PriceMoveRule,
    SpikeRule,
)
from streaming.transforms.rules.fired import Figures
from streaming.transforms.rules.incidents import Incidents
from streaming.transforms.rules.news_move import NewsMove
from streaming.transforms.rules.price_move import PriceMove
from streaming.transforms.rules.spikes import Measure, Spike

MarketRule = PriceMove | NewsMove | Spike


class Rules(msgspec.Struct, frozen=True):
    """Every rule that is judged on a market. `by_slice` look at slices of ten seconds, `by_minute` at minutes."""

    incidents: Incidents
    by_slice: tuple[PriceMove | NewsMove, ...] = ()
    by_minute: tuple[Spike, ...] = ()

    @property
    def horizon_s(self) -> int:
        """How far back slices are looked at."""
        return max([rule.window_s for rule in self.by_slice], default=60)

    @property
    def baseline_minutes(self) -> int:
        """How far back minutes are looked at."""
        return max([rule.baseline_minutes for rule in self.by_minute], default=5)

    def of(self, market: str) -> Rules:
        """The rules of a market: all of them."""
        return self


@dataclass(frozen=True)
class Book:
    """The rules in force, by market."""

    rules: tuple[AlertRule, ...]
    everywhere: Rules

    @classmethod
    def of_rules(cls, rules: Sequence[AlertRule]) -> Book:
        """The enabled ones of these."""
        enabled = tuple(rule for rule in rules if rule.enabled)
        return cls(enabled, _judges(enabled))

    @property
    def horizon_s(self) -> int:
        """How far back slices are looked at, on any market."""
        return self.everywhere.horizon_s

    @property
    def baseline_minutes(self) -> int:
        """How far back minutes are looked at, on any market."""
        return self.everywhere.baseline_minutes

    def of(self, market: str) -> Rules:
        """The rules of a market, `venue:symbol`."""
        if not any(rule.markets for rule in self.rules):
            return self.everywhere
        return _judges([rule for rule in self.rules if rule.covers(market)])


def _judges(rules: Sequence[AlertRule]) -> Rules:
    silent = [rule for rule in rules if isinstance(rule, FeedSilentRule)]
    missing = [rule for rule in rules if isinstance(rule, IdsMissingRule)]
    judges = [judge for rule in rules if (judge := _judge(rule)) is not None]
    return Rules(
        Incidents(
            silence_s=min([rule.silence_s for rule in silent], default=None),
            patience_s=min([rule.patience_s for rule in missing], default=None),
            silent_severity=next((rule.severity for rule in silent if rule.severity), "warning"),
            missing_severity=next((rule.severity for rule in missing if rule.severity), "warning"),
        ),
        by_slice=tuple(judge for judge in judges if not isinstance(judge, Spike)),
        by_minute=tuple(judge for judge in judges if isinstance(judge, Spike)),
    )


def _judge(rule: AlertRule) -> MarketRule | None:
    if isinstance(rule, PriceMoveRule):
        return PriceMove(rule.move_pct, rule.window_s, rule.cooldown_s, rule.name, rule.severity)
    if isinstance(rule, NewsMoveRule):
        return NewsMove(rule.move_pct, rule.window_s, rule.name, rule.severity)
    if isinstance(rule, SpikeRule):
        measure: Measure = "volume" if rule.family == "volume_spike" else "volatility"
        return Spike(
            measure, rule.times, rule.baseline_minutes, rule.least_minutes, rule.cooldown_s, rule.name, rule.severity
        )
    return None  # data incidents are not judged on prices


_KINDS: Mapping[str, type[Any]] = {
    "price_move": PriceMove,
    "news_move": NewsMove,
    "volume_spike": Spike,
    "volatility_spike": Spike,
}


def stated(rule: MarketRule) -> Figures:
    """A rule as figures, to be kept with its alert."""
    return {"family": rule.family, **msgspec.structs.asdict(rule)}


def restated(figures: Mapping[str, Any]) -> MarketRule | None:
    """The rule that `stated` gave these figures; None where they name no market rule."""
    kind = _KINDS.get(str(figures.get("family")))
    if kind is None:
        return None
    known = {name: figures[name] for name in kind.__struct_fields__ if name in figures}
    rule: MarketRule = msgspec.convert(known, kind)
    return rule
