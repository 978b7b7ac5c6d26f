"""Runs that a command asks the stack's Dagster for, and waits for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.state import Folder

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient

LOCATION, REPOSITORY = "crypto_intel", "__repository__"
POLL_S = 1.0


class Ended(NamedTuple):
    """A run's end: its status in Dagster's word, how long it took, and its page."""

    status: str
    took_s: float
    address: str

    @property
    def is_success(self) -> bool:
        """It did what it was asked for."""
        return self.status == "SUCCESS"

    def __str__(self) -> str:
        return f"{self.status} after {self.took_s:.0f} s; {self.address}"


def run_job(
    folder: Folder,
    job: str,
    *,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
    timeout_s: float,
) -> Ended:
    """Ask for a run of a job and wait for its end.

    Raises:
        StackError: no stack with Dagster runs there, Dagster does not take the run, or it goes on for longer.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    state = folder.read()
    if state is None or "dagster" not in state.ports:
        raise StackError(f"no stack runs on {folder.root}", "start it first: crypto-intel up")
    port, began = state.ports["dagster"], time.monotonic()
    try:
        client = DagsterGraphQLClient(LOOPBACK, port_number=port)
        run_id = client.submit_job_execution(
            job,
            repository_location_name=LOCATION,
            repository_name=REPOSITORY,
            run_config=dict(run_config or {}),
            tags=dict(tags or {}),
        )
        status = _wait(client, run_id, timeout_s)
    except (DagsterGraphQLClientError, OSError) as error:
        raise StackError(f"Dagster does not take the run: {str(error)[:500]}") from error
    return Ended(status, time.monotonic() - began, f"http://{LOOPBACK}:{port}/runs/{run_id}")


def _wait(client: DagsterGraphQLClient, run_id: str, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while True:
        status = client.get_run_status(run_id).value
        if status in {"SUCCESS", "FAILURE", "CANCELED"}:
            return str(status)
        if time.monotonic() > deadline:
            raise StackError(f"run {run_id} is still {status} after {timeout_s:.0f} s", "it goes on; see Dagster")
        time.sleep(POLL_S)
