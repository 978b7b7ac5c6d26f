"""Input that no feed of ours would send, straight into Kafka: counted exactly, and no good row is the worse for it."""

from __future__ import annotations

from crypto_intel_tests.chaos import inputs
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.bursts import Spent, burst
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import LAKE_QUERIES, Ground
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.lateness import delay_some, judge_recomputed
from crypto_intel_tests.chaos.load import Load, Record
from crypto_intel_tests.chaos.rejects import judge_late, judge_rejected
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.session import pieces
from crypto_intel_tests.chaos.table import Row

LATE_AND_FUTURE = 1_000
BURSTS = 4
"""Of half the load each, clean and with spoilt records: one alone is at the mercy of the JVM's compiler."""
LEAST_SHARE = 0.9
"""Of the throughput of clean records."""


def spoilt(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """R8: spoilt payloads among good ones, and what they cost. R15: the good ones in a newer producer's form."""
    application = ground.application("spoilt", ("ingest",))
    minutes = 10 * (1 + 2 * BURSTS)
    per_minute = scale.good // 20
    load = inputs.drifted(Load(application.topics, minutes=minutes, trades_per_minute=per_minute, articles=100))
    bad = list(inputs.spoilt(load, scale.spoilt // 2 * (1 + BURSTS)))
    sender = Sender(ground.bootstrap)
    clean, mixed = _bursts(application, sender, load, [record for record, _ in bad], tell)
    code, restarts = application.stop(), application.restarts
    application.queries = LAKE_QUERIES
    application.start()
    verdict, _ = finish(application, sender, load, 300)
    rejected, note = _throughput(clean, mixed)
    judge_rejected(application.lake, sender.acked, {record.value: reason for record, reason in bad}, rejected)
    rejected.add("ended while it read them", wrong=restarts + (code != 0))
    sent = len(sender.acked)
    return [
        Row("R8", "spoilt payloads of 28 kinds, each with reason and place", len(bad), rejected, sent, note=note),
        Row("R15", "fields more, nested, in other order; the rest of that load", sent - len(bad), verdict, sent),
    ]


def _bursts(application: Application, sender: Sender, load: Load, bad: list[Record], tell: Tell) -> tuple[Spent, Spent]:
    # The first piece, with spoilt ones, warms it up; then clean and mixed pieces in turn.
    warm, *rest = pieces(load, 1 + 2 * BURSTS)
    size = len(bad) // (1 + BURSTS)
    sender.send(_mixed(warm, bad[:size]))
    started(application)
    application.wait_for(lambda: bronze_count(application.lake) >= len(sender.acked))
    clean, mixed = Spent(), Spent()
    for number, good in enumerate(rest):
        turn = number // 2 + 1
        if number % 4 in (1, 2):  # each kind comes first as often as the other
            mixed.add(burst(application, sender, _mixed(good, bad[size * turn : size * (turn + 1)]), len(good)))
        else:
            clean.add(burst(application, sender, good, len(good)))
        tell(f"clean {clean}, with spoilt ones {mixed}")
    return clean, mixed


def _throughput(clean: Spent, mixed: Spent) -> tuple[Verdict, str]:
    # By CPU, which other work on the machine changes least.
    verdict = Verdict()
    rate, own = mixed.records / mixed.cpu_s, clean.records / clean.cpu_s
    verdict.add(f"{rate:.0f} records a CPU-second, {own:.0f} clean ones", wrong=int(rate < LEAST_SHARE * own))
    by_time = mixed.records / mixed.wall_s * clean.wall_s / clean.records
    good = mixed.good / mixed.cpu_s / own
    note = (
        f"clean bursts of {clean.records // BURSTS:,} records and ones with spoilt payloads in turn, {BURSTS} each: "
        f"{1e6 / own:.1f} and {1e6 / rate:.1f} CPU-microseconds a record, {100 * rate / own:.0f} % of clean throughput "
        f"by CPU, {100 * by_time:.0f} % by time ({100 * good:.0f} % counting good ones alone); no restart"
    )
    return verdict, note


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


def late_amid(ground: Ground) -> list[Row]:
    """R13: one trade in a hundred comes 30 s late, one in two hundred 20 minutes, amid the others."""
    application = ground.application("late-amid")
    load = Load(application.topics, minutes=40, trades_per_minute=1200, articles=50, twice_pct=0)
    delayed, late, everything = delay_some(load)
    sender = Sender(ground.bootstrap)
    sender.send(load.records)
    started(application)
    verdict, _ = finish(application, sender, load)
    judge_late(application.lake, late, verdict)
    judge_recomputed(application.lake, everything, verdict)
    fault = "one trade in a hundred 30 s late, one in two hundred 20 minutes, amid the others"
    note = f"{late} came behind the watermark, all counted and in no bar, the rest in theirs; the batch has them all"
    return [Row("R13", fault, delayed, verdict, len(sender.acked), note=note)]


def _mixed(good: list[Record], odd: list[Record]) -> list[Record]:
    # Evenly among the good ones.
    step = max(1, len(good) // len(odd))
    mixed = [record for number, one in enumerate(odd) for record in (*good[number * step : (number + 1) * step], one)]
    return mixed + good[len(odd) * step :]
