"""Faults of the streaming application, each a function that does it and says what came of it (a row of the table).

Each works on a lake, a checkpoint and topics of its own, on a real broker, with the real application as a process.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.kafka import create_topics
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count, judge
from crypto_intel_tests.chaos.load import Load
from streaming.failpoints import VARIABLE

EDGES = {
    "ingest": (
        "ingest:begun",
        "ingest:files",
        "after:bronze.trades",
        "after:bronze.news",
        "after:bronze.rejected",
        "after:bronze.feed_status",
        "after:silver.bars_1m",
        "after:silver.bars_5m",
        "ingest:tables",
        "ingest:states",
    ),
    "bar_news": ("after:silver.bar_news", "bar_news:states"),
}
"""Where a batch can be cut, by query."""


@dataclass(frozen=True)
class Ground:
    """Where faults happen: a broker, Java, a folder."""

    folder: Path
    bootstrap: str
    java_home: Path
    jars: Jars

    def application(self, name: str, queries: tuple[str, ...] = ("ingest", "bar_news"), **extra: str) -> Application:
        """An application with a data folder and topics of its own."""
        mark = uuid.uuid4().hex[:8]
        topics = Topics(**{field: f"{topic}_{mark}" for field, topic in Topics().model_dump().items()})
        create_topics(self.bootstrap, topics.all)
        folder = self.folder / f"{name.replace(':', '-')}-{mark}"
        return Application(folder, self.bootstrap, topics, self.java_home, self.jars, queries, extra)


@dataclass
class Row:
    """A row of the table."""

    fault: str
    times: int
    verdict: Verdict
    recovery_s: list[float] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled or wrong."""
        return self.verdict.is_right


def lake_of(application: Application) -> Path:
    """Its lake."""
    return application.folder / "lake"


def caught_up(application: Application, sender: Sender, load: Load) -> Callable[[], bool]:
    """Whether the lake has every acknowledged record, and all pairs where they are asked for."""

    def holds() -> bool:
        lake = lake_of(application)
        if bronze_count(lake) < len(sender.acked):
            return False
        return judge(lake, sender.acked, load, with_pairs="bar_news" in application.queries).lost == 0

    return holds


def finish(application: Application, sender: Sender, load: Load) -> Verdict:
    """Wait until all is there, stop in order, judge."""
    try:
        application.wait_for(caught_up(application, sender, load))
    except AssertionError as error:
        verdict = judge(lake_of(application), sender.acked, load, with_pairs="bar_news" in application.queries)
        verdict.what += str(error)
        return verdict
    application.stop()
    return judge(lake_of(application), sender.acked, load, with_pairs="bar_news" in application.queries)


