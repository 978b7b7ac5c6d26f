"""What one producer process carries, with a real broker.

`python -m crypto_intel_tests.benchmarks.producer [speed] [latency] [outage]`; all three without a name.

speed: frames a second from the WebSocket to the broker's acknowledgement, the pump sending as fast as it is read.
latency: at 5,000 a second, receipt to a consumer's hand, which is later than the acknowledgement. outage: the broker is
stopped (SIGSTOP) for 60 s at 5,000 a second: memory, time to drain, ids in Kafka afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack import java
from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel.stack.kafka import KafkaServer, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel_tests.benchmarks.pump import BASES

SPEED_FRAMES = 1_000_000
RATE = 5_000
LATENCY_S = 30
OUTAGE_S = float(os.environ.get("OUTAGE_S", "60"))
MEBIBYTE = 1_048_576


@contextmanager
def process(*arguments: str, log: Path, **variables: str) -> Iterator[psutil.Process]:
    """A Python process of ours, ended with the block."""
    command = [sys.executable, "-m", *arguments]
    with log.open("wb") as output:
        child = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output)
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(90)


class Bench:
    """A broker with the topics of one run."""

    def __init__(self, folder: Path, bootstrap: str, broker_pid: int) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.broker = psutil.Process(broker_pid)

    @contextmanager
    def producing(self, rate: int, total: int, topics: Topics) -> Iterator[tuple[psutil.Process, Path]]:
        """Pump and producer; gives the producer and the pump's output."""
        ws, rest = free_port(), free_port()
        create_topics(self.bootstrap, topics.all)
        said = self.folder / f"pump-{topics.trades}.txt"
        variables = {
            "CRYPTO_INTEL_SOURCE": "live",
            "CRYPTO_INTEL_BINANCE__WS_URL": f"ws://127.0.0.1:{ws}",
            "CRYPTO_INTEL_BINANCE__REST_URL": f"http://127.0.0.1:{rest}",
            "CRYPTO_INTEL_BINANCE__QUOTES": "false",
            "CRYPTO_INTEL_REPAIR__HISTORY_MINUTES": "0",
            "CRYPTO_INTEL_KAFKA__BOOTSTRAP": self.bootstrap,
            **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in topics.model_dump().items()},
        }
        pump = ("crypto_intel_tests.benchmarks.pump", str(rate), str(total), str(ws), str(rest))
        log = self.folder / f"producer-{topics.trades}.log"
        with (
            process(*pump, log=said),
            process("streaming.producers", "binance", log=log, **variables) as producer,
        ):
            yield producer, said

    def records(self, topic: str) -> int:
        """Acknowledged records of a topic, heartbeats included."""
        consumer = self._consumer()
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in range(3)]
        consumer.close()
        return sum(ends)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 5,
                "log_level": 0,
            }
        )

    def trades(self, topic: str, total: int, patience_s: float) -> Iterator[tuple[float, dict[str, Any]]]:
        """Trades of a topic as they come, with the time at which they were in hand; until `total` or patience ends."""
        consumer = self._consumer()
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
        count, heard = 0, time.monotonic()
        while count < total and time.monotonic() - heard < patience_s:
            messages = consumer.consume(1_000, timeout=0.002)
            now = time.time()
            for message in messages:
                event = json.loads(message.value() or b"{}")
                if event.get("kind") == "trade":
                    count += 1
                    heard = time.monotonic()
                    yield now, event
        consumer.close()


def topics_of(name: str) -> Topics:
    """Topics of one run."""
    return Topics(**{field: f"{topic}_{name}" for field, topic in Topics().model_dump().items()})


def spoken(said: Path, word: str) -> float | None:
    """The time that the pump wrote behind a word, if it has."""
    found = [line.split()[1] for line in said.read_text().splitlines() if line.startswith(word)]
    return float(found[0]) if found else None


