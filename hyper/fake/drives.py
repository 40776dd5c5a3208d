"""A folder's content in memory, as drives keep it: regular files, executable or not, and links inside."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


#: Bytes of a path in a drive.
LONGEST_PATH = 3584


class Entry(NamedTuple):
    """A file's content, a link's target, or (`folder`) a folder that has nothing in it."""

    content: bytes = b""
    executable: bool = False
    link: str = ""
    folder: bool = False


def read_folder(folder: Path, ignore: Sequence[str]) -> dict[str, Entry]:
    """By relative path. What is neither a file nor a link that stays inside is left out.

    Raises HyperError for a name that a drive cannot keep.
    """
    return dict(_entries(folder, "", ignore))


def write_folder(entries: Mapping[str, Entry], folder: Path) -> None:
    for name, entry in entries.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.folder:
            target.mkdir(exist_ok=True)
        elif entry.link:
            target.symlink_to(entry.link)
        else:
            target.write_bytes(entry.content)
            target.chmod(0o755 if entry.executable else 0o644)


def _entries(root: Path, under: str, ignore: Sequence[str]) -> Iterator[tuple[str, Entry]]:
    with os.scandir(root / under) as found:
        kept = [each for each in found if not _ignored(f"{under}{each.name}", ignore)]
    for each in kept:
        _check(f"{under}{each.name}")
    entries = [
        entry
        for each in sorted(kept, key=lambda entry: entry.name)
        for entry in _of(root, under, each, ignore)
    ]
    if under and not entries:
        yield under.removesuffix("/"), Entry(folder=True)
    yield from entries


def _of(root: Path, under: str, each: os.DirEntry[str], ignore: Sequence[str]) -> Iterator[tuple[str, Entry]]:
    name = f"{under}{each.name}"
    if each.is_symlink():
        target = os.readlink(each.path)
        if _stays_inside(name, target):
            yield name, Entry(link=target)
    elif each.is_dir():
        yield from _entries(root, f"{name}/", ignore)
    elif each.is_file():
        yield name, Entry(Path(each.path).read_bytes(), bool(each.stat().st_mode & 0o100))


def _check(name: str) -> None:
    if "\\" in name or not _is_utf8(name) or len(name.encode()) > LONGEST_PATH:
        raise HyperError("BAD_REQUEST", f"a drive cannot keep the name {name!a}")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ignored(name: str, ignore: Sequence[str]) -> bool:
    """A pattern is about a name at any depth, or about a whole path."""
    return any(fnmatch(name, pattern) or fnmatch(name.rsplit("/", 1)[-1], pattern) for pattern in ignore)


def _stays_inside(name: str, target: str) -> bool:
    """Up first, then down, and never above the top."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = len(list(takewhile(lambda part: part == "..", parts)))
    inside = ups <= name.count("/") and ups < len(parts) and ".." not in parts[ups:]
    return inside and not target.startswith("/")