def kills(ground: Ground, times: int, *, per_s: float = 2_000, seed: int = 1, max_records: int = 5_000) -> Row:
    """R1: kill -9 of the driver, every fourth time of a Python worker, while trades and news flow."""
    application = ground.application("kills", CRYPTO_INTEL_MAX_RECORDS_PER_BATCH=str(max_records))
    # About ten seconds of flow for every kill, so that the flow does not end before the kills do.
    minutes = -(-times * 10 // 5) * 5 // 5 * 5
    load = Load(application.topics, minutes=max(10, minutes), trades_per_minute=int(per_s * 0.6), articles=10 * times)
    sender = Sender(ground.bootstrap)
    draw = random.Random(seed)
    flow = sender.in_background(load.records, per_s)
    recovered = []
    for number in range(times):
        recovered.append(_started(application))
        time.sleep(draw.uniform(0, 3))
        _strike(application, worker=number % 4 == 3)
    recovered.append(_started(application))
    flow.join()
    verdict = finish(application, sender, load)
    application.kill()
    return Row("kill -9 of the driver, every 4th of a worker", times, verdict, recovered)


def _started(application: Application) -> float:
    # Seconds from the start to the first commit of new rows.
    lake = lake_of(application)
    before = bronze_count(lake)
    application.start()
    return application.wait_for(lambda: bronze_count(lake) > before)


def _strike(application: Application, *, worker: bool) -> None:
    pid = application.worker() if worker else None
    if pid is None:
        application.kill()
        return
    try:
        os.kill(pid, signal.SIGKILL)
        application.wait_for_end(20)
    except (ProcessLookupError, TimeoutError, OSError):
        pass
    except Exception:  # noqa: S110 - an idle worker's death goes unnoticed, which is right
        pass
    application.kill()


def failpoint(ground: Ground, query: str, place: str) -> Row:
    """R2: killed at one edge of a batch, in its second half; then started again."""
    application = ground.application(place, (query,) if query == "ingest" else ("ingest", query))
    load = Load(application.topics, minutes=10, trades_per_minute=300, articles=20)
    sender = Sender(ground.bootstrap)
    half = len(load.records) // 2
    sender.send(load.records[:half])
    application.start(**{VARIABLE: place})
    died = application.wait_for_end(90)
    verdict = Verdict()
    if died != -signal.SIGKILL:
        verdict.add(f"{place} was not reached", wrong=1)
    sender.send(load.records[half:])
    took = _started(application)
    found = finish(application, sender, load)
    application.kill()
    found.wrong += verdict.wrong
    return Row(f"killed at {place}", 1, found, [took])


def commit_deleted(ground: Ground) -> Row:
    """R3: the last entry of Spark's commit log deleted: the batch comes again, and changes nothing."""
    application, load, sender = _half_done(ground, "commit-deleted")
    for query in application.queries:
        _newest(application.folder / "checkpoints" / query / "commits").unlink()
    return _second_half("last commit file deleted", application, load, sender)


def checkpoint_deleted(ground: Ground, *, killed: bool = False) -> Row:
    """R4: all checkpoints deleted, after an orderly stop or a kill amid a batch."""
    application, load, sender = _half_done(ground, "checkpoint-deleted", at="after:bronze.trades" if killed else "")
    shutil.rmtree(application.folder / "checkpoints")
    how = "checkpoints deleted after a kill amid a batch" if killed else "checkpoints deleted"
    return _second_half(how, application, load, sender)


def _half_done(ground: Ground, name: str, at: str = "") -> tuple[Application, Load, Sender]:
    # The application stopped in order with half of a load in the lake; `at`: then killed there with a quarter more.
    application = ground.application(name)
    load = Load(application.topics, minutes=10, trades_per_minute=300, articles=20)
    sender = Sender(ground.bootstrap)
    half = len(load.records) // 2
    sender.send(load.records[:half])
    application.start()
    lake = lake_of(application)
    application.wait_for(lambda: bronze_count(lake) >= len(sender.acked))
    commits = application.folder / "checkpoints" / "bar_news" / "commits"
    application.wait_for(lambda: commits.is_dir() and any(path.name.isdigit() for path in commits.iterdir()))
    application.stop()
    if at:
        sender.send(load.records[half : half + half // 2])
        application.start(**{VARIABLE: at})
        application.wait_for_end(90)
        half += half // 2
    load.records = load.records[half:]
    return application, load, sender


def _second_half(fault: str, application: Application, load: Load, sender: Sender) -> Row:
    sender.send(load.records)
    took = _started(application)
    verdict = finish(application, sender, load)
    application.kill()
    return Row(fault, 1, verdict, [took])


def _newest(folder: Path) -> Path:
    return max((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


Damage = Callable[[Path], None]


def _cut_offsets(checkpoint: Path) -> None:
    path = _newest(checkpoint / "offsets")
    path.write_bytes(path.read_bytes()[:20])
    _newest(checkpoint / "commits").unlink()


def _spoil_states(checkpoint: Path) -> None:
    path = checkpoint / "states" / f"{_newest(checkpoint / 'commits').name}.states"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _lose_states(checkpoint: Path) -> None:
    (checkpoint / "states" / f"{_newest(checkpoint / 'commits').name}.states").unlink()


def _change_offsets(checkpoint: Path) -> None:
    # The batch is planned anew, with more records: tables that have it would skip them.
    number = _newest(checkpoint / "offsets").name
    (checkpoint / "offsets" / number).unlink()
    (checkpoint / "offsets" / f".{number}.crc").unlink(missing_ok=True)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "offsets file cut short": (_cut_offsets, ""),
    "states file damaged": (_spoil_states, "are damaged"),
    "states file missing": (_lose_states, "are missing"),
    "offsets file deleted, batch planned anew": (_change_offsets, "was begun with other offsets"),
}
"""Damages to ingest's checkpoint, and what the refusal says."""


def damaged(ground: Ground, names: tuple[str, ...] = tuple(DAMAGES)) -> list[Row]:
    """R3: a damaged checkpoint is refused loudly, each time, and no row of it is written."""
    application = ground.application("damaged", ("ingest",))
    load = Load(application.topics, minutes=10, trades_per_minute=300)
    sender = Sender(ground.bootstrap)
    third = len(load.records) // 3
    sender.send(load.records[:third])
    application.start()
    application.wait_for(lambda: bronze_count(lake_of(application)) >= third)
    application.stop()
    sender.send(load.records[third : 2 * third])
    # Cut between the tables: what is planned is partly in the lake.
    application.start(**{VARIABLE: "after:bronze.trades"})
    application.wait_for_end(90)
    sender.send(load.records[2 * third :])
    return [_refused(application, name) for name in names]


def _refused(application: Application, name: str) -> Row:
    damage, words = DAMAGES[name]
    checkpoint, kept = application.folder / "checkpoints" / "ingest", application.folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(checkpoint, kept)
    lake, verdict = lake_of(application), Verdict()
    before, size = bronze_count(lake), application.log.stat().st_size
    damage(checkpoint)
    application.start()
    try:
        code = application.wait_for_end(60)
    except Exception:
        code = 0
        application.kill()
    said = application.log.read_bytes()[size:].decode(errors="replace")
    if code == 0 or words not in said or bronze_count(lake) != before:
        verdict.add(f"{name}: exit {code}, {bronze_count(lake) - before} rows more; {said[-500:]}", wrong=1)
    shutil.rmtree(checkpoint)
    shutil.move(kept, checkpoint)
    return Row(f"{name}: refused", 1, verdict)
