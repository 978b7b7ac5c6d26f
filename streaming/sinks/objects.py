"""Small objects beside the lake, on local disk or an object store: written in one step, read whole."""

from __future__ import annotations

from pathlib import Path

from deltalake.fs import DeltaStorageHandler

from streaming import failpoints


def put(path: str, content: bytes) -> None:
    """Write an object: a reader sees all of it or the one before."""
    if "://" in path:
        folder, _, name = path.rpartition("/")
        with DeltaStorageHandler(folder).open_output_stream(name) as stream:
            stream.write(content)
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
    folder, _, name = path.rpartition("/")
    handler = DeltaStorageHandler(folder)
    try:
        with handler.open_input_file(name) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        return None


def remove(path: str) -> None:
    """Delete an object, if it is there."""
    if "://" not in path:
        Path(path).unlink(missing_ok=True)
        return
    folder, _, name = path.rpartition("/")
    DeltaStorageHandler(folder).delete_file(name)
