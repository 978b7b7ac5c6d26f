"""The commands of `crypto-intel`: options in, text or JSON out, an exit code. What they do is in the modules beside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of

if TYPE_CHECKING:
    from crypto_intel.stack.snapshot import Snapshot
    from crypto_intel.stack.state import Folder
    from crypto_intel.stack.up import Outcome

app = typer.Typer(
    name="crypto-intel",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold a password
    rich_markup_mode="markdown",
    help="Market data that a model can trust: the whole platform on one machine.",
    epilog="Begin with `crypto-intel doctor`, then `crypto-intel up`.",
)

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output; progress goes to standard error.")]


@app.command(epilog="`crypto-intel up` · `crypto-intel up --source replay --capture DIR --speed 20 --until-done`")
def up(
    *,
    source: SourceOption = None,
    capture: Annotated[Path | None, typer.Option(help="Folder of recorded frames, for --source replay.")] = None,
    speed: Annotated[float, typer.Option(min=0, help="Of a replay: N times its own pace; 0: as fast as it goes.")] = 1,
    until_done: Annotated[bool, typer.Option("--until-done", help="Play to the end, drain, verify, stop.")] = False,
    keep_up: Annotated[bool, typer.Option("--keep-up", help="Leave it running when this command ends.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out a part, or all that begin so: `--without dagster`. Repeatable.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: AsJson = False,
) -> None:
    """Start every part, show what happens, and stop everything at Ctrl-C.

    A second start on the same data folder goes on where the first one stopped.
    """
    from crypto_intel.stack import up as face
    from crypto_intel.stack.launch import Wish
    from crypto_intel.stack.settings import load_settings

    settings = load_settings()
    wish = Wish(source or settings.source, data_dir, capture, speed, keep_up, tuple(without or ()))
    console = _console(stderr=as_json)
    outcome = face.run(wish, settings, console, until_done=until_done)
    if as_json:
        _print_json(_outcome(outcome))
    else:
        _tell(outcome, console)
    raise typer.Exit(outcome.exit_code)


@app.command(epilog="`crypto-intel down --data-dir .demo/sim`")
def down(source: SourceOption = None, data_dir: DataDirOption = None) -> None:
    """Stop the stack of a data folder in order, whoever started it. Nothing happens when none runs."""
    from crypto_intel.stack.launch import stop_from_outside

    console = _console()
    folder = folder_of(source, data_dir)
    if stop_from_outside(folder, lambda line: console.print(line, highlight=False)):
        console.print(f"stopped; the data stays in {folder.root}", soft_wrap=True)
    else:
        console.print(f"no stack runs on {folder.root}", soft_wrap=True)


@app.command(epilog="`crypto-intel status` · `crypto-intel status --json` · `crypto-intel status --svg view.svg`")
def status(
    source: SourceOption = None,
    data_dir: DataDirOption = None,
    as_json: AsJson = False,
    svg: Annotated[Path | None, typer.Option(help="Write the view as a picture.")] = None,
) -> None:
    """Show each part, the counts at every hop, markets and alerts, once. Exit code 1 when a part has failed."""
    from crypto_intel.stack import view

    snapshot = _look(folder_of(source, data_dir))
    if svg:
        svg.write_text(view.as_svg(snapshot), encoding="utf-8")
    if as_json:
        _print_json(snapshot.model_dump(mode="json"))
    else:
        console = _console()
        console.print(view.render(snapshot, width=console.width))
    raise typer.Exit(1 if snapshot.failed else 0)


@app.command(epilog="`crypto-intel verify` · `crypto-intel verify --json`")
def verify(source: SourceOption = None, data_dir: DataDirOption = None, as_json: AsJson = False) -> None:
    """Compare every hop with the one before: nothing lost, nothing doubled. Exit code 0 only when all is explained.

    Where the stack is down, only its stores are started for the time of the look.
    """
    from crypto_intel.stack.judge import verify_folder

    report = verify_folder(folder_of(source, data_dir), lambda line: _console(stderr=True).print(line, highlight=False))
    if as_json:
        typer.echo(report.to_json())
    else:
        _console().print(report.to_table())
    raise typer.Exit(0 if report.is_ok else 1)


@app.command(epilog="`CRYPTO_INTEL_KAFKA__BOOTSTRAP=broker:9092 SUPABASE_DB_URL=postgresql://... crypto-intel prepare`")
def prepare() -> None:
    """Make schema and topics where the settings point: on a cluster or in containers. `up` does it by itself.

    Safe to repeat. Kafka is reached with CRYPTO_INTEL_KAFKA__*, PostgreSQL with CRYPTO_INTEL_POSTGRES_DSN.
    """
    from crypto_intel.stack.kafka import create_topics
    from crypto_intel.stack.postgres import migrate
    from crypto_intel.stack.settings import load_settings

    settings = load_settings()
    if settings.postgres_dsn is None:
        raise StackError("no database is set", "set CRYPTO_INTEL_POSTGRES_DSN or SUPABASE_DB_URL")
    applied = migrate(settings.postgres_dsn.get_secret_value())
    kafka = settings.kafka
    created = create_topics(kafka.bootstrap, settings.topics.all, kafka.partitions, kafka.client_config())
    typer.echo(f"{len(applied)} migrations applied, {len(created)} topics created")


@app.command(epilog="`crypto-intel doctor` · `crypto-intel doctor --source live --json`")
def doctor(source: SourceOption = None, data_dir: DataDirOption = None, as_json: AsJson = False) -> None:
    """Look at Java, jars, memory, disk, ports and the data folder; exit code 1 if something would stop `up`."""
    from dataclasses import asdict

    from crypto_intel.stack.doctor import examine
    from crypto_intel.stack.settings import load_settings

    settings = load_settings()
    findings = examine(settings, source or settings.source, data_dir)
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        colours = {"ok": "green", "warning": "yellow", "error": "bold red"}
        console = _console()
        for found in findings:
            mend = f"  -> {found.mend}" if found.mend and found.level != "ok" else ""
            word = f"[{colours[found.level]}]{found.level:8}[/]"
            console.print(f"{word}{found.topic:12} {found.text}{mend}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(found.level == "error" for found in findings) else 0)


@app.command(epilog="`crypto-intel logs spark -n 50` · `crypto-intel logs producer-binance -f`")
def logs(
    part: Annotated[str, typer.Argument(help="A part, as `status` names it.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the part writes.")] = False,
    source: SourceOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the log of one part."""
    from crypto_intel.stack.files import tail

    path = folder_of(source, data_dir).log(part)
    if not path.exists():
        known = ", ".join(sorted(log.stem for log in path.parent.glob("*.log"))) or "none yet"
        raise StackError(f"no log of '{part}' in {path.parent}", f"there are: {known}")
    typer.echo("\n".join(tail(path, lines)))
    for line in _appended(path) if follow else ():
        typer.echo(line, nl=False)


