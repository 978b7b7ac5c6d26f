"""What becomes of what rules say: cool-down, and no market alert on incomplete data.

A market alert whose window lacks trade ids waits for their repair: it fires when they are here, and a data incident is
told in its place when they are not within the patience of the incident rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from streaming.transforms.bars import MINUTE_US
from streaming.transforms.rules.book import MarketRule, Rules, stated
from streaming.transforms.rules.fired import Fired
from streaming.transforms.rules.incidents import holes_found
from streaming.transforms.rules.market import SLICE_US, Market

REMEMBERED_US = 24 * 3_600 * 1_000_000
"""What fired is remembered for a day of feed time; no cool-down is longer."""


class Memory(msgspec.Struct, array_like=True):
    """What the engine remembers of a market.

    Attributes:
        fired: when what fired last, by `rule:about`.
        withheld: since when a market alert waits for its window to be whole, by the same.
        holes: when each hole among the trade ids was found, by its first id.
    """

    fired: dict[str, int] = {}
    withheld: dict[str, int] = {}
    holes: dict[int, int] = {}


def evaluate(market: Market, rules: Rules, memory: Memory, *, since: int) -> list[Fired]:
    """Judge a market's history from a time on; slices and minutes judged before may be judged again.

    Args:
        memory: changed in place.
    """
    start = min([since, *memory.withheld.values()])
    judged = sorted(_judged(market, rules, start), key=lambda found: found[0].at)
    fired = [told for found, rule in judged for told in _gate(market, rules, memory, found, rule)]
    memory.holes = holes_found(list(market.seen), memory.holes, market.slices, market.clock)
    fired += [hole for hole in rules.incidents.missing(market, memory.holes) if _is_new(memory, hole, None)]
    _forget(memory, market.clock, min(market.slices, default=market.clock))
    return fired


def silent(rules: Rules, memory: Memory, alive: int, partition_clock: int) -> list[Fired]:
    """Judge the silence of a market's feed."""
    found = rules.incidents.silent(alive, partition_clock)
    return [incident for incident in found if _is_new(memory, incident, None)]


def _judged(market: Market, rules: Rules, start: int) -> Iterator[tuple[Fired, MarketRule]]:
    for at in sorted(at for at in market.slices if at > start - SLICE_US):
        for rule in rules.by_slice:
            yield from ((found, rule) for found in rule.judge(market, at))
    for at in sorted(at for at in market.minutes if at > start - MINUTE_US):
        for spike in rules.by_minute:
            yield from ((found, spike) for found in spike.judge(market, at))


def _gate(market: Market, rules: Rules, memory: Memory, found: Fired, rule: MarketRule) -> Iterable[Fired]:
    if not _may_fire(memory, found, rule.cooldown_s):
        return
    key = _key(found)
    coverage = market.coverage(found.window_start, found.window_end)
    found.bar, found.severity = market.bar(found.at), rule.severity or found.severity
    found.by = {**stated(rule), "about": found.about, "anchor": found.anchor, "at": found.at}
    if not coverage.missing:
        memory.withheld.pop(key, None)
        memory.fired[key] = found.at
        found.coverage_pct, found.completeness = coverage.pct, coverage.completeness
        yield found
        return
    since = memory.withheld.setdefault(key, found.at)
    if rules.incidents.is_patience_over(market.clock - since):
        memory.withheld.pop(key)
        incident = rules.incidents.withheld(found, coverage)
        if _is_new(memory, incident, rule.cooldown_s):
            yield incident


def _key(found: Fired) -> str:
    return f"{found.rule}:{found.about}"


def _may_fire(memory: Memory, found: Fired, cooldown_s: int | None) -> bool:
    last = memory.fired.get(_key(found))
    return last is None or (cooldown_s is not None and found.at - last >= max(cooldown_s * 1_000_000, 1))


def _is_new(memory: Memory, found: Fired, cooldown_s: int | None) -> bool:
    if not _may_fire(memory, found, cooldown_s):
        return False
    memory.fired[_key(found)] = found.at
    return True


def _forget(memory: Memory, clock: int, oldest_slice: int) -> None:
    memory.fired = {key: at for key, at in memory.fired.items() if at > clock - REMEMBERED_US}
    memory.withheld = {key: at for key, at in memory.withheld.items() if at >= oldest_slice}
