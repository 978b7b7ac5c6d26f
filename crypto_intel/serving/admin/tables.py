"""The tables behind the pages, as SQLAlchemy's classes. Those that are served derive from the contracts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Float, Integer, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from crypto_intel.contracts.serving import ALERT_RULES, COINS, ServedTable

_TYPES: dict[str, Any] = {
    "string": Text,
    "bigint": BigInteger,
    "int": Integer,
    "double": Float,
    "boolean": Boolean,
    "timestamp": lambda: DateTime(timezone=True),
    "array<string>": lambda: ARRAY(Text),
}


class Base(DeclarativeBase):
    """Of all of them."""


def _served(table: ServedTable, **defaults: Any) -> Table:
    columns: list[Column[Any]] = [
        Column(
            found.name,
            _TYPES[found.type](),
            primary_key=found.name in table.key,
            nullable=found.nullable,
            default=defaults.get(found.name),
            comment=found.doc,
        )
        for found in table.columns
    ]
    return Table(table.name, Base.metadata, *columns, schema="public")


class Coin(Base):
    """A market that is followed, or was."""

    __table__ = _served(COINS, is_tracked=True, note="", changed_at=func.now())


class Rule(Base):
    """An alert rule in force."""

    __table__ = _served(ALERT_RULES, enabled=True, revision=1, changed_at=func.now())


class Key(Base):
    """A key of the API, without the key."""

    __table__ = Table(
        "api_keys",
        Base.metadata,
        Column("key_id", Text, primary_key=True, comment="Public part of the key."),
        Column("secret_sha256", LargeBinary, nullable=False),
        Column("name", Text, nullable=False, comment="What or whom it is for."),
        Column("scopes", ARRAY(Text), nullable=False, comment="read, alerts, predictions, admin."),
        Column("rate_per_minute", Integer, comment="Requests a minute; empty: as the API is set."),
        Column("created_at", DateTime(timezone=True), default=func.now()),
        Column("expires_at", DateTime(timezone=True), comment="From then on it is refused; empty: never."),
        Column("revoked_at", DateTime(timezone=True), comment="From then on it is refused."),
        schema="ops",
    )


class Retention(Base):
    """How long the rows of a table are kept."""

    __table__ = Table(
        "retention",
        Base.metadata,
        Column("table_name", Text, primary_key=True, comment="Table, as schema.table."),
        Column("time_column", Text, nullable=False, comment="Column that tells a row's age."),
        Column("keep_days", Integer, nullable=False, comment="Days, counted from the newest event."),
        Column("changed_at", DateTime(timezone=True)),
        schema="ops",
    )


class Change(Base):
    """A change of any of these."""

    __table__ = Table(
        "audit",
        Base.metadata,
        Column("audit_id", BigInteger, primary_key=True),
        Column("changed_at", DateTime(timezone=True)),
        Column("actor", Text),
        Column("table_name", Text),
        Column("action", Text),
        Column("row_key", Text),
        Column("before", JSONB),
        Column("after", JSONB),
        schema="ops",
    )
