"""What the application stands on goes away: the broker, Redis, the disk.

PostgreSQL is postgres.py's, a second writer writers.py's.

An application that ends by itself with an error is started again, as its supervisor does.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import MARKETS, Load
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row

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


def redis_away(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """R10: Redis emptied, then down and back, while records flow."""
    with ground.own_stores() as (own, stores):
        application, sender, load = flowing(own, scale, SERVING)
        flow = sender.in_background(load.records, scale.per_s)
        started(application)
        application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
        client = redis.Redis.from_url(own.redis_url)
        client.flushall()
        client.close()
        refilled = application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
        stores.stop("cache")
        tell("Redis is down")
        went_on = back(application)
        time.sleep(scale.frozen_s / 4)
        stores.start("cache")
        flow.join()
        verdict, _ = finish(application, sender, load, 300)
    sent = len(sender.acked)
    return [
        Row("R10", "Redis emptied", 1, verdict, sent, [refilled]),
        Row("R10", "Redis down and back", 1, verdict, sent, [], f"the lake went on after {went_on:.1f} s"),
    ]


def _shown(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return sum(bool(client.exists(f"market:{market}")) for market in MARKETS)


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


def disk_full(ground: Ground, size_mb: int = 48) -> Row:
    """R11: the disk of lake and checkpoints fills up: a loud end; with space again nothing is lost or doubled."""
    with small_disk(ground.folder / "disk", size_mb) as disk:
        application = ground.application("disk", ("ingest", "bar_news"))
        application.folder = disk / "data"
        load = Load(application.topics, minutes=60, trades_per_minute=500, articles=30)
        sender = Sender(ground.bootstrap)
        half = len(load.records) // 2
        sender.send(load.records[:half])
        application.start()
        application.wait_for(lambda: bronze_count(application.lake) >= half)
        fill(disk / "ballast")
        sender.send(load.records[half:])
        verdict, began = Verdict(), time.monotonic()
        try:
            code = application.wait_for_end(120)
        except subprocess.TimeoutExpired:
            code = 0
        ended_after = time.monotonic() - began
        application.kill()
        if code == 0:
            verdict.add(f"did not end on a full disk:\n{application.tail()}", wrong=1)
        (disk / "ballast").unlink()
        took = started(application)
        verdict.join(finish(application, sender, load)[0])
    note = f"ended with an error after {ended_after:.1f} s"
    return Row("R11", "disk of lake and checkpoints full", 1, verdict, len(sender.acked), [took], note)


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
