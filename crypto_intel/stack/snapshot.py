"""What the terminal view and `status --json` show, as plain data. Gathering is in watch.py, rendering in view.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from streaming.transforms.feeds import HEARTBEAT

Overall = Literal["running", "starting", "degraded", "stopped"]


UNWELL = ("disconnected", "failing")
"""States of a feed's streams that people should know of, worst first."""


class PartView(BaseModel):
    """One part. `state` is the supervisor's word, or `failed` when it was given up; `answers` None: not asked."""

    name: str
    state: str
    answers: bool | None = None
    uptime_s: float = 0
    rss_bytes: int = 0
    cores: float = 0
    restarts: int = 0
    detail: str = ""
    last_lines: list[str] = Field(default_factory=list, description="Of the log, where the part has failed.")

    @property
    def failed(self) -> bool:
        """True when the supervisor no longer tries."""
        return self.state in {"failed", "FATAL"}

    @property
    def well(self) -> bool:
        """True when it runs and, where it can be asked, answers."""
        return self.state == "RUNNING" and self.answers is not False


class Hop(BaseModel):
    """A count somewhere on the way from the source to the reader; None: it could not be read just now."""

    name: str
    count: int | None = None
    note: str = ""


class MarketLine(BaseModel):
    """The newest state of a market, as PostgreSQL serves it."""

    venue: str
    symbol: str
    price: float
    event_time: datetime
    trade_count: int
    change_1h_pct: float | None = None


class FeedLine(BaseModel):
    """A feed at its worst: of its streams, those that fail are named."""

    venue: str
    state: str
    detail: str = ""
    heartbeat_at: datetime | None = Field(default=None, description="Platform clock of its newest sign of life.")

    @property
    def well(self) -> bool:
        """True unless it is away or fails."""
        return self.state not in UNWELL


class AlertLine(BaseModel):
    """An alert."""

    raised_at: datetime
    severity: str
    symbol: str
    message: str


class QueryLine(BaseModel):
    """A streaming query's newest progress."""

    name: str
    batch_id: int
    rows_total: int
    rows_per_second: float | None = None
    batch_ms: int | None = None
    lag_records: int | None = None
    updated_at: datetime | None = Field(default=None, description="Wall clock of the report.")


class Snapshot(BaseModel):
    """The stack at one moment."""

    title: str
    source: str
    data_dir: str
    taken_at: datetime
    overall: Overall
    parts: list[PartView] = Field(default_factory=list)
    hops: list[Hop] = Field(default_factory=list)
    feeds: list[FeedLine] = Field(default_factory=list)
    markets: list[MarketLine] = Field(default_factory=list)
    alerts: list[AlertLine] = Field(default_factory=list)
    queries: list[QueryLine] = Field(default_factory=list)
    pages: dict[str, str] = Field(default_factory=dict)

    @property
    def failed(self) -> list[PartView]:
        """Parts that were given up."""
        return [part for part in self.parts if part.failed]

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all parts."""
        return sum(part.rss_bytes for part in self.parts)

    @property
    def cores(self) -> float:
        """Cores in use by all parts."""
        return sum(part.cores for part in self.parts)


def overall(parts: list[PartView]) -> Overall:
    """The stack in one word."""
    if not any(part.state in {"RUNNING", "STARTING", "BACKOFF"} for part in parts):
        return "stopped"
    if any(part.failed or part.answers is False for part in parts):
        return "degraded"
    # A part that can be asked and has not answered yet is still starting.
    return "running" if all(part.state == "RUNNING" for part in parts) else "starting"


def feed_lines(rows: list[dict[str, Any]]) -> list[FeedLine]:
    """Feeds from rows of public.feeds, sorted by venue."""
    by_venue: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_venue.setdefault(row["venue"], []).append(row)
    return [_feed(venue, own) for venue, own in sorted(by_venue.items())]


def _feed(venue: str, rows: list[dict[str, Any]]) -> FeedLine:
    streams = [row for row in rows if row["stream"] != HEARTBEAT]
    beat = next((row for row in rows if row["stream"] == HEARTBEAT), None)
    heartbeat_at = beat["event_time"] if beat else None
    for state in UNWELL:
        if bad := [row for row in streams if row["state"] == state]:
            told = "; ".join(f"{row['stream']}: {row['detail']}" for row in bad)
            return FeedLine(venue=venue, state=state, detail=told, heartbeat_at=heartbeat_at)
    if beat and beat["state"] == "ended":
        return FeedLine(venue=venue, state="ended", heartbeat_at=heartbeat_at)
    states = {row["state"] for row in streams}
    # A connection says more than a page that was asked for beside it.
    state = next((state for state in ("connected", "polled") if state in states), "alive")
    return FeedLine(venue=venue, state=state, heartbeat_at=heartbeat_at)
