"""The application dies, or its checkpoint is hurt: each fault a function that does it and says what came of it.

Each works on a lake, a checkpoint and topics of its own, on real servers, with the real application as a process.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from crypto_intel.stack.rebuild import set_aside
from crypto_intel.stack.state import Folder
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.ground import ALL_QUERIES, Ground
from crypto_intel_tests.chaos.inputs import sprinkled
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row
from crypto_intel_tests.chaos.whole import is_whole, verdict_of
from streaming.failpoints import VARIABLE


def finish(application: Application, sender: Sender, load: Load, timeout_s: float = 300) -> tuple[Verdict, float]:
    """Wait until all is there, stop in order, judge; and how long it took to catch up."""
    took, stuck = 0.0, ""
    try:
        took = application.wait_for(lambda: is_whole(application, sender, load), timeout_s)
        code = application.stop()
        stuck = "" if code == 0 else f"exit code {code} at the stop"
    except AssertionError as error:
        stuck = str(error)
    application.kill()
    verdict = verdict_of(application, sender, load)
    if stuck:
        verdict.add(stuck, wrong=1)
    return verdict, took


def kills(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """R1: kill -9 of the driver, every fourth time of a Python worker, while trades and news flow."""
    application = ground.application("kills", ALL_QUERIES, CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="20000")
    minutes = -(-scale.trades // 6000) * 5
    load = Load(application.topics, minutes=minutes, trades_per_minute=1200, articles=scale.articles)
    sender, draw = Sender(ground.bootstrap), random.Random(1)
    flow = sender.in_background(load.records, scale.per_s)
    recovered: list[float] = []
    until = time.monotonic() + 60 * scale.kill_minutes
    for number in range(scale.kills):
        if time.monotonic() > until or not flow.is_alive():
            break
        recovered.append(started(application))
        # Often short enough to hit the first batches, sometimes long enough for those of the join.
        time.sleep(draw.uniform(0, 1) ** 2 * 12)
        strike(application, worker=number % 4 == 3)
        tell(f"{number + 1} of {scale.kills}, back after {recovered[-1]:.1f} s, {len(sender.acked):,} records sent")
    flow.join()
    application.start()
    verdict, caught_up = finish(application, sender, load, 900)
    note = f"{len(load.trades):,} trades and {len(load.news):,} articles at {scale.per_s:,.0f} records/s, all queries"
    served = f"all of it served {caught_up:.0f} s after the last start, {application.restarts} ends by itself"
    fault = f"kill -9 of the driver, each fourth of a Python worker; {note}; {served}"
    return Row("R1", fault, len(recovered), verdict, len(sender.acked), recovered)


def started(application: Application, timeout_s: float = 300) -> float:
    """Start it: seconds to the first commit of new rows. There must be some to come."""
    before = bronze_count(application.lake)
    began = time.monotonic()
    application.start()
    application.wait_for(lambda: bronze_count(application.lake) > before, timeout_s)
    return time.monotonic() - began


def strike(application: Application, *, worker: bool) -> None:
    """kill -9 of the driver, or of a Python worker: then see that it ends or goes on, and end it."""
    pid = application.worker() if worker else None
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.kill(pid, signal.SIGKILL)
            application.wait_for_end(3)  # an idle worker's death goes unnoticed, which is right
    application.kill()


def killed_amid_records(ground: Ground) -> Verdict:
    """The short form of R1: a worker killed amid a file, the driver amid its states, and the driver from outside."""
    application = ground.application("kills", ("ingest",), CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="500")
    load = sprinkled(Load(application.topics, minutes=15, trades_per_minute=400, articles=20))
    sender, verdict = Sender(ground.bootstrap), Verdict()
    sender.send(load.records)
    for place in ("partial:.parquet", "partial:.states@3"):
        application.start(**{VARIABLE: place})
        if application.wait_for_end(240) == 0:
            verdict.add(f"{place} was not reached", wrong=1)
    started(application)
    application.kill()
    started(application)
    verdict.join(finish(application, sender, load)[0])
    return verdict


def commit_deleted(ground: Ground) -> Row:
    """R3: the last entry of Spark's commit log deleted: the batch comes again, and changes nothing."""
    application, load, sender = _half_done(ground, "commit-deleted")
    for query in application.queries:
        forget(newest(application.folder / "checkpoints" / query / "commits"))
    return _second_half("R3", "last commit files deleted", application, load, sender)


def rebuilt(ground: Ground, *, killed: bool = False) -> Row:
    """R4: every query starts anew by the command, after an orderly stop or a kill amid a batch."""
    application, load, sender = _half_done(ground, "rebuilt", at="after:bronze.trades" if killed else "")
    for query in ("ingest", "bar_news"):
        set_aside(Folder(application.folder), query, datetime.now(UTC))
    how = "kill amid a batch" if killed else "drain"
    return _second_half("R4", f"{how}, new checkpoints (`crypto-intel rebuild`)", application, load, sender)


