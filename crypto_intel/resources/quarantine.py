"""Guarantee: what was refused of a partition stands in silver.quarantine once, whole, as of the last refusal.

Refusing again replaces what the same refuser kept of the same partition; refusing nothing empties it.
"""

# No postponed annotations here: Dagster reads the field's type to know that `lake` is a resource.
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import SILVER_QUARANTINE
from crypto_intel.core.quarantine import Refuser, refused_rows
from crypto_intel.resources.delta_io import KEY_SEPARATOR, replace_partitions
from crypto_intel.resources.lake import Lake


class Quarantine(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Keeps refused rows."""

    lake: dg.ResourceDependency[Lake]

    def keep(self, table: Table, partition: str, refused: pl.DataFrame, by: Refuser) -> int:
        """Keep these and nothing else of the partition; returns how many are kept.

        Args:
            table: that they were meant for.
            partition: key of its partition; core.quarantine.WHOLE for a table without partitions.
            refused: the rows, with `reason`.
            by: who refused them.
        """
        if refused.is_empty() and not self._holds(table, partition, by):
            return 0
        rows = refused_rows(table, partition, refused, by=by, at=datetime.now(UTC))
        key = KEY_SEPARATOR.join((table.full_name, by, partition.replace(KEY_SEPARATOR, ".")))
        replace_partitions(self.lake, SILVER_QUARANTINE, rows, [key])
        return rows.height

    def _holds(self, table: Table, partition: str, by: Refuser) -> bool:
        kept = self.lake.scan(SILVER_QUARANTINE).filter(
            pl.col("table_name") == table.full_name,
            pl.col("refused_by") == by,
            pl.col("partition_key") == partition.replace(KEY_SEPARATOR, "."),
        )
        return not kept.head(1).collect().is_empty()
