"""Packages from Git: the versions of repositories that are on this machine's disk, and how they get there.

    <folder>/<repository>/<commit>/      its files; existence means whole
    <folder>/<repository>/.whole-<commit>  nobody has run in it: 0.3 had no such mark, and ran processes there
    <folder>/<repository>/refs.json      which commit each branch or tag was, when it was last looked at

A commit is fetched beside its place, made safe on the disk and renamed. What was read last is remembered, so
that a node boots without a network. `git_remote` does the asking and fetching.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.files import read_json, write_atomically
from runtimes.base import RuntimeFailure
from runtimes.packages.git_history import wants_history
from runtimes.packages.git_remote import ask_commit, ask_releases, clone, failure_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from manifests.model.git import GitPackage
    from manifests.model.releases import Offer

_UNFINISHED = ".new-"
_WHOLE = ".whole-"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Repositories:
    """All repositories of one node, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refs: dict[Path, dict[str, str]] = {}
        self._busy: dict[Path, anyio.Lock] = {}

    def find(self, package: GitPackage) -> str | None:
        """The folder of the package as it was last fetched. Raises RuntimeFailure: GitFolderMissing."""
        version = self._version(package)
        return _folder_in(version, package) if version and version.is_dir() else None

    async def update(self, package: GitPackage) -> bool:
        """Fetches what its branch or tag is now; whether that is another commit than before.

        Raises RuntimeFailure: GitFetchFailed, GitMissing or DiskFull.
        """
        place = self._place(package)
        async with self._busy.setdefault(place, anyio.Lock()):
            with _explained(package):
                return await self._update(package, place)

    async def ask(self, package: GitPackage) -> Offer:
        """What the repository has now. Raises RuntimeFailure: GitFetchFailed or GitMissing."""
        return await ask_releases(package)

    def kept(self, package: GitPackage, ran: str) -> str:
        """The commit that a package without a ref was before releases were looked at; empty: it ran none.

        `ran`: the folder that its service ran from last.
        """
        place = self._place(package)
        with contextlib.suppress(ValueError):
            commit = Path(ran).relative_to(place).parts[0]
            followed = self._known(place).get("", "")
            if followed and _COMMIT.fullmatch(commit):
                return followed if (place / followed).is_dir() else commit
        return ""

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None:
        """Deletes what nobody wants, except where these paths lead (what runs may run from there)."""
        kept: set[Path] = set()
        for package in wanted:
            kept.add(self._place(package))
            if (version := self._version(package)) is not None:
                kept.add(version)
        unneeded = [each for each in self._all() if each not in kept and not _holds(each, in_use)]
        for place in unneeded:
            self._refs.pop(place, None)
        if unneeded:
            await anyio.to_thread.run_sync(_remove, unneeded)

    # -- inside

    def _version(self, package: GitPackage) -> Path | None:
        """Where the version is, or will be, that the package was when it was last looked at."""
        place = self._place(package)
        commit = package.ref if package.is_fixed else self._known(place).get(package.ref)
        return place / commit if commit else None

    def _place(self, package: GitPackage) -> Path:
        """A stranger's copy is not ours: what our keys may read is not for him."""
        whose = f"{package.own}{':stranger' if package.stranger else ''}"
        name = hashlib.sha256(f"{whose}:{package.url}".encode()).hexdigest()[:16]
        return self._folder / name

    def _known(self, place: Path) -> dict[str, str]:
        if place not in self._refs:
            try:
                value = read_json(place / "refs.json")
            except (OSError, ValueError):
                value = None
            found = value.items() if isinstance(value, dict) else ()
            self._refs[place] = {ref: str(commit) for ref, commit in found if _COMMIT.fullmatch(str(commit))}
        return self._refs[place]

    async def _update(self, package: GitPackage, place: Path) -> bool:
        before = self._version(package)
        commit = package.ref if package.is_fixed else await ask_commit(package)
        if place / commit != before or not before.is_dir():
            commit = await self._fetch(package, place, commit)
        else:
            return False
        if not package.is_fixed:
            refs = {**self._known(place), package.ref: commit}
            write_atomically(place / "refs.json", json.dumps(refs).encode())
            self._refs[place] = refs
        return True

    async def _fetch(self, package: GitPackage, place: Path, commit: str) -> str:
        """Returns the commit that is there now: somebody may have pushed since the branch was asked for."""
        if (place / commit).is_dir():
            return commit
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix=_UNFINISHED, dir=place)
        try:
            commit = await clone(package, unfinished, commit)
            history = wants_history(os.path.join(unfinished, package.folder))
            await anyio.to_thread.run_sync(partial(_complete, unfinished, place / commit, history=history))
        finally:
            await anyio.to_thread.run_sync(partial(shutil.rmtree, unfinished, ignore_errors=True))
        return commit

    def _all(self) -> Iterator[Path]:
        """All repositories and versions, and what an earlier life did not finish; versions first."""
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            if place in self._busy and self._busy[place].locked():
                continue
            yield from (each for each in place.iterdir() if each.is_dir())
            yield place


@contextlib.contextmanager
def _explained(package: GitPackage) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure_of(package, error.strerror or str(error)) from error


# What is on the disk


def is_pristine(folder: Path, repositories: Path) -> bool:
    """Whether a package's folder, if it is in a version of a repository, has never been run in."""
    if not folder.is_relative_to(repositories):
        return True
    repository, commit, *_ = folder.relative_to(repositories).parts
    return (repositories / repository / f"{_WHOLE}{commit}").exists()


def _folder_in(version: Path, package: GitPackage) -> str:
    folder = os.path.join(version, package.folder).rstrip("/")
    inside = os.path.realpath(folder).startswith(f"{os.path.realpath(version)}/") or not package.folder
    if not inside or not os.path.isdir(folder):
        message = f"{package.url} has no folder {package.folder}"
        raise RuntimeFailure("GitFolderMissing", message, hint="see the part behind : in source:")
    return folder


def _complete(unfinished: str, place: Path, *, history: bool) -> None:
    """Only what a power cut does not take again gets its name."""
    shutil.rmtree(os.path.join(unfinished, ".git", *() if not history else ("hooks",)), ignore_errors=history)
    os.sync()
    if not place.is_dir():
        _mark(place).touch()
        os.rename(unfinished, place)


def _mark(version: Path) -> Path:
    return version.with_name(f"{_WHOLE}{version.name}")


def _holds(place: Path, in_use: Collection[str]) -> bool:
    return any(path == str(place) or path.startswith(f"{place}/") for path in in_use)


def _remove(places: Collection[Path]) -> None:
    for place in places:
        with contextlib.suppress(OSError):
            # A version that is removed halfway must not be taken for whole.
            trash = place.with_name(f"{_UNFINISHED}{place.name.removeprefix(_UNFINISHED)}")
            os.rename(place, trash)
            _mark(place).unlink(missing_ok=True)
            shutil.rmtree(trash, ignore_errors=True)
