"""Reading and writing the small files that the node keeps: whole, or not at all.

A reader never sees half a file: the bytes go into a temporary file in the same folder, which then takes the
name. `durable` also survives a power cut, at the price of two fsyncs.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replaces `path` by `data`, or leaves it untouched and raises OSError (ENOSPC, EACCES …).

    The folder must exist. The temporary file's name begins with a dot and ends in `.tmp`, so that whoever
    lists the folder can leave it out; it is gone when this returns, however it returns.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{os.path.basename(path)[:100]}.", suffix=".tmp", dir=folder
    )
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(folder)


def read_json(path: str | Path) -> Any | None:
    """The JSON value in the file, None when there is no file. A broken one raises ValueError naming it."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it is not valid JSON ({error})") from error


def set_aside(path: Path) -> None:
    """Moves a damaged file to `<name>.damaged`: the next write would replace what a person may still mend."""
    with suppress(OSError):
        path.replace(path.with_suffix(".damaged"))


def _sync_folder(folder: str) -> None:
    """A rename is only on disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
