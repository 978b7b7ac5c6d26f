"""The commands `crypto-intel keys ...`: make, list and revoke keys of the API."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import SecretStr

app = typer.Typer(name="keys", no_args_is_help=True, help="Keys of the API: make, list, revoke.")


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    ALERTS = "alerts"
    PREDICTIONS = "predictions"
    ADMIN = "admin"


DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Of a local stack; default: the database that is set, or .demo/sim.")
]


@app.command(epilog="`crypto-intel keys create notebook` · `crypto-intel keys create desk --scope read --scope alerts`")
def create(
    name: Annotated[str, typer.Argument(help="What or whom it is for.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="read (default), alerts: acknowledge and judge, predictions: keep them, admin. Repeatable."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires; default: never.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a minute, if not as the API is set.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it. It is shown this once: the database keeps its hash."""
    from crypto_intel.serving import keys

    expires_in = timedelta(days=days) if days else None
    key = keys.create(
        _dsn(data_dir), name, [str(one) for one in scope or [Scope.READ]], expires_in=expires_in, rate_per_minute=rate
    )
    typer.echo(key.get_secret_value())


@app.command("list", epilog="`crypto-intel keys list`")
def list_(data_dir: DataDir = None) -> None:
    """List keys: id, state, scopes, name. The keys themselves are nowhere."""
    from crypto_intel.serving import keys

    for key in keys.listed(_dsn(data_dir)):
        until = f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
        typer.echo(f"{key.key_id}  {key.state:8} {','.join(key.scopes):12} {until:16} {key.name}")


@app.command(epilog="`crypto-intel keys revoke 0123456789ab`")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as `keys list` shows it.")], data_dir: DataDir = None
) -> None:
    """Refuse a key from now on: the API does within five seconds, and ends its WebSockets within ten."""
    from crypto_intel.serving import keys
    from crypto_intel.stack.errors import StackError

    if not keys.revoke(_dsn(data_dir), key_id):
        raise StackError(f"no good key has the id {key_id}", "see `crypto-intel keys list`")
    typer.echo(f"{key_id} is revoked")


def _dsn(data_dir: Path | None) -> SecretStr:
    from pydantic import SecretStr

    from crypto_intel.stack.errors import StackError
    from crypto_intel.stack.parts import serving_dsn
    from crypto_intel.stack.postgres import PostgresServer
    from crypto_intel.stack.settings import load_settings
    from crypto_intel.stack.state import Folder

    settings = load_settings()
    if data_dir is None and settings.postgres_dsn is not None:
        return settings.postgres_dsn
    folder = Folder(settings.folder(settings.source, data_dir))
    state = folder.read()
    if state is None or not (folder.root / "postgres" / "password").exists():
        raise StackError(
            "no database is set, and no stack has run here",
            "start one: crypto-intel up; or set CRYPTO_INTEL_POSTGRES_DSN, or name a --data-dir",
        )
    local = PostgresServer(folder.root / "postgres", state.ports["postgres"]).dsn
    return SecretStr(serving_dsn(state.source, local, settings))
