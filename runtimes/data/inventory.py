"""What lay in a copy of a package when it was finished, and what its program has made of it since.

The inventory is taken after the build and kept beside the copy, `.inventory-<copy>`. What differs from it was
written by the program, and is data wherever it lies, but for

  - what counts for nothing anywhere (`manifests.model.ignored`): packages, caches, editors' leftovers
  - hidden folders that the build made (.next, .svelte-kit): they are the tool's own, whoever writes there

A copy of 0.3 has no inventory. There the package itself says what its author wrote, while it still has that
content; all else counts as written, which at worst keeps too much.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.files import write_atomically
from manifests.model.ignored import is_ignored
from manifests.packages.digests import Digests, package_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from manifests.model.service import Service

INVENTORY = ".inventory-"
#: Half a file that is being carried, see `runtimes.data.carry`.
TEMPORARY = ".atek-carry-"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a link. `sha` is known of what the package's author wrote, and empty for the build's."""

    size: int
    mtime: int
    sha: str = ""


@dataclass(frozen=True)
class Inventory:
    """By path below the copy. `folders` have no file in them. `complete`: the build's files are there."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()
    complete: bool = True

    def is_tools_own(self, folder: str) -> bool:
        """Whether only the build filled this folder, and gave it a hidden name."""
        return os.path.basename(folder).startswith(".") and folder in self.built

    @cached_property
    def built(self) -> frozenset[str]:
        """The folders that had files in them, and none of the author's."""
        authors = {folder for name, each in self.entries.items() if each.sha for folder in above(name)}
        return frozenset(folder for name in self.entries for folder in above(name)) - authors


@dataclass(frozen=True, slots=True)
class Written:
    """What a program wrote, and what it removed of its author's files.

    `files`: path → digest of the author's file that it took the place of, empty where there was none.
    `removed`: path → digest of the author's file. `folders` are empty ones. `sure` is False where files of
    the build may be among them.
    """

    root: Path
    files: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    sure: bool = True

    def __bool__(self) -> bool:
        return bool(self.files or self.removed or self.folders)

    def state(self) -> dict[str, list[int]]:
        """Path → size and time of each file as it is now; what vanished meanwhile is left out."""
        found = ((name, _stat(self.root / name)) for name in self.files)
        return {name: [each.st_size, each.st_mtime_ns] for name, each in found if each is not None}


def above(name: str) -> Iterator[str]:
    """The folders that it is in, the nearest first."""
    while name := os.path.dirname(name):
        yield name


def beside(copy: Path, kind: str) -> Path:
    """The file that something about a copy is kept in."""
    return copy.with_name(f"{kind}{copy.name}")


def take_inventory(copy: Path, authored: Collection[str]) -> None:
    """Notes all that is in a copy that is finished. Raises OSError.

    No more durable than the copy itself: after a power cut the package says what was its own.
    """
    _write(copy, _inventory(copy, authored))


def leave_open(copy: Path) -> None:
    """Notes of a copy that nobody knows whose is what in it. Raises OSError."""
    _write(copy, Inventory(complete=False))


def find_out(copy: Path, service: Service) -> None:
    """Makes up for the inventory of a copy of 0.3, while its package is as it was."""
    if not beside(copy, INVENTORY).exists():
        _write(copy, _found_out(copy, service))


def _write(place: Path, inventory: Inventory) -> None:
    value = {
        "entries": {name: [each.size, each.mtime, each.sha] for name, each in inventory.entries.items()},
        "folders": sorted(inventory.folders),
        "complete": inventory.complete,
    }
    write_atomically(beside(place, INVENTORY), json.dumps(value).encode(), durable=False)


def author_files(folder: Path) -> set[str]:
    """What of a folder counts as the package's own."""
    return {name for name, _ in package_files(os.fspath(folder))}


