"""Delta tables of a lake, opened once and brought up to date at each use: their logs alone, by delta-rs."""

from __future__ import annotations

import threading

from deltalake import DeltaTable

from crypto_intel.contracts.columns import Table


class OpenTables:
    """The tables; threads may share them.

    Args:
        root: folder or s3:// URI of the lake.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._tables: dict[Table, DeltaTable] = {}
        self._lock = threading.Lock()

    def newest(self, table: Table) -> DeltaTable:
        """The table at its newest version.

        Raises:
            TableNotFoundError: there is none.
        """
        with self._lock:
            if table not in self._tables:
                self._tables[table] = DeltaTable(table.path(self.root))
        at = self._tables[table]
        at.update_incremental()
        return at
