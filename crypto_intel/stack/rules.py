"""`crypto-intel rules ...`: what is in force, whether a file fits, and when a rule would have fired.

What belongs here: options, reading the lake's past, tables for people. What does not: what a rule is
(contracts/rules.py), and judging the past (streaming/transforms/rules/past.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of

if TYPE_CHECKING:
    from crypto_intel.contracts.rules import AlertRule
    from streaming.transforms.rules.past import Told

app = typer.Typer(name="rules", no_args_is_help=True, help="Alert rules: list, check a file, test one on the past.")

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="Rules of this file; default: those in force."),
]


@app.command("list", epilog="`crypto-intel rules list`")
def list_(file: FileOption = None, source: SourceOption = None, data_dir: DataDirOption = None) -> None:
    """Show the rules in force."""
    from rich.console import Console
    from rich.table import Table

    from crypto_intel.contracts.rules import row_of

    with _settings(source, data_dir):
        rules, origin = _rules(file)
    table = Table(title=f"rules of {origin}", title_justify="left")
    names = ("rule", "family", "threshold", "unit", "window_s", "baseline_minutes", "cooldown_s", "markets", "enabled")
    for name in names:
        table.add_column(name)
    for row in map(row_of, rules):
        table.add_row(*("" if row[name] in (None, []) else str(row[name]) for name in names))
    Console().print(table)


@app.command(epilog="`crypto-intel rules check my_rules.yaml`")
def check(file: Annotated[Path, typer.Argument(help="The file.")]) -> None:
    """Say whether a file of rules and routes fits, and if not, which field and what is allowed."""
    config = _of_file(file)
    typer.echo(f"{file}: {len(config.rules)} rules and {len(config.routes)} routes fit")


@app.command(epilog="`crypto-intel rules test price_move --from 2026-11-20 --set move_pct=0.4`")
def test(
    *,
    rule: Annotated[str, typer.Argument(help="Its name.")],
    start: Annotated[
        datetime | None, typer.Option("--from", help="Event time in UTC; default: a day before --to.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", help="Event time in UTC, exclusive; default: the newest trade.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE instead of the rule's. Repeatable.")
    ] = None,
    file: FileOption = None,
    source: SourceOption = None,
    data_dir: DataDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """When would a rule have fired, by what was known at each moment, and how often a day?

    Every record goes through the stream's own fold in the order in which Kafka got it. Nothing is written.
    """
    with _settings(source, data_dir) as lake:
        rules, origin = _rules(file)
        wanted = _changed(_named(rules, rule, origin), change or [])
        span = _span(lake, start, end)
        told = _replayed(lake, [wanted, *(one for one in rules if one.family == "ids_missing")], span)
    found = [one for one in told if _is_of(one, wanted) and span[0] <= _at(one.fired.at) < span[1]]
    if as_json:
        typer.echo(json.dumps([_json(one) for one in found]))
    else:
        _show(wanted, found, span)


@contextmanager
def _settings(source: Any, data_dir: Path | None) -> Iterator[str]:
    # The environment of a local stack where one has run, else as it is; gives the lake's root.
    from crypto_intel.contracts.settings import Settings
    from crypto_intel.stack.launch import attach, environment_of
    from crypto_intel.stack.settings import load_settings

    folder = folder_of(source, data_dir)
    if folder.read() is not None:
        with environment_of(attach(folder, load_settings(), lambda _: None)):
            yield Settings().lake_root
    else:
        yield str(data_dir / "lake") if data_dir else Settings().lake_root


def _rules(file: Path | None) -> tuple[Sequence[AlertRule], str]:
    # Those of the file that is named; else those of the table; else of the file that the settings name.
    from crypto_intel.contracts.rules import BadRulesError
    from crypto_intel.contracts.settings import Settings
    from streaming.errors import StreamingError
    from streaming.sinks.rules import RuleTable

    settings = Settings()
    if file is None and settings.postgres_dsn is not None:
        table = RuleTable(settings.postgres_dsn)
        try:
            if rules := table.read():
                return rules, "public.alert_rules"
        except (StreamingError, BadRulesError) as error:
            typer.echo(f"the rules in force can not be read: {error}", err=True)
        finally:
            table.close()
    file = file or settings.rules_file
    return _of_file(file).rules, str(file or "the project")


def _of_file(file: Path | None) -> Any:
    from crypto_intel.contracts.rules import BadRulesError, load_alert_config

    try:
        return load_alert_config(file)
    except BadRulesError as error:
        raise StackError(
            str(error), "mend the file; crypto_intel/contracts/alert_rules.yaml is one that fits"
        ) from None


def _named(rules: Sequence[AlertRule], name: str, origin: str) -> AlertRule:
    for rule in rules:
        if rule.name == name:
            return rule
    raise StackError(f"{origin} has no rule {name}", f"there are {', '.join(rule.name for rule in rules)}")


def _changed(rule: AlertRule, changes: Sequence[str]) -> AlertRule:
    from crypto_intel.contracts.rules import BadRulesError, read_alert_config

    given = dict(change.partition("=")[::2] for change in changes)
    content = {**rule.model_dump(mode="json", exclude_none=True), "enabled": True, **given}
    try:  # JSON is YAML
        (changed,) = read_alert_config(json.dumps({"rules": [content]}), "--set").rules
    except BadRulesError as error:
        raise StackError(str(error), "") from None
    return changed


def _span(lake: str, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    import polars as pl
    from deltalake.exceptions import TableNotFoundError

    from crypto_intel.contracts.tables import BRONZE_TRADES
    from streaming.sinks.delta import Lake

    if end is None:
        try:
            newest = Lake(lake).read(BRONZE_TRADES).select(pl.max("event_time")).collect().item()
        except TableNotFoundError:
            newest = None
        if newest is None:
            raise StackError(f"no trades in {lake}", "name a --data-dir, or start a stack: crypto-intel up")
        until = newest + timedelta(microseconds=1)
    else:
        until = _utc(end)
    since = _utc(start) if start else until - timedelta(days=1)
    if since >= until:
        raise StackError(f"--from {since:%Y-%m-%d %H:%M} is not before --to {until:%Y-%m-%d %H:%M}", "swap them")
    return since, until


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _replayed(lake: str, rules: Sequence[AlertRule], span: tuple[datetime, datetime]) -> list[Told]:
    from crypto_intel.contracts.settings import Settings
    from streaming.jobs.past import read_past
    from streaming.sinks.delta import Lake
    from streaming.transforms.rules.book import Book
    from streaming.transforms.rules.past import replay

    book = Book.of_rules(rules)
    warm = timedelta(minutes=book.baseline_minutes + 2, seconds=book.horizon_s)
    past = read_past(Lake(lake), span[0] - warm, span[1], Settings().news_clock)
    return sorted(replay(book, past.trades, past.beats, past.news), key=lambda one: one.fired.at)


def _is_of(told: Told, rule: AlertRule) -> bool:
    # What was withheld says in its evidence which rule it was.
    by = told.fired.by
    return by.get("family") == rule.family and by.get("name", rule.name) == rule.name


def _at(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _json(told: Told) -> dict[str, Any]:
    fired = told.fired
    return {
        "market": told.market,
        "at": _at(fired.at).isoformat(),
        "known_at": _at(told.known_us).isoformat(),
        "rule": fired.rule,
        "severity": fired.severity,
        "value": fired.value,
        "threshold": fired.threshold,
        "unit": fired.unit,
        "text": fired.text,
        "completeness": fired.completeness,
        "article_ids": fired.article_ids,
    }


def _show(rule: AlertRule, found: Sequence[Told], span: tuple[datetime, datetime]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    days = max((span[1] - span[0]) / timedelta(days=1), 1 / 1440)
    console.print(f"{rule.name} from {span[0]:%Y-%m-%d %H:%M} to {span[1]:%Y-%m-%d %H:%M} UTC: {len(found)} times, "
                  f"{len(found) / days:.1f} a day")  # fmt: skip
    counts: dict[tuple[str, str], int] = {}
    for one in found:
        key = (f"{_at(one.fired.at):%Y-%m-%d}", one.market)
        counts[key] = counts.get(key, 0) + 1
    table = Table("day", "market", "times", title="a day", title_justify="left")
    for (day, market), count in sorted(counts.items()):
        table.add_row(day, market, str(count))
    newest = Table("event time", "market", "what", "data", title="the newest 20", title_justify="left")
    for one in found[-20:]:
        newest.add_row(f"{_at(one.fired.at):%m-%d %H:%M:%S}", one.market, one.fired.text, one.fired.completeness or "")
    if found:
        console.print(table, newest)
