"""The lake: Delta tables by contract, read lazily through delta-rs and Polars.

What belongs here: where tables are, whether they are there, reading them. What does not: writing (delta_io.py).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl
from dagster_deltalake import DeltaTableResource, LocalConfig, S3Config
from dagster_deltalake.config import ClientConfig
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from filelock import FileLock
from pydantic import PrivateAttr

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS
from crypto_intel.core.frames import UTC_US, empty_frame
from crypto_intel.settings import LakeStorage, PlatformSettings

LOCK_TIMEOUT_S = 300
"""A writer holds a table for the seconds of one partition's write; longer means that it hangs."""


@dataclass(frozen=True)
class TableFacts:
    """A Delta table at a version. `newest` is the greatest value of its time column, to the millisecond."""

    version: int
    rows: int
    files: int
    size_bytes: int
    newest: datetime | None


class Lake(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Reads any table of the lake; a table that is not there yet reads as empty.

    Args:
        root: folder or s3:// URI; empty: as the settings say.
    """

    root: str = ""

    def root_uri(self) -> str:
        """Root of the lake."""
        return self.root or PlatformSettings().lake_root

    def uri(self, table: Table) -> str:
        """Where a table stands."""
        return table.path(self.root_uri())

    def resource(self, table: Table, version: int | None = None) -> DeltaTableResource:
        """dagster-deltalake's view of a table, with the lake's storage options."""
        uri = self.uri(table)
        if not uri.startswith("s3://"):
            return DeltaTableResource(url=uri, storage_options=LocalConfig(), version=version)
        storage = PlatformSettings().lake_storage
        return DeltaTableResource(
            url=uri,
            storage_options=_s3(storage),
            client_options=ClientConfig(allow_http=storage.allow_http),
            version=version,
        )

    def storage_options(self, table: Table) -> dict[str, str]:
        """delta-rs' options for a table; on S3 they hold the secret, so never log them."""
        resource = self.resource(table)
        client = resource.client_options.str_dict() if resource.client_options else {}
        return {**resource.storage_options.str_dict(), **client}

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        """The Delta table, at its newest version or a given one; None while nobody has written it."""
        try:
            return self.resource(table, version).load()
        except TableNotFoundError:
            return None

    def scan(self, table: Table) -> pl.LazyFrame:
        """All rows, lazily: filters on partition columns and statistics decide which files are read."""
        delta = self.open(table)
        return empty_frame(table).lazy() if delta is None else pl.scan_delta(delta)

    def facts(self, table: Table) -> TableFacts | None:
        """What the table's log says of it, without reading its rows; None while nobody has written it."""
        delta = self.open(table)
        return None if delta is None else _facts(delta.version(), self._files(table, delta), table)

    def time_spans(self, table: Table) -> pl.DataFrame:
        """Oldest and newest value of the table's time column in each of its files, from its log: `oldest`, `newest`."""
        delta = self.open(table)
        if delta is None:
            return pl.DataFrame(schema={"oldest": UTC_US, "newest": UTC_US})
        return _spans(self._files(table, delta), table)

    def _files(self, table: Table, delta: DeltaTable) -> pl.DataFrame:  # a glance keeps them
        # A row a file, from the table's log: size, rows, partition, statistics.
        return pl.DataFrame(delta.get_add_actions(flatten=True))

    def glance(self) -> Lake:
        """This lake for the time of one look: the settings and each table's log are read once, and the table stays as
        it was then."""
        return _Glance(root=self.root_uri())

    def platform_time(self) -> datetime | None:
        """The platform clock as the lake knows it: the newest sign of life of any feed; None before the first."""
        facts = self.facts(BRONZE_FEED_STATUS)
        return facts.newest if facts else None

    def lock(self, table: Table) -> AbstractContextManager[object]:
        """One writer at a time for a table on a local disk, across processes; on S3 delta-rs' own commit decides.

        Raises:
            filelock.Timeout: another process held the table for LOCK_TIMEOUT_S.
        """
        uri = self.uri(table)
        if uri.startswith("s3://"):
            return nullcontext()
        path = Path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.parent / f".{path.name}.lock", timeout=LOCK_TIMEOUT_S)


class _Glance(Lake):
    _opened: dict[Table, DeltaTable | None] = PrivateAttr(default_factory=dict)
    _listed: dict[Table, pl.DataFrame] = PrivateAttr(default_factory=dict)

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        if version is not None:
            return super().open(table, version)
        if table not in self._opened:
            self._opened[table] = super().open(table)
        return self._opened[table]

    def _files(self, table: Table, delta: DeltaTable) -> pl.DataFrame:
        if table not in self._listed:
            self._listed[table] = super()._files(table, delta)
        return self._listed[table]


def _facts(version: int, files: pl.DataFrame, table: Table) -> TableFacts:
    return TableFacts(
        version=version,
        rows=int(files["num_records"].sum()),
        files=files.height,
        size_bytes=int(files["size_bytes"].sum()),
        newest=_spans(files, table)["newest"].max(),  # type: ignore[arg-type]
    )


def _spans(files: pl.DataFrame, table: Table) -> pl.DataFrame:
    names = {"oldest": f"min.{table.time_column}", "newest": f"max.{table.time_column}"}
    # A table without rows has no statistics, and so no such columns.
    bounds = [
        (pl.col(name) if name in files.columns else pl.lit(None)).cast(UTC_US).alias(alias)
        for alias, name in names.items()
    ]
    return files.select(bounds)


def _s3(storage: LakeStorage) -> S3Config:
    secret = storage.secret_access_key
    return S3Config(
        region=storage.region,
        endpoint=storage.endpoint,
        access_key_id=storage.access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
    )
