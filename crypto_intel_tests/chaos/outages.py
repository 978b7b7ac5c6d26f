"""What the application stands on goes away: the broker, the disk.

PostgreSQL is postgres.py's, Redis cache.py's, a second writer writers.py's.

An application that ends by itself with an error is started again, as its supervisor does.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import LAKE_QUERIES, Broker, Ground
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row

DISK_MB = 200
LOUD_S = 30.0
"""So long after its disk is full a process may go on in silence."""

SERVING = ("ingest", "publish", "live")


def broker_away(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """R5: the broker frozen, then killed five times, while records flow."""
    with ground.own_broker() as (own, broker):
        application, sender, load = flowing(own, scale, ("ingest", "bar_news"))
        flow = sender.in_background(load.records, scale.per_s * 2)
        started(application)
        with broker.frozen():
            tell(f"frozen for {scale.frozen_s:.0f} s")
            time.sleep(scale.frozen_s)
        thawed = [back(application)]
        killed = []
        for number in range(5):
            broker.kill()
            broker.start()
            killed.append(back(application))
            tell(f"killed {number + 1} of 5, back after {killed[-1]:.1f} s")
        flow.join()
        keep_up(application)
        verdict, _ = finish(application, sender, load, 300)
        sent = len(sender.acked)
    note = f"ended and was started again {application.restarts} times"
    return [
        Row("R5", f"broker frozen {scale.frozen_s:.0f} s", 1, verdict, sent, thawed, note),
        Row("R5", "broker kill -9 while records flow", 5, verdict, sent, killed),
    ]


def flowing(ground: Ground, scale: Scale, queries: tuple[str, ...]) -> tuple[Application, Sender, Load]:
    """An application, and a load that flows for three times the outage."""
    application = ground.application("outage", queries, CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="10000")
    count = scale.per_s * (3 * scale.frozen_s + 30)
    load = Load(application.topics, minutes=60, trades_per_minute=int(count / 60), articles=60)
    return application, Sender(ground.bootstrap), load


def keep_up(application: Application) -> None:
    """Start it again if it has ended by itself."""
    assert application.process
    if application.process.poll() is not None:
        application.restarts += 1
        application.start()


def back(application: Application, timeout_s: float = 240) -> float:
    """Seconds until new rows are committed; it is started again where it ends."""
    began, before = time.monotonic(), bronze_count(application.lake)
    while bronze_count(application.lake) <= before:
        keep_up(application)
        assert time.monotonic() - began < timeout_s, f"no new rows for {timeout_s} s:\n{application.tail()}"
        time.sleep(0.5)
    return time.monotonic() - began


def disks_full(ground: Ground, tell: Tell) -> list[Row]:
    """R11: the disk of the checkpoints, of the lake, then of Kafka's log fills up."""
    return [_disk_full(ground, "checkpoints", tell), _disk_full(ground, "lake", tell), _kafka_full(ground, tell)]


def _disk_full(ground: Ground, what: str, tell: Tell) -> Row:
    """A loud end; with space again nothing is lost or doubled."""
    application = ground.application(f"full-{what}", LAKE_QUERIES)
    with small_disk(application.folder / what, DISK_MB) as disk:
        load, sender = (
            Load(application.topics, minutes=60, trades_per_minute=500, articles=30),
            Sender(ground.bootstrap),
        )
        half = len(load.records) // 2
        sender.send(load.records[:half])
        application.start()
        application.wait_for(lambda: bronze_count(application.lake) >= half)
        tell(f"the disk of {what} is full")
        fill(disk / "ballast")
        flow, began, verdict = sender.in_background(load.records[half:], 500), time.monotonic(), Verdict()
        try:
            code = application.wait_for_end(120)
        except subprocess.TimeoutExpired:
            code = 0
        ended_after = time.monotonic() - began
        application.kill()
        said = "No space left" in application.tail(200_000)
        if code == 0 or not said or ended_after > LOUD_S:
            verdict.add(f"ended with {code} after {ended_after:.0f} s:\n{application.tail()}", wrong=1)
        flow.join()
        (disk / "ballast").unlink()
        took = started(application)
        verdict.join(finish(application, sender, load)[0])
    note = f"ended with an error that says so after {ended_after:.1f} s, went on with space"
    return Row("R11", f"disk of the {what}, {DISK_MB} MB, full", 1, verdict, len(sender.acked), [took], note)


def _kafka_full(ground: Ground, tell: Tell) -> Row:
    """The broker ends; with space again it and the application go on, and whatever it acknowledged is there."""
    folder = ground.folder / "full-kafka"
    with small_disk(folder, DISK_MB) as disk, Broker.at(folder, ground.java_home, ground.jars) as broker:
        application = replace(ground, bootstrap=broker.kafka.bootstrap).application("full-log", LAKE_QUERIES)
        load = Load(application.topics, minutes=60, trades_per_minute=500, articles=30)
        sender = Sender(broker.kafka.bootstrap)
        flow = sender.in_background(load.records, len(load.records) / 60)
        started(application)
        tell("the disk of Kafka's log is full")
        fill(disk / "ballast")
        began = time.monotonic()
        while broker.running.is_running and time.monotonic() < began + 120:
            time.sleep(0.1)
        ended_after, verdict = time.monotonic() - began, Verdict()
        if ended_after > LOUD_S:
            verdict.add(f"the broker went on for {ended_after:.0f} s on a full disk", wrong=1)
        (disk / "ballast").unlink()
        broker.start()
        took = back(application)
        flow.join()
        keep_up(application)
        verdict.join(finish(application, sender, load)[0])
    ends = f"the application ended {application.restarts} times"
    note = f"the broker ended after {ended_after:.1f} s and was started with space; {ends}"
    return Row("R11", f"disk of Kafka's log, {DISK_MB} MB, full", 1, verdict, len(sender.acked), [took], note)


@contextlib.contextmanager
def small_disk(place: Path, size_mb: int) -> Iterator[Path]:
    """A disk of a few megabytes. Needs root; elsewhere the fault says so and counts as not done."""
    place.mkdir(parents=True)
    subprocess.run(
        [str(shutil.which("mount")), "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run([str(shutil.which("umount")), "-l", str(place)], check=True)


def fill(path: Path) -> None:
    """Write to a file until the disk has no space left."""
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 65_536)