def checkpoint_deleted(ground: Ground) -> Row:
    """R4: all checkpoints deleted after a kill amid a batch."""
    application, load, sender = _half_done(ground, "checkpoint-deleted", at="after:bronze.trades")
    shutil.rmtree(application.folder / "checkpoints")
    return _second_half("R4", "kill amid a batch, checkpoints deleted", application, load, sender)


def _half_done(ground: Ground, name: str, at: str = "") -> tuple[Application, Load, Sender]:
    # The application stopped in order with half of a load in the lake; `at`: then killed there with a quarter more.
    application = ground.application(name)
    load = Load(application.topics, minutes=10, trades_per_minute=300, articles=20)
    sender = Sender(ground.bootstrap)
    half = len(load.records) // 2
    sender.send(load.records[:half])
    application.start()
    application.wait_for(lambda: bronze_count(application.lake) >= len(sender.acked))
    commits = application.folder / "checkpoints" / "bar_news" / "commits"
    application.wait_for(lambda: commits.is_dir() and any(path.name.isdigit() for path in commits.iterdir()))
    application.stop()
    if at:
        sender.send(load.records[half : half + half // 2])
        application.start(**{VARIABLE: at})
        assert application.wait_for_end(240) == -signal.SIGKILL
        half += half // 2
    load.records = load.records[half:]
    return application, load, sender


def _second_half(goal: str, fault: str, application: Application, load: Load, sender: Sender) -> Row:
    sender.send(load.records)
    took = started(application)
    verdict, _ = finish(application, sender, load)
    return Row(goal, fault, 1, verdict, len(sender.acked), [took])


def newest(folder: Path) -> Path:
    """The last batch's file of Spark's offset or commit log."""
    return max((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def forget(path: Path) -> None:
    """Delete a file of Spark's logs, with the checksum that Hadoop keeps beside it."""
    path.unlink()
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


Damage = Callable[[Path], None]


def _cut_offsets(checkpoint: Path) -> None:
    path = newest(checkpoint / "offsets")
    path.write_bytes(path.read_bytes()[:20])
    newest(checkpoint / "commits").unlink()


def _spoil_states(checkpoint: Path) -> None:
    path = checkpoint / "states" / f"{newest(checkpoint / 'commits').name}.states"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _lose_states(checkpoint: Path) -> None:
    (checkpoint / "states" / f"{newest(checkpoint / 'commits').name}.states").unlink()


def _change_offsets(checkpoint: Path) -> None:
    # The batch is planned anew, with more records: tables that have it would skip them.
    forget(newest(checkpoint / "offsets"))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "offsets file cut short": (_cut_offsets, ""),
    "states file damaged": (_spoil_states, "are damaged"),
    "states file missing": (_lose_states, "are missing"),
    "offsets file deleted, batch planned anew": (_change_offsets, "was begun with other offsets"),
}
"""Damages to ingest's checkpoint, and what the refusal says."""


def damaged(ground: Ground, names: tuple[str, ...] = tuple(DAMAGES)) -> list[Row]:
    """R3: a damaged checkpoint is refused loudly, each time, and no row of it is written; repaired, it goes on."""
    application = ground.application("damaged", ("ingest",))
    load = Load(application.topics, minutes=10, trades_per_minute=300)
    sender = Sender(ground.bootstrap)
    third = len(load.records) // 3
    sender.send(load.records[:third])
    application.start()
    application.wait_for(lambda: bronze_count(application.lake) >= third)
    application.stop()
    sender.send(load.records[third : 2 * third])
    # Cut between the tables: what is planned is partly in the lake.
    application.start(**{VARIABLE: "after:bronze.trades"})
    application.wait_for_end(240)
    sender.send(load.records[2 * third :])
    rows = [_refused(application, name) for name in names]
    took = started(application)
    verdict, _ = finish(application, sender, load)
    return [*rows, Row("R3", "the checkpoint put back after all of these", 1, verdict, len(sender.acked), [took])]


def _refused(application: Application, name: str) -> Row:
    damage, words = DAMAGES[name]
    checkpoint, kept = application.folder / "checkpoints" / "ingest", application.folder / "kept"
    shutil.copytree(checkpoint, kept)
    verdict = Verdict()
    before, size = bronze_count(application.lake), application.log.stat().st_size
    damage(checkpoint)
    application.start()
    try:
        code = application.wait_for_end(60)
    except subprocess.TimeoutExpired:  # it goes on: that is what is counted
        code = 0
        application.kill()
    said = application.log.read_bytes()[size:].decode(errors="replace")
    more = bronze_count(application.lake) - before
    if code == 0 or words not in said or more:
        verdict.add(f"{name}: exit {code}, {more} rows more; {said[-500:]}", wrong=1)
    shutil.rmtree(checkpoint)
    shutil.move(kept, checkpoint)
    return Row("R3", f"{name}: refused with a clear text", 1, verdict)
