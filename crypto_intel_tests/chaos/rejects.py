"""Compares bronze.rejected with what was spoilt, and silver.late_arrivals with what was late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from crypto_intel_tests.chaos.judgement import Verdict, read

Place = tuple[str, int, int]


def judge_rejected(lake: Path, acked: Mapping[Place, bytes], reasons: Mapping[bytes, str], verdict: Verdict) -> None:
    """Every spoilt value is rejected once, with its reason and where it stood, and nothing else is.

    Args:
        acked: what the broker took.
        reasons: of each spoilt value; empty where any will do.
    """
    wanted = {place: reasons[value] for place, value in acked.items() if value in reasons}
    rows = read(lake, "bronze.rejected").select("kafka_topic", "kafka_partition", "kafka_offset", "reason").rows()
    has = {(topic, partition, offset): reason for topic, partition, offset, reason in rows}
    wrong = [(place, wanted[place], has[place]) for place in wanted.keys() & has.keys() if not has[place]]
    wrong += [(p, wanted[p], has[p]) for p in wanted.keys() & has.keys() if wanted[p] and has[p] != wanted[p]]
    verdict.add("rejected", lost=len(wanted.keys() - has.keys()), doubled=len(rows) - len(has))
    verdict.add(f"good ones rejected or other reasons {Counter((w, h) for _, w, h in wrong)}", wrong=len(wrong))
    verdict.add("good ones rejected", wrong=len(has.keys() - wanted.keys()))


def judge_late(lake: Path, count: int, verdict: Verdict) -> None:
    """As many late trades were listed as there were."""
    found = int(read(lake, "silver.late_arrivals")["trade_count"].sum())
    verdict.add(f"late trades listed: {found} of {count}", lost=max(0, count - found), wrong=max(0, found - count))
