"""`crypto-intel rebuild`: a streaming query starts anew from its input; what it wrote stays, and is not doubled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

QueryName = Literal["ingest", "live", "publish", "bar_news"]

NEXT_START: dict[QueryName, str] = {
    "ingest": "reads all that Kafka has (bronze has the rest), builds its windows anew, adds to the lake what it lacks",
    "live": "reads Kafka from its first record; shows older prices until it has caught up, alerts keep their ids",
    "publish": "reads the streamed tables from their beginning and gives PostgreSQL what it lacks",
    "bar_news": "joins all bars and articles of the lake again, and adds only pairs that the lake lacks",
}
"""What each query does when it finds no checkpoint."""


def set_aside(folder: Folder, query: QueryName, now: datetime) -> Path:
    """Move a query's checkpoint to where no query looks, and return that place. Nothing is deleted.

    Raises:
        StackError: the stack runs on this folder, or the query has no checkpoint there.
    """
    from crypto_intel.stack.launch import exclusive  # slow to import, and no other command needs it

    if Supervisor(folder.socket).answers():
        raise StackError(f"a stack runs on {folder.root}", f"stop it first: crypto-intel down --data-dir {folder.root}")
    checkpoint = folder.root / "checkpoints" / query
    if not checkpoint.is_dir():
        raise StackError(
            f"{query} has no checkpoint in {checkpoint.parent}", "nothing is to be done: its next start is a first one"
        )
    aside = folder.root / "checkpoints.aside" / f"{query}-{now:%Y%m%dT%H%M%S.%fZ}"
    aside.parent.mkdir(exist_ok=True)
    with exclusive(folder):
        checkpoint.rename(aside)
    return aside


def rebuild(
    query: Annotated[QueryName, typer.Argument(help="The query to start anew.")],
    source: SourceOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Have a streaming query start anew: its checkpoint is moved aside, its rows in the lake stay.

    For a checkpoint that is damaged or of another version or setting. Only while the stack is stopped. Where Kafka no
    longer has all records, windows that were open at the stop get their trades from bronze.
    """
    aside = set_aside(folder_of(source, data_dir), query, datetime.now(UTC))
    typer.echo(f"moved the checkpoint of {query} to {aside}")
    typer.echo(f"at the next start {query} {NEXT_START[query]}")
