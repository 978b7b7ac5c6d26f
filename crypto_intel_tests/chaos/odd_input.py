"""Input that no feed of ours would send, straight into Kafka: counted exactly, and no good row is the worse for it."""

from __future__ import annotations

from crypto_intel_tests.chaos import inputs
from crypto_intel_tests.chaos.application import Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import Load, Record
from crypto_intel_tests.chaos.rejects import judge_late, judge_rejected
from crypto_intel_tests.chaos.scale import Scale
from crypto_intel_tests.chaos.table import Row

LATE_AND_FUTURE = 1_000


def spoilt(ground: Ground, scale: Scale) -> list[Row]:
    """R8: spoilt payloads among good ones. R15: the good ones in a newer producer's form."""
    application = ground.application("spoilt")
    load = inputs.drifted(Load(application.topics, minutes=60, trades_per_minute=scale.good // 60, articles=100))
    bad = dict(inputs.spoilt(load, scale.spoilt))
    reasons = {record.value: reason for record, reason in bad.items()}
    sender = Sender(ground.bootstrap)
    sender.send(_mixed(load.records, list(bad)))
    took = started(application)
    verdict, _ = finish(application, sender, load, 300)
    rejected = Verdict()
    judge_rejected(application.lake, sender.acked, reasons, rejected)
    sent = len(sender.acked)
    return [
        Row("R8", "spoilt payloads of 28 kinds, each with reason and place", len(bad), rejected, sent, [took]),
        Row("R15", "fields more, nested, in other order; the rest of that load", sent - len(bad), verdict, sent),
    ]


def late_and_future(ground: Ground) -> list[Row]:
    """R12 and R13: trades dated a day ahead, and trades of windows that were written long ago."""
    application = ground.application("late")
    load = Load(application.topics, minutes=30, trades_per_minute=600, articles=50)
    ahead = inputs.future(load, LATE_AND_FUTURE)
    sender = Sender(ground.bootstrap)
    sender.send(_mixed(load.records, ahead))
    started(application)
    application.wait_for(lambda: bronze_count(application.lake) == len(sender.acked))
    sender.send([*inputs.late(load, LATE_AND_FUTURE), *load.beats(load.end_us + 60_000_000)])
    verdict, _ = finish(application, sender, load)
    early, behind = Verdict(), Verdict()
    judge_rejected(application.lake, sender.acked, {record.value: "future_time" for record in ahead}, early)
    judge_late(application.lake, LATE_AND_FUTURE, behind)
    behind.join(verdict)
    sent = len(sender.acked)
    return [
        Row("R12", "trades dated a day ahead", LATE_AND_FUTURE, early, sent),
        Row("R13", "trades of windows long written: in bronze, listed, in no bar", LATE_AND_FUTURE, behind, sent),
    ]


def _mixed(good: list[Record], odd: list[Record]) -> list[Record]:
    # Evenly among the good ones.
    step = max(1, len(good) // len(odd))
    mixed = [record for number, one in enumerate(odd) for record in (*good[number * step : (number + 1) * step], one)]
    return mixed + good[len(odd) * step :]
