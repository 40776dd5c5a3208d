"""Packages whose builds look into the history: what their version comes from has to be there.

A package's copy has no `.git`. While such a package is built it gets one that leads to the repository it
comes from, so that setuptools-scm, hatch-vcs and their like, and a `git describe` in a script, find the tags.
It is not there any more when the program runs.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "package.json")
_ASKS = re.compile(
    rb"setuptools[_-]scm|use_scm_version|vcs[_-]versioning|hatch-vcs|source\s*=\s*[\"'](vcs|scm)[\"']"
    rb"|versioningit|dunamai|dynamic-versioning|setuptools[_-]git|flit[_-]scm|versioneer|\bpbr\b"
    rb"|\bgit (describe|rev-parse|rev-list|log)\b"
)


def wants_history(folder: str | Path) -> bool:
    """Whether a package's build is one that asks git."""
    for name in _FILES:
        with suppress(OSError):
            if _ASKS.search((Path(folder) / name).read_bytes()):
                return True
    return False


@contextmanager
def history_of(source: Path, copy: Path) -> Iterator[None]:
    """Lends the copy of a package its history, where there is one and its build wants it. Raises OSError."""
    place = copy / ".git"
    repository = repository_of(source) if wants_history(copy) else None
    if repository is not None:
        place.write_text(f"gitdir: {repository}\n")
    try:
        yield
    finally:
        if repository is not None:
            place.unlink(missing_ok=True)


def copy_history(repository: str, target: Path) -> None:
    """Another repository with all that is in that one, for somebody who may not read it. Raises OSError.

    What a working tree's is lies in two folders (gitrepository-layout(5), commondir).
    """
    common = Path(repository)
    with suppress(FileNotFoundError):
        common /= (common / "commondir").read_text().strip()
    shutil.copytree(common, target, symlinks=True, ignore=shutil.ignore_patterns("worktrees", "hooks"))
    for name in ("HEAD", "index"):
        if os.path.exists(f"{repository}/{name}"):
            shutil.copyfile(f"{repository}/{name}", target / name)


def repository_of(source: Path) -> str | None:
    """What `.git` of a folder is, or leads to."""
    place = source / ".git"
    if place.is_dir():
        return os.path.realpath(place)
    if place.is_file():
        text = place.read_text("utf-8", "surrogateescape").strip()
        return os.path.realpath(source / text.removeprefix("gitdir: "))
    return None