@app.command(epilog="`crypto-intel jars`")
def jars() -> None:
    """Fetch the JVM jars into the cache, if they are not all there, and say where they are."""
    from crypto_intel.stack.jars import resolve_jars
    from crypto_intel.stack.java import find_java_home
    from crypto_intel.stack.settings import load_settings

    console = _console()

    def report(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    found = resolve_jars(load_settings().jars_dir, find_java_home(report), report)
    for folder in (found.spark, found.kafka):
        report(f"{len(list(folder.glob('*.jar')))} jars in {folder}")


def main() -> None:
    """Run the command line; an error of the stack is a sentence and a hint, not a traceback."""
    try:
        app()
    except StackError as error:
        console = _console(stderr=True)
        console.print(f"[bold red]error[/] {error.message}", highlight=False, soft_wrap=True)
        if error.hint:
            console.print(f"   [bold]->[/] {error.hint}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    # A file or a pipe has no width of its own; 80 columns would cut the tables.
    return console if console.is_terminal else Console(stderr=stderr, width=140)


def _look(folder: Folder) -> Snapshot:
    from crypto_intel.stack.settings import load_settings
    from crypto_intel.stack.watch import Watcher

    state = folder.read()
    if state is None or not (folder.root / "postgres" / "password").exists():
        raise StackError(f"no stack has run on {folder.root}", "start one: crypto-intel up")
    watcher = Watcher(folder, state, load_settings())
    try:
        watcher.parts()  # CPU is measured between two looks
        time.sleep(0.5)
        return watcher.look()
    finally:
        watcher.close()


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "end": outcome.end,
        "exit_code": outcome.exit_code,
        "started_s": round(outcome.started_s, 1),
        "ran_s": round(outcome.ran_s, 1),
        "killed": outcome.killed,
        "verify": json.loads(outcome.verify.to_json()) if outcome.verify else None,
        "snapshot": outcome.snapshot.model_dump(mode="json") if outcome.snapshot else None,
    }


def _tell(outcome: Outcome, console: Console) -> None:
    from crypto_intel.stack.view import as_text, one_line

    if outcome.snapshot:
        console.print(one_line(outcome.snapshot), soft_wrap=True, highlight=False)
        if outcome.snapshot.failed:
            console.print(as_text(outcome.snapshot), soft_wrap=True)
    if outcome.verify is not None:
        console.print(outcome.verify.to_table())
    for name in outcome.killed:
        console.print(f"[yellow]had to be killed: {name}[/]", highlight=False)
    console.print(f"{outcome.end} after {outcome.ran_s:.0f} s", highlight=False)


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2, default=str))


def _appended(path: Path) -> Iterator[str]:
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, os.SEEK_END)
    try:
        while True:
            yield from file
            if _rotated(file, path):
                file.close()
                file = path.open(encoding="utf-8", errors="replace")
            time.sleep(0.2)
    except KeyboardInterrupt:
        return
    finally:
        file.close()


def _rotated(file: TextIO, path: Path) -> bool:
    return path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino
