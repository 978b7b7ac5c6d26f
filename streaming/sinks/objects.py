"""Small objects beside the lake, on local disk or an object store: written in one step, read whole.

Addresses with a scheme (`s3://bucket/key`) go to an object store, which is reached by the same settings as the lake's
tables: the environment variables of delta-rs, `AWS_*` for S3.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import from_url

from streaming import failpoints


def put(path: str, content: bytes) -> None:
    """Write an object: a reader sees all of it or the one before."""
    if "://" in path:
        store, key = _place(path)
        obstore.put(store, key, content)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(content)
    failpoints.reach(f"partial:{target.suffix}")
    partial.replace(target)


def get(path: str) -> bytes | None:
    """The object's content; None if there is none."""
    if "://" not in path:
        file = Path(path)
        return file.read_bytes() if file.exists() else None
    store, key = _place(path)
    try:
        return bytes(obstore.get(store, key).bytes())
    except (NotFoundError, FileNotFoundError):
        return None


def names(folder: str) -> list[str]:
    """Names of the objects right in a folder, in no order; none if there is no such folder."""
    if "://" not in folder:
        return [path.name for path in Path(folder).iterdir()] if Path(folder).is_dir() else []
    store, key = _place(folder)
    found = obstore.list_with_delimiter(store, f"{key}/")["objects"]
    return [entry["path"].rpartition("/")[2] for entry in found]


def remove(path: str) -> None:
    """Delete an object, if it is there."""
    if "://" not in path:
        Path(path).unlink(missing_ok=True)
        return
    store, key = _place(path)
    with suppress(NotFoundError, FileNotFoundError):
        obstore.delete(store, key)


def _place(path: str) -> tuple[Any, str]:
    url = urlsplit(path)
    return _store(f"{url.scheme}://{url.netloc}"), url.path.lstrip("/")


@cache
def _store(bucket: str) -> Any:
    return from_url(bucket)
