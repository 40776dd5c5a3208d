"""The last good text of each file, kept on disk.

A node that boots while a folder is not mounted, or while a file is broken, runs what the file said when it
was last whole. Records are written behind the node's work, only when the text changed; a damaged record is
ignored, and a full disk is a problem to tell and to try again, nothing more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from manifests.files import read_json, write_atomically
from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: Records written in one go; between two the writer can be cancelled.
_BATCH = 50


#: Path → text of what a file refers to, None for what was not there.
Beside = dict[str, "str | None"]


class Kept(NamedTuple):
    """A file's last good text, and the device its folder was on (an unmounted folder has another).

    `beside`: what else it said so with; None in a record that does not tell.
    """

    text: str
    device: int
    beside: Beside | None = None


class LastGood:
    """The records of one source, in `<folder>/<source>/`. The folder is made when something is written.

    `keep`, `forget` and `prune` only note what to do; `write` does it, and may run in a thread.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder / slug(source)
        self._pending: dict[str, Kept | None] = {}
        self._existing: frozenset[str] | None = None
        self._problems: dict[str, Problem] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read or written, until it could."""
        return tuple(self._problems.values())

    @property
    def pending(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._pending) or self._existing is not None

    @property
    def failing(self) -> bool:
        """Whether the last `write` failed."""
        return "" in self._problems

    def load(self, name: str) -> Kept | None:
        """The record of one file; None when there is none, or when it is damaged (a problem then)."""
        path = self._path(name)
        try:
            kept = _decode(path, read_json(path), name)
        except (OSError, ValueError) as error:
            self._problems[name] = _damaged(path, error)
            return None
        return kept

    def load_all(self) -> dict[str, Kept]:
        """All records by file name."""
        found: dict[str, Kept] = {}
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []:
            try:
                value = read_json(path)
                name = str(value["file"]) if isinstance(value, dict) and "file" in value else ""
                if (kept := _decode(path, value, name)) is not None:
                    found[name] = kept
            except (OSError, ValueError) as error:
                self._problems[path.name] = _damaged(path, error)
        return found

    def keep(self, name: str, text: str, device: int, beside: Beside | None = None) -> None:
        """This is the file's good text now."""
        self._pending[name] = Kept(text, device, beside or None)

    def forget(self, name: str) -> None:
        """The file was deleted on purpose."""
        self._pending[name] = None

    def prune(self, existing: Collection[str]) -> None:
        """Only these files exist; records of others are from files deleted while no node looked."""
        self._existing = frozenset(existing)

    def write(self) -> bool:
        """Writes some of what was noted. True when `problems` changed. Never raises OSError.

        What fails stays noted.
        """
        before = self.problems
        try:
            self._write_some()
        except OSError as error:
            message = f"the last good manifests cannot be kept in {self._folder}: {error.strerror or error}"
            self._problems[""] = Problem(
                message, hint="everything runs on; free some space or mend the permissions"
            )
        else:
            self._problems.pop("", None)
        return self.problems != before

    def _write_some(self) -> None:
        for name in list(self._pending)[:_BATCH]:
            kept = self._pending[name]
            path = self._path(name)
            if kept is None:
                path.unlink(missing_ok=True)
            elif self._peek(name) != kept:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                write_atomically(path, _encode(name, kept), durable=False)
            self._problems.pop(name, None)
            self._problems.pop(path.name, None)
            if self._pending.get(name) is kept:
                del self._pending[name]
        if self._existing is not None and not self._pending:
            self._prune(self._existing)
            self._existing = None

    def _prune(self, existing: frozenset[str]) -> None:
        keep = {self._path(name).name for name in existing}
        for path in self._folder.glob("*.json") if self._folder.is_dir() else []:
            if path.name not in keep:
                path.unlink(missing_ok=True)
                self._problems.pop(path.name, None)

    def _peek(self, name: str) -> Kept | None:
        path = self._path(name)
        try:
            return _decode(path, read_json(path), name)
        except (OSError, ValueError):
            return None

    def _path(self, name: str) -> Path:
        return self._folder / f"{slug(name)}.json"


def slug(name: str) -> str:
    """A file name that is readable, safe and different for different names."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[-60:]
    return f"{readable}-{_sha(name)[:8]}"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _encode(name: str, kept: Kept) -> bytes:
    record = {"file": name, "text": kept.text, "sha256": _sha(kept.text), "device": kept.device}
    if kept.beside is not None:
        record |= {"beside": kept.beside, "besideSha256": _sha(json.dumps(kept.beside))}
    return json.dumps(record).encode()


def _decode(path: Path, value: object, name: str) -> Kept | None:
    """Raises ValueError for a record that is not what `_encode` made of this file."""
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or value.get("file") != name:
        raise ValueError(f"{path} is damaged: it is not a record of this node")
    if value.get("sha256") != _sha(value["text"]):
        raise ValueError(f"{path} is damaged: its text does not match its checksum")
    device = value.get("device")
    beside = value.get("beside")
    if beside is not None and value.get("besideSha256") != _sha(json.dumps(beside)):
        raise ValueError(f"{path} is damaged: what lay beside the file does not match its checksum")
    return Kept(value["text"], device if isinstance(device, int) else 0, beside)


def _damaged(path: Path, error: Exception) -> Problem:
    message = str(error) if isinstance(error, ValueError) else f"{path} cannot be read: {error}"
    return Problem(message, hint="it is ignored, and written anew when the manifest is read again")
