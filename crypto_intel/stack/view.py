"""Renders a snapshot for a terminal: pure functions from data to rich renderables, no reading, no clock."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from crypto_intel.stack.snapshot import Hop, MarketLine, PartView, Snapshot

_COLOURS = {"RUNNING": "green", "STARTING": "yellow", "BACKOFF": "yellow", "STOPPING": "yellow", "STOPPED": "dim"}
_SEVERITIES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}


WIDE = 136
"""Columns from which tables stand side by side; below, one above the other, so that nothing is cut."""

TALL = 40
"""Rows that everything fits into; a lower terminal shows fewer markets, and its last lines stay in sight."""


def render(snapshot: Snapshot, note: str = "", *, width: int = WIDE, height: int = TALL) -> RenderableType:
    """The whole view; `note` is what is going on (starting, draining, stopping)."""
    body = _side_by_side([_parts(snapshot), _hops(snapshot.hops)], width)
    shown = max(2, len(snapshot.markets) - max(0, TALL - height))
    lower = [_markets(snapshot.markets[:shown])] if snapshot.markets else []
    if snapshot.queries and (width >= WIDE or height >= TALL):
        lower.append(_queries(snapshot))
    body += _side_by_side(lower, width) if lower else []
    body += [*_feeds(snapshot), _alerts(snapshot), _pages(snapshot), *_failures(snapshot)]
    if note:
        body.append(Text(note, style="bold"))
    title = f" crypto-intel  {snapshot.title}  {snapshot.overall.upper()} "
    return Panel(Group(*body), title=title, title_align="left", border_style=_border(snapshot))


def _side_by_side(tables: list[Table], width: int) -> list[RenderableType]:
    if width < WIDE or len(tables) < 2:
        return list(tables)
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(ratio=5)
    grid.add_column(ratio=4)
    grid.add_row(*tables)
    return [grid]


def as_svg(snapshot: Snapshot, width: int = 140) -> str:
    """One frame as an SVG picture."""
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(snapshot))
    # A fixed id, so that the same frame gives the same bytes.
    return console.export_svg(title="crypto-intel up", unique_id="crypto-intel")


def as_text(snapshot: Snapshot, note: str = "", width: int = 140) -> str:
    """The view without colours."""
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(render(snapshot, note))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def one_line(snapshot: Snapshot) -> str:
    """The stack in one line, for logs."""
    running = sum(part.well for part in snapshot.parts)
    counts = [f"{hop.name} {number(hop.count)}" for hop in snapshot.hops if hop.count is not None]
    words = [snapshot.overall, f"{running} of {len(snapshot.parts)} parts well", *counts]
    words += [f"FAILED: {part.name}" for part in snapshot.failed]
    return " | ".join(words)


def number(count: int | None) -> str:
    """`12 345`, with thin groups; a dash for unknown."""
    return "-" if count is None else f"{count:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """`4 s`, `3 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _border(snapshot: Snapshot) -> str:
    colours = {"running": "green", "starting": "yellow", "degraded": "red", "stopped": "dim"}
    return colours[snapshot.overall]


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    return table


def _parts(snapshot: Snapshot) -> Table:
    table = _table(("part", "left"), ("state", "left"), ("up", "right"), ("MiB", "right"), ("cores", "right"))
    table.add_column("restarts", justify="right", no_wrap=True)
    for part in snapshot.parts:
        table.add_row(
            part.name,
            _state(part, snapshot),
            duration(part.uptime_s) if part.uptime_s else "",
            f"{part.rss_bytes / 2**20:.0f}" if part.rss_bytes else "",
            f"{part.cores:.2f}" if part.rss_bytes else "",
            str(part.restarts) if part.restarts else "",
        )
    total = f"{snapshot.rss_bytes / 2**20:.0f}"
    table.add_row("all", "", "", total, f"{snapshot.cores:.2f}", "", style="bold")
    return table


def _state(part: PartView, snapshot: Snapshot) -> Text:
    if part.state == "STOPPED" and snapshot.overall == "starting":
        return Text("waits", style="dim")
    if part.failed:
        return Text("failed", style="bold red")
    if part.state == "RUNNING" and part.answers is False:
        return Text("no answer", style="bold red")
    return Text(part.state.lower(), style=_COLOURS.get(part.state, "red"))


def _hops(hops: list[Hop]) -> Table:
    table = _table(("hop", "left"), ("rows", "right"), ("", "left"))
    for hop in hops:
        bad = hop.name in {"rejected", "gaps open"} and hop.count
        table.add_row(hop.name, number(hop.count), Text(hop.note, style="dim"), style="yellow" if bad else "")
    return table


def _markets(markets: list[MarketLine]) -> Table:
    table = _table(("market", "left"), ("price", "right"), ("trades", "right"), ("1 h", "right"))
    table.add_column("newest", justify="left", no_wrap=True)
    for market in markets:
        table.add_row(
            f"{market.venue} {market.symbol}",
            f"{market.price:.8g}",
            str(market.trade_count),
            _change(market),
            market.event_time.strftime("%m-%d %H:%M:%S"),
        )
    return table


def _change(market: MarketLine) -> Text:
    if market.change_1h_pct is None:
        return Text("-", style="dim")
    return Text(f"{market.change_1h_pct:+.2f} %", style="green" if market.change_1h_pct >= 0 else "red")


def _queries(snapshot: Snapshot) -> Table:
    table = _table(("query", "left"), ("batch", "right"), ("rows", "right"), ("rows/s", "right"))
    for name in ("ms", "behind"):
        table.add_column(name, justify="right", no_wrap=True)
    for query in snapshot.queries:
        rate = "-" if query.rows_per_second is None else f"{query.rows_per_second:.0f}"
        table.add_row(
            query.name,
            str(query.batch_id),
            number(query.rows_total),
            rate,
            number(query.batch_ms),
            number(query.lag_records),
        )
    return table


def _feeds(snapshot: Snapshot) -> list[RenderableType]:
    well = [feed for feed in snapshot.feeds if feed.well]
    lines: list[RenderableType] = []
    if well:
        told = "   ".join(f"{feed.venue} {feed.state}" for feed in well)
        lines.append(Text.assemble(("feeds  ", "bold"), (told, "green")))
    for feed in snapshot.feeds:
        if not feed.well:
            lines.append(
                Text(f"{feed.venue} {feed.state}  {feed.detail}", style="red", no_wrap=True, overflow="ellipsis")
            )
    return lines


def _alerts(snapshot: Snapshot) -> RenderableType:
    if not snapshot.alerts:
        return Text("no alerts yet", style="dim")
    lines = Table.grid(padding=(0, 2))
    for alert in snapshot.alerts:
        severity = Text(alert.severity, style=_SEVERITIES.get(alert.severity, ""))
        lines.add_row(alert.raised_at.strftime("%H:%M:%S"), severity, alert.symbol, alert.message)
    return lines


def _pages(snapshot: Snapshot) -> Text:
    return Text("   ".join(f"{name} {address}" for name, address in snapshot.pages.items()), style="blue")


def _failures(snapshot: Snapshot) -> list[RenderableType]:
    return [
        Panel("\n".join(part.last_lines) or part.detail, title=f"{part.name} failed; its last lines", style="red")
        for part in snapshot.failed
    ]
