"""Dagster's home in the data folder: its storage is the stack's PostgreSQL, its code runs in a server of its own."""

from __future__ import annotations

import json
from pathlib import Path

from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.postgres import with_database

DATABASE = "dagster"
"""Apart from the platform's tables, so that the API's roles never see it."""

URL_VARIABLE = "CRYPTO_INTEL_DAGSTER_PG_URL"
"""The environment variable that holds the database's URI: the file holds no password."""

EVENT_BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
EVENT_BATCH = "500"
"""Events of a run over many partitions go to the database together: 1,598 one by one take most of a backfill."""


def storage_url(dsn: str) -> str:
    """The database's URI as Dagster needs it: its notifications work with psycopg2 alone, and SQLAlchemy 2.1 takes
    psycopg 3 unless told."""
    return with_database(dsn, DATABASE).replace("postgresql://", "postgresql+psycopg2://", 1)


_INSTANCE = f"""\
# Generated at every start; edits are lost.
run_storage:
  module: crypto_intel.resources.dagster_storage
  class: RunStorage
  config: {{postgres_url: {{env: {URL_VARIABLE}}}}}
event_log_storage:
  module: crypto_intel.resources.dagster_storage
  class: EventLog
  config: {{postgres_url: {{env: {URL_VARIABLE}}}}}
schedule_storage:
  module: crypto_intel.resources.dagster_storage
  class: ScheduleStorage
  config: {{postgres_url: {{env: {URL_VARIABLE}}}}}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {{dequeue_interval_seconds: 2}}
concurrency:
  # Two cores: one heavy run beside the stream, a light one that somebody waits for (a repair) beside both, and one that
  # waits for a venue.
  runs:
    max_concurrent_runs: 3
    tag_concurrency_limits:
      - key: crypto_intel/weight
        value: heavy
        limit: 1
      - key: crypto_intel/weight
        value: asking
        limit: 1
  # One step at a time writes a table, asks a venue, asks FRED, whoever launched it. By step and not by run: a repair
  # waits for an hour's write of the ledger, not for the hour.
  pools:
    granularity: op
    default_limit: 1
# A run whose process is gone (kill -9, a crash of the machine) is marked as failed: by its code server within seconds,
# or, where that is gone too, when the run's dagster/max_runtime is over, and then repeated. What it held of pools is
# free at the next look.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  cancel_timeout_seconds: 60
  max_runtime_seconds: 3600
  poll_interval_seconds: 10
  free_slots_after_run_end_seconds: 1
# A slow look of one sensor holds up no other.
sensors:
  use_threads: true
  num_workers: 4
run_retries:
  enabled: true
  max_retries: 0
retention:
  sensor:
    purge_after_days: {{skipped: 1, success: 7, failure: 30, started: 7}}
  schedule:
    purge_after_days: {{skipped: 1, success: 7, failure: 30, started: 7}}
telemetry:
  enabled: false
nux:
  enabled: false
"""
_WORKSPACE = """\
# Generated at every start; edits are lost.
load_from:
  - grpc_server:
      host: {host}
      port: {port}
      location_name: crypto_intel
"""


def write(home: Path, code_port: int) -> Path:
    """Write dagster.yaml and workspace.yaml; the workspace's path."""
    write_atomic(home / "dagster.yaml", _INSTANCE)
    workspace = home / "workspace.yaml"
    write_atomic(workspace, _WORKSPACE.format(host=json.dumps(LOOPBACK), port=code_port))
    return workspace