def report(**figures: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def whole(ids: dict[str, list[int]], total: int) -> dict[str, int]:
    """Ids that are lacking, and those that came twice, of all symbols."""
    each = total // len(BASES)
    lacking = sum(each - len(set(found)) for found in ids.values()) + each * (len(BASES) - len(ids))
    return {"lost": lacking, "repeated": sum(len(found) - len(set(found)) for found in ids.values())}


def speed(bench: Bench) -> None:
    """Frames a second at full speed."""
    topics = topics_of("speed")
    with bench.producing(0, SPEED_FRAMES, topics) as (producer, said):
        while (first := spoken(said, "first")) is None:
            time.sleep(0.05)
        before = sum(producer.cpu_times()[:2])
        while bench.records(topics.trades) < SPEED_FRAMES:
            time.sleep(0.05)
        took = time.time() - first
        cpu = sum(producer.cpu_times()[:2]) - before
        rss = producer.memory_info().rss
        ids: dict[str, list[int]] = {}
        for _, event in bench.trades(topics.trades, SPEED_FRAMES, 10):
            ids.setdefault(event["symbol"], []).append(event["trade_id"])
    report(
        what="speed",
        frames=SPEED_FRAMES,
        per_second=round(SPEED_FRAMES / took),
        producer_cpu_pct=round(100 * cpu / took),
        rss_mib=rss // MEBIBYTE,
        **whole(ids, SPEED_FRAMES),
    )


def latency(bench: Bench) -> None:
    """Receipt to a consumer's hand at 5,000 a second."""
    topics, total = topics_of("latency"), RATE * LATENCY_S
    with bench.producing(RATE, total, topics) as (producer, _):
        took = [now - event["received_at"] / 1e6 for now, event in bench.trades(topics.trades, total, 30)]
        rss = producer.memory_info().rss
    steady = sorted(took[2 * RATE :])  # the JVM's first seconds are not the matter
    at = {f"p{q}_ms": round(1000 * steady[int(len(steady) * q / 100)], 1) for q in (50, 99)}
    report(what="latency", per_second=RATE, trades=len(took), **at, rss_mib=rss // MEBIBYTE)


def outage(bench: Bench) -> None:
    """The broker stopped while trades flow."""
    topics, seconds = topics_of("outage"), OUTAGE_S + 20
    total = int(RATE * seconds)
    with bench.producing(RATE, total, topics) as (producer, said):
        while spoken(said, "first") is None or bench.records(topics.trades) < 5 * RATE:
            time.sleep(0.1)
        rss_before = producer.memory_info().rss
        bench.broker.send_signal(signal.SIGSTOP)
        highest, until = rss_before, time.monotonic() + OUTAGE_S
        try:
            while time.monotonic() < until:
                highest = max(highest, producer.memory_info().rss)
                time.sleep(0.5)
        finally:
            bench.broker.send_signal(signal.SIGCONT)
        back = time.monotonic()
        while bench.records(topics.trades) < RATE * (OUTAGE_S + 5):
            time.sleep(0.1)
        drained = time.monotonic() - back
        ids: dict[str, list[int]] = {}
        for _, event in bench.trades(topics.trades, total, 20):
            ids.setdefault(event["symbol"], []).append(event["trade_id"])
        alive = producer.is_running()
    report(
        what="outage",
        seconds=OUTAGE_S,
        per_second=RATE,
        rss_before_mib=rss_before // MEBIBYTE,
        rss_grown_mib=(highest - rss_before) // MEBIBYTE,
        drained_s=round(drained, 1),
        producer_alive=alive,
        **whole(ids, total),
    )


def main() -> None:
    """Run what was named, or all."""
    runs = {"speed": speed, "latency": latency, "outage": outage}
    home, port = java.find_java_home(), free_port()
    with tempfile.TemporaryDirectory(prefix="producer-bench-") as folder:
        jars = resolve_jars(default_folder(), home)
        broker = KafkaServer(Path(folder) / "kafka", port, free_port({port}), home, jars)
        broker.folder.mkdir()
        with broker.start() as server:
            server.wait_until_ready()
            bench = Bench(Path(folder), broker.bootstrap, server.pid)
            for name in sys.argv[1:] or runs:
                runs[name](bench)


if __name__ == "__main__":
    main()
