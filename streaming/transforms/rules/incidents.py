"""data_incident: what is here is not whole. Said instead of a market alert that would rest on it, and for itself.

Silence is told from quiet by the partition's clock: every feed beats into every partition of its topic, so where others
have gone on and one has not, that one is silent. No wall clock is asked, and the same records say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from crypto_intel.contracts.rules import INCIDENT, Severity
from streaming.transforms import intervals
from streaming.transforms.bars import Partial
from streaming.transforms.rules.fired import Figures, Fired
from streaming.transforms.rules.market import Coverage, Market


class Incidents(msgspec.Struct, frozen=True):
    """The rules: a feed silent for `silence_s`, ids missing for `patience_s`; in feed time, None: not told."""

    silence_s: int | None
    patience_s: int | None
    silent_severity: Severity = "warning"
    missing_severity: Severity = "warning"

    def is_patience_over(self, waited_us: int) -> bool:
        """Ids, or an alert that waits for them, have been waited for long enough."""
        return self.patience_s is not None and waited_us >= self.patience_s * 1_000_000

    def silent(self, alive: int, partition_clock: int) -> Iterator[Fired]:
        """A market whose feed was last heard at `alive`, while its partition has come to `partition_clock`."""
        silence_s = (partition_clock - alive) / 1e6
        if alive and self.silence_s is not None and silence_s >= self.silence_s:
            yield _incident(
                f"silent:{alive}",
                by={"family": "feed_silent", "silence_s": self.silence_s, "alive_until": alive},
                severity=self.silent_severity,
                between=(alive, partition_clock),
                measured=(silence_s, self.silence_s, "s"),
                text=f"feed silent for {silence_s:.0f} s; what is told of this market since is not whole",
            )

    def missing(self, market: Market, since: Mapping[int, int]) -> Iterator[Fired]:
        """Ids that have been missing too long; `since`: when each hole was found, by its first id."""
        for first, last in intervals.holes(market.seen):
            found_at = since.get(first)
            if found_at is not None and self.is_patience_over(market.clock - found_at):
                count = last - first + 1
                yield _incident(
                    f"ids:{first}",
                    by={"family": "ids_missing", "patience_s": self.patience_s, "first_id": first, "last_id": last},
                    severity=self.missing_severity,
                    between=(found_at, market.clock),
                    measured=(count, 1, "ids"),
                    text=f"{count} trade ids missing ({first} to {last}) for more than {self.patience_s} s",
                )

    def withheld(self, fired: Fired, coverage: Coverage) -> Fired:
        """Instead of a market alert whose window is not whole."""
        what = f"{coverage.missing} trade ids missing" if coverage.pct is not None else "feed silent"
        incident = _incident(
            f"withheld:{fired.rule}:{fired.about}",
            by=fired.by,
            severity=self.missing_severity,
            between=(fired.window_start, fired.window_end),
            measured=(fired.value, fired.threshold, fired.unit),
            text=f"no {fired.rule} alert, since its window is not whole ({what}): {fired.text}",
        )
        incident.anchor, incident.at, incident.values, incident.bar = fired.anchor, fired.at, fired.values, fired.bar
        incident.article_ids, incident.coverage_pct = fired.article_ids, coverage.pct
        return incident


def _incident(
    about: str,
    *,
    by: Figures,
    severity: Severity,
    between: tuple[int, int],
    measured: tuple[float, float, str],
    text: str,
) -> Fired:
    value, threshold, unit = measured
    return Fired(
        rule=INCIDENT,
        by=by,
        severity=severity,
        about=about,
        anchor="",
        at=between[1],
        window_start=between[0],
        window_end=between[1],
        value=value,
        threshold=threshold,
        unit=unit,
        text=text,
        completeness="partial",
    )


def holes_found(
    seen: list[intervals.Interval], known: Mapping[int, int], slices: Mapping[int, Partial], clock: int
) -> dict[int, int]:
    """When each hole among the seen ids was found, by its first id: the slice of the id behind it, or now."""
    found = {}
    for first, last in intervals.holes(seen):
        behind = (start for start, part in slices.items() if part.first_id <= last + 1 <= part.last_id)
        found[first] = known[first] if first in known else min(behind, default=clock)
    return found