def read_inventory(copy: Path, service: Service | None = None) -> Inventory:
    """The one of a copy. For a copy without any it is found out from the package of `service`."""
    try:
        value = json.loads(beside(copy, INVENTORY).read_bytes())
        entries = {name: Entry(*each) for name, each in value["entries"].items()}
        return Inventory(entries, frozenset(value["folders"]), bool(value["complete"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _found_out(copy, service)


def _found_out(copy: Path, service: Service | None) -> Inventory:
    package = service.package if service else None
    unknown = Inventory(complete=False)
    if package is None or not copy.name.startswith(package.digest):
        return unknown
    try:
        if Digests().digest(package.path) != package.digest:
            return unknown
        source = Path(package.path)
        return replace(_inventory(source, author_files(source)), complete=False)
    except OSError:
        return unknown


def _inventory(copy: Path, authored: Collection[str]) -> Inventory:
    entries: dict[str, Entry] = {}
    folders: set[str] = set()
    for name, found in walk(copy):
        if stat.S_ISDIR(found.st_mode):
            folders.add(name)
        else:
            sha = content(copy / name) if name in authored else ""
            entries[name] = Entry(found.st_size, found.st_mtime_ns, sha)
    return Inventory(entries, frozenset(folders))


def find_written(
    copy: Path,
    inventory: Inventory,
    *,
    bases: Mapping[str, str] | None = None,
    placed: Collection[str] = (),
) -> Written:
    """Raises OSError. `bases`: of what program's file took which author's place, where that is known from
    earlier copies. `placed`: what this node put there itself."""
    files: dict[str, str] = {}
    folders: list[str] = []
    seen: set[str] = set()
    for name, found in walk(copy, inventory):
        seen.add(name)
        if stat.S_ISDIR(found.st_mode):
            if name not in inventory.folders and not _is_placed(name, placed):
                folders.append(name)
        elif not _is_placed(name, placed) and _differs(copy / name, found, inventory.entries.get(name)):
            before = inventory.entries.get(name)
            files[name] = (bases or {}).get(name, before.sha if before else "")
    removed = {name: each.sha for name, each in inventory.entries.items() if each.sha and name not in seen}
    removed = {name: sha for name, sha in removed.items() if not os.path.lexists(copy / name)}
    return Written(copy, files, removed, tuple(folders), inventory.complete)


def _is_placed(name: str, placed: Collection[str]) -> bool:
    return any(each in placed for each in (name, *above(name)))


def _differs(file: Path, found: os.stat_result, before: Entry | None) -> bool:
    if before is None:
        return True
    if (found.st_size, found.st_mtime_ns) == (before.size, before.mtime):
        return False
    return not before.sha or content(file) != before.sha


def walk(root: Path, inventory: Inventory | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Path and stat of each file, link and empty folder. Links are not followed, sockets are left out."""
    waiting = [("", os.fspath(root))]
    while waiting:
        prefix, path = waiting.pop()
        for entry in _entries(path):
            name = prefix + entry.name
            try:
                found = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                        yield name, found
                elif inventory is None or not inventory.is_tools_own(name):
                    if _entries(entry.path):
                        waiting.append((f"{name}/", entry.path))
                    else:
                        yield name, found
            except FileNotFoundError:
                continue


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        found = [entry for entry in entries if not is_ignored(entry.name)]
    return [entry for entry in found if not entry.name.startswith(TEMPORARY)]


def content(file: Path) -> str:
    """A digest of a file's content, or of where a link leads. Raises OSError."""
    if file.is_symlink():
        return f"link:{os.readlink(file)}"
    # Neither a link nor a pipe that a program put there meanwhile.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.lstat()
    except OSError:
        return None


def to_json(written: Written) -> dict[str, Any]:
    return {
        "files": dict(written.files), "removed": dict(written.removed), "folders": list(written.folders),
        "sure": written.sure,
    }  # fmt: skip


def from_json(root: Path, value: Mapping[str, Any]) -> Written:
    """Raises KeyError or TypeError for what `to_json` did not make."""
    files, removed = dict(value["files"]), dict(value["removed"])
    return Written(root, files, removed, tuple(value["folders"]), bool(value["sure"]))
