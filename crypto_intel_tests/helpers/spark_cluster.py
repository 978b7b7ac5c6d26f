"""A standalone Spark cluster on loopback: one master, workers of one core each."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pyspark

from crypto_intel.stack.ports import free_port

_HOME = Path(pyspark.__file__).parent
_CLASS = "org.apache.spark.deploy"


@dataclass
class Cluster:
    """The running cluster. `workers` are its worker processes, by number."""

    folder: Path
    java_home: Path
    port: int
    page: int
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def master(self) -> str:
        """Its URL."""
        return f"spark://127.0.0.1:{self.port}"

    def run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of its processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "JAVA_HOME": str(self.java_home),
            "SPARK_HOME": str(_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
        }
        with (self.folder / f"{name}.log").open("wb") as output:
            command = [str(_HOME / "bin" / "spark-class"), *arguments]
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def add_worker(self) -> None:
        """Start a worker with one core."""
        number = len(self.workers)
        where = ["--host", "127.0.0.1", "--webui-port", str(free_port()), "--work-dir", str(self.folder / "work")]
        size = ["--cores", "1", "--memory", "768m"]
        self.workers.append(self.run(f"worker-{number}", f"{_CLASS}.worker.Worker", *where, *size, self.master))

    def alive(self) -> int:
        """How many workers the master knows to be alive."""
        try:
            state = httpx.get(f"http://127.0.0.1:{self.page}/json/", timeout=5, trust_env=False).json()
        except (httpx.TransportError, ValueError):
            return 0
        return int(state["aliveworkers"])


@contextmanager
def spark_cluster(folder: Path, java_home: Path, workers: int = 2) -> Iterator[Cluster]:
    """A cluster whose workers have registered."""
    cluster = Cluster(folder, java_home, port := free_port(), free_port({port}))
    where = ["--host", "127.0.0.1", "--port", str(cluster.port), "--webui-port", str(cluster.page)]
    master = cluster.run("master", f"{_CLASS}.master.Master", *where)
    try:
        for _ in range(workers):
            cluster.add_worker()
        deadline = time.monotonic() + 300  # three JVMs on a busy machine
        while cluster.alive() < workers:
            assert master.poll() is None, (folder / "master.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the workers have not registered"
            time.sleep(0.3)
        yield cluster
    finally:
        for process in (*cluster.workers, master):
            process.terminate()
        for process in (*cluster.workers, master):
            process.wait(30)
