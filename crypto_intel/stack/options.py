"""Options that several commands share, and the data folder that they name. What a single command takes stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_intel.contracts.settings import Source

if TYPE_CHECKING:
    from crypto_intel.stack.state import Folder

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder; default CRYPTO_INTEL_DATA_DIR or .demo/<source>.")
]
SourceOption = Annotated[
    Source | None, typer.Option("--source", help="sim: seeded market; replay: a recording; live: the real venues.")
]


def folder_of(source: Source | None, data_dir: Path | None) -> Folder:
    """The data folder that the options name; what they leave open, the settings say.

    Raises:
        StackError: a setting is wrong.
    """
    from crypto_intel.stack.settings import load_settings
    from crypto_intel.stack.state import Folder

    settings = load_settings()
    return Folder(settings.folder(source or settings.source, data_dir))
