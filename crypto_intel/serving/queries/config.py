"""What people set: tracked coins, how long rows are kept, and who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crypto_intel.contracts.serving import COINS
from crypto_intel.serving.queries.query import Order, Query, Select, column

RETENTION_COLUMNS = (
    column("table_name", "string", "Table, as schema.table."),
    column("keep_days", "int", "Days that its rows are kept, counted from the newest event."),
    column("changed_at", "timestamp", "When this was last changed."),
)
AUDIT_COLUMNS = (
    column("audit_id", "bigint", "In order of the changes."),
    column("changed_at", "timestamp", "When."),
    column("actor", "string", "Who: key:<key id>, user:<subject>, a part of the platform, role:<login>."),
    column("table_name", "string", "What was changed, as schema.table."),
    column("action", "string", "insert, update or delete."),
    column("row_key", "string", "Values of the row's key, joined by a slash."),
    column("before", "string", "The row before, as JSON; null for a new one.", nullable=True),
    column("after", "string", "The row after, as JSON; null for one that is gone.", nullable=True),
)


@dataclass(frozen=True)
class AuditFilter:
    """Which changes, made in [start, end)."""

    table_name: str | None = None
    actor: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 100
    cursor: str | None = None


def coins() -> Query:
    """Markets that are followed, or were."""
    text = Select("coins", COINS.columns, "public.coins").text("ORDER BY venue, symbol LIMIT 10000")
    return Query("coins", text, {}, COINS.columns)


def retention() -> Query:
    """How long rows are kept."""
    text = Select("retention", RETENTION_COLUMNS, "ops.retention").text("ORDER BY table_name LIMIT 1000")
    return Query("retention", text, {}, RETENTION_COLUMNS)


def audit(wanted: AuditFilter) -> Query:
    """Changes of what people set, by their order."""
    source = """(SELECT audit_id, changed_at, actor, table_name, action, row_key, before::text AS before,
      after::text AS after FROM ops.audit) audit"""
    select = Select("audit", AUDIT_COLUMNS, source)
    for name in ("table_name", "actor"):
        select = select.filter_given(f"{name} = %({name})s", **{name: getattr(wanted, name)})
    select = select.filter_given("changed_at >= %(start)s", start=wanted.start)
    select = select.filter_given("changed_at < %(end)s", end=wanted.end)
    return select.keyset(("audit_id",), order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)
