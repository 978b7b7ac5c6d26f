"""Brings a data folder's stores within reach of `verify`, starting them alone where the stack is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crypto_intel.contracts.settings import Settings
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.launch import Prepared, Wish, attach, environment_of, exclusive, prepare, stores_only
from crypto_intel.stack.settings import load_settings
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

if TYPE_CHECKING:
    from crypto_intel.stack.verify import Report


def verify_folder(folder: Folder, report: Callable[[str], None]) -> Report:
    """The judge's report on a data folder.

    Raises:
        StackError: no stack has run there.
    """
    settings = load_settings()
    if Supervisor(folder.socket).answers():
        return judge(attach(folder, settings, report), patience_s=60)
    state = folder.read()
    if state is None:
        raise StackError(f"no stack has run on {folder.root}", "start one: crypto-intel up")
    with exclusive(folder):
        prepared = prepare(Wish(state.source, folder.root, state.capture, state.speed), settings, report)
        with stores_only(prepared, report):
            return judge(prepared, patience_s=0, is_stopped=True)


def judge(prepared: Prepared, *, patience_s: float, is_stopped: bool = False) -> Report:
    """The judge's report on stores that run; hops that move get `patience_s` to agree."""
    from crypto_intel.stack.facts import Endpoints
    from crypto_intel.stack.verify import run_verify

    with environment_of(prepared):
        return run_verify(Endpoints.of(Settings()), patience_s=patience_s, is_stopped=is_stopped)
