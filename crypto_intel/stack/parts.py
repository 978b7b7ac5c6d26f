"""The parts of the stack: what each runs, what it needs to have started before, and how it is asked whether it is well.

One place for the list: the supervisor's configuration, the order of start and stop, `status`, `logs` and the terminal
view all derive from it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto_intel.contracts.settings import Source
from crypto_intel.stack import dagster_home
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.feeds import SIMULATED_RSS, TRADES, producers, ws_paths
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.kafka import KafkaServer
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.postgres import PostgresServer
from crypto_intel.stack.probes import Probe
from crypto_intel.stack.process import Command, tied_to_parent
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.state import Folder, StackState
from crypto_intel.stack.valkey import ValkeyServer

STORES = ("kafka", "postgres", "valkey")
SIMULATED = ("simulator",)
SERVING = ("api", "dashboard", "exporter")
DAGSTER = ("dagster-code", "dagster-webserver", "dagster-daemon")
PRODUCERS = (*(f"producer-{venue}" for venue in TRADES), "producer-pollers")
"""All that there can be; a recording needs those of its venues."""

START_WAVES: tuple[tuple[str, ...], ...] = (STORES, SIMULATED, ("spark",), PRODUCERS, SERVING, DAGSTER)
"""Each wave answers before the next one starts (but Spark, which reads from the earliest offset anyway)."""

STOP_WAVES: tuple[tuple[str, ...], ...] = (
    PRODUCERS,
    (*SIMULATED, *SERVING, *DAGSTER),
    ("spark",),
    ("valkey",),
    ("postgres",),
    ("kafka",),
)
"""Who writes stops before whom it writes to."""

ALL = tuple(name for wave in START_WAVES for name in wave)


@dataclass(frozen=True)
class Part:
    """One supervised process.

    `metrics_port`: where it shows its figures, if it does; in the environment of this part alone.
    `stops_group`: its children get the stop signal too; False where the process stops its children in order itself.
    `steady_s`: a part that ends sooner failed to start. `stop_s`: how long it may take to stop before it is killed.
    """

    name: str
    command: Command
    probe: Probe | None = None
    stops_group: bool = True
    steady_s: int = 5
    stop_s: int = 15
    optional: bool = False
    metrics_port: int | None = None

    @property
    def priority(self) -> int:
        """The supervisor stops high ones first, where it has to stop by itself."""
        wave = next(index for index, names in enumerate(STOP_WAVES) if self.name in names)
        return 100 - 10 * wave


@dataclass(frozen=True)
class Servers:
    """The three stores of a data folder."""

    kafka: KafkaServer
    postgres: PostgresServer
    valkey: ValkeyServer

    @classmethod
    def of(
        cls, folder: Folder, ports: Mapping[str, int], settings: StackSettings, java_home: Path, jars: Jars
    ) -> Servers:
        """The stores on these ports."""
        return cls(
            KafkaServer(
                folder.root / "kafka",
                ports["kafka"],
                ports["kafka_controller"],
                java_home,
                jars,
                settings.kafka_heap_mb,
            ),
            PostgresServer(folder.root / "postgres", ports["postgres"]),
            ValkeyServer(folder.root / "valkey", ports["valkey"]),
        )


def build_parts(state: StackState, folder: Folder, servers: Servers) -> list[Part]:
    """Every part that this source needs, in order of start. Only paths and ports: no secret is in a command line."""
    ports = state.ports
    parts = [
        Part("kafka", servers.kafka.command(), Probe(kind="tcp", port=ports["kafka"]), steady_s=2, stop_s=30),
        # Only the postmaster is told to stop: it ends its own children in order.
        Part(
            "postgres",
            servers.postgres.command(),
            Probe(kind="postgres", port=ports["postgres"]),
            stops_group=False,
            steady_s=1,
            stop_s=30,
        ),
        Part("valkey", servers.valkey.command(), Probe(kind="redis", port=ports["valkey"]), steady_s=1, optional=True),
    ]
    if state.source != "live":
        probe = Probe(kind="http", port=ports["simulator_rest"], path="/health")
        parts.append(Part("simulator", _python("-m", "streaming.simulator"), probe))
    # Python stops the queries and then its JVM in order, so the JVM must not get the signal first.
    spark = Probe(kind="tcp", port=ports["spark"], grace_s=90)
    queries = _python("-m", "streaming.jobs")
    parts.append(
        Part("spark", queries, spark, stops_group=False, steady_s=15, stop_s=35, metrics_port=ports["metrics"])
    )
    parts += [
        Part(name, _python("-m", "streaming.producers", *feeds), metrics_port=ports[_metrics_of(name)])
        for name, feeds in producers(state).items()
    ]
    parts += _serving(ports)
    return parts + _dagster(ports, dagster_home.write(folder.root / "dagster", ports["dagster_code"]))


def _metrics_of(producer: str) -> str:
    # producer-binance -> metrics_binance
    return producer.replace("producer-", "metrics_")


def _serving(ports: Mapping[str, int]) -> list[Part]:
    # Whether the process answers, not its database: starting it anew would not bring that back.
    alive = Probe(kind="http", port=ports["api"], path="/api/v1/health/live", grace_s=90)
    pages = Probe(kind="http", port=ports["dashboard"], path="/_stcore/health", grace_s=90)
    told = Probe(kind="http", port=ports["exporter"], path="/metrics", grace_s=60)
    return [
        Part("api", _python("-m", "crypto_intel.serving.api"), alive, metrics_port=ports["metrics_api"]),
        Part("dashboard", _python("-m", "crypto_intel.serving.dashboard"), pages, optional=True),
        Part(
            "exporter",
            _python("-m", "crypto_intel.exporter"),
            told,
            optional=True,
            metrics_port=ports["exporter"],
        ),
    ]


def _dagster(ports: Mapping[str, int], workspace: Path) -> list[Part]:
    code, page = str(ports["dagster_code"]), str(ports["dagster"])
    serve = _python("-m", "dagster", "api", "grpc", "-m", "crypto_intel.definitions", "-h", LOOPBACK, "-p", code)
    page_command = _python("-m", "dagster_webserver", "-h", LOOPBACK, "-p", page, "-w", str(workspace))
    return [
        Part("dagster-code", serve, Probe(kind="tcp", port=ports["dagster_code"], grace_s=90), steady_s=10, stop_s=30),
        Part(
            "dagster-webserver",
            page_command,
            Probe(kind="http", port=ports["dagster"], path="/server_info", grace_s=90),
            steady_s=10,
        ),
        Part("dagster-daemon", _python("-m", "dagster._daemon", "run", "-w", str(workspace)), steady_s=10),
    ]


def _python(*arguments: str) -> Command:
    return Command(tied_to_parent([sys.executable, *arguments]))


def environment(
    state: StackState, folder: Folder, servers: Servers, settings: StackSettings, outer: Mapping[str, str]
) -> dict[str, str]:
    """What the stack adds to the environment of its processes; secrets are only here, never in a file or argv."""
    ports = state.ports
    local_dsn = servers.postgres.dsn
    own = {
        "JAVA_HOME": str(servers.kafka.java_home),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "DAGSTER_HOME": str(folder.root / "dagster"),
        "CRYPTO_INTEL_STACK": state.stack_id,
        "CRYPTO_INTEL_STACK_POSTGRES_DSN": local_dsn,
        "CRYPTO_INTEL_SOURCE": state.source,
        "CRYPTO_INTEL_DATA_DIR": str(folder.root),
        "CRYPTO_INTEL_KAFKA__BOOTSTRAP": servers.kafka.bootstrap,
        "CRYPTO_INTEL_POSTGRES_DSN": serving_dsn(state.source, local_dsn, settings),
        "CRYPTO_INTEL_REDIS_URL": servers.valkey.url,
        "CRYPTO_INTEL_DAGSTER_URL": f"http://{LOOPBACK}:{ports['dagster']}",
        "CRYPTO_INTEL_API__PORT": str(ports["api"]),
        "CRYPTO_INTEL_DASHBOARD__PORT": str(ports["dashboard"]),
        "CRYPTO_INTEL_SPARK__JARS": str(servers.kafka.jars.spark),
        "CRYPTO_INTEL_SPARK__DRIVER_MEMORY": settings.spark.driver_memory,
        "CRYPTO_INTEL_SPARK__UI_PORT": str(ports["spark"]),
        dagster_home.URL_VARIABLE: dagster_home.storage_url(local_dsn),
        dagster_home.EVENT_BATCH_VARIABLE: dagster_home.EVENT_BATCH,
    }
    if state.source == "live":
        return {**own, **_keys(settings)}
    return {**_without_supabase(outer), **_open_reads(outer), **own, **_simulated(state)}


def serving_dsn(source: Source, local: str, settings: StackSettings) -> str:
    """Where served rows go: live data to the user's Supabase or PostgreSQL if one is set, all else stays local.

    Simulated and replayed rows never leave this machine: they would look like real ones in a shared database.
    """
    if source == "live" and settings.postgres_dsn is not None:
        return settings.postgres_dsn.get_secret_value()
    return local


def _simulated(state: StackState) -> dict[str, str]:
    rest = f"http://{LOOPBACK}:{state.ports['simulator_rest']}"
    ws = f"ws://{LOOPBACK}:{state.ports['simulator_ws']}"
    own = {
        "CRYPTO_INTEL_CLOCK_URL": f"{rest}/sim/clock",
        **{f"CRYPTO_INTEL_{venue.upper()}__WS_URL": f"{ws}{path}" for venue, path in ws_paths(state).items()},
        **{f"CRYPTO_INTEL_{venue.upper()}__REST_URL": rest for venue in TRADES},
        "CRYPTO_INTEL_KRAKEN__REST_PER_S": "20",
        "CRYPTO_INTEL_COINGECKO__URL": rest,
        "CRYPTO_INTEL_ALPHAVANTAGE__URL": rest,
        "CRYPTO_INTEL_ALPHAVANTAGE__KEY": "simulated",
        "CRYPTO_INTEL_RSS__FEEDS": ",".join(f"{name}={rest}/rss/{key}.xml" for key, name in SIMULATED_RSS.items()),
        "CRYPTO_INTEL_NEWSAPI__URL": rest,
        "CRYPTO_INTEL_NEWSAPI__KEY": "simulated",
        "CRYPTO_INTEL_FRED__URL": rest,
        "CRYPTO_INTEL_FRED__API_KEY": "simulated",
        "CRYPTO_INTEL_SIMULATOR__WS_PORT": str(state.ports["simulator_ws"]),
        "CRYPTO_INTEL_SIMULATOR__REST_PORT": str(state.ports["simulator_rest"]),
        "CRYPTO_INTEL_SIMULATOR__SEED": str(state.seed),
        "CRYPTO_INTEL_SIMULATOR__ORIGIN": state.origin.isoformat(),
        "CRYPTO_INTEL_SIMULATOR__SPEED": f"{state.speed:g}",
    }
    return own | ({"CRYPTO_INTEL_SIMULATOR__CAPTURE": str(state.capture)} if state.capture else {})


def _keys(settings: StackSettings) -> dict[str, str]:
    keys = {
        "CRYPTO_INTEL_NEWSAPI__KEY": settings.newsapi_key,
        "CRYPTO_INTEL_FRED__API_KEY": settings.fred_api_key,
        "CRYPTO_INTEL_COINGECKO__KEY": settings.coingecko_api_key,
        "CRYPTO_INTEL_ALPHAVANTAGE__KEY": settings.alphavantage_api_key,
    }
    return {name: key.get_secret_value() for name, key in keys.items() if key}


def _open_reads(outer: Mapping[str, str]) -> dict[str, str]:
    # Simulated and replayed data is nobody's secret, and the API listens on loopback: no key is needed to look at it.
    name = "CRYPTO_INTEL_API__OPEN_READS"
    return {} if name in outer else {name: "true"}


def _without_supabase(outer: Mapping[str, str]) -> dict[str, str]:
    return {name: "" for name in ("SUPABASE_DB_URL", "SUPABASE_URL", "SUPABASE_KEY") if name in outer}


def select(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The parts of these names, in their own order."""
    return [part for part in parts if part.name in names]


def leave_out(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The parts but those whose name begins with one of `names`.

    Raises:
        StackError: no part begins so, or nothing works without it.
    """
    for name in names:
        if not name or not any(part.name.startswith(name) for part in parts):
            raise StackError(f"no part '{name}'", f"there are: {', '.join(part.name for part in parts)}")
        if any(needed.startswith(name) for needed in ("kafka", "postgres")):
            raise StackError(f"nothing works without '{name}'", "leave out another part")
    return [part for part in parts if not part.name.startswith(tuple(names))] if names else list(parts)
