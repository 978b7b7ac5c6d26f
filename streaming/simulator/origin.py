"""When the seeded market began: the same for ever in one data folder, since trade ids count from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from streaming.errors import FatalError

FILE = "market_origin"


def origin_of(folder: Path, given: datetime | None) -> datetime:
    """The moment that is given, else the one that the folder remembers; a day ago where it remembers none.

    A start costs a moment of computing for each hour since then, so a market that began long ago starts slowly.

    Raises:
        FatalError: what the folder remembers can not be read.
    """
    if given is not None:
        return given
    path = folder / FILE
    try:
        return datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        began = (datetime.now(UTC) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    except ValueError as error:
        raise FatalError(f"{path} is no time: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(began.isoformat(), encoding="utf-8")
    return began
