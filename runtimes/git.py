"""Packages from Git: the versions of repositories that are on this machine's disk, and how they get there.

    <folder>/<repository>/<commit>/      its files; existence means whole
    <folder>/<repository>/refs.json      which commit each branch or tag was, when it was last looked at

A commit is fetched beside its place, without the history behind it, made safe on the disk and renamed. What
was read last is remembered, so that a node boots without a network. Nothing in a repository is run: no hooks,
no filters of its own; and git asks nobody for a password.
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
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.files import read_json, write_atomically
from runtimes.base import RuntimeFailure
from runtimes.children import TABLE, NotStarted
from runtimes.tools import tool_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from manifests.git import GitPackage

FAILED = "GitFetchFailed"
#: Seconds for asking what there is, and for fetching it.
ASK, FETCH = 30.0, 900.0
_UNFINISHED = ".new-"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: Lines of what git said last, and characters of each, that a failure repeats.
_TOLD, _LONGEST = 3, 300
#: What git says after each failure of what it used (ssh, another git), and before anything went wrong.
_BOILERPLATE = re.compile(
    r"fatal: (Could not read from remote repository|the remote end hung up)|and the repository exists"
    r"|Please make sure you have the correct access rights"
    r"|(warning|hint|Cloning into|remote: \w+ing objects)\b",
    re.IGNORECASE,
)
#: Ways that a URL may lead, also those in .gitmodules; "ext" would run any command.
_PROTOCOLS, _LOCAL_PROTOCOLS, _PUBLIC_PROTOCOLS = "https:http:ssh:git", "https:http:ssh:git:file", "https"
#: A repository's files come as they are, and nothing of it runs.
_SETTINGS = ("core.hooksPath=/dev/null", "core.autocrlf=false", "core.fsmonitor=false", "gc.auto=0")


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
        name = hashlib.sha256(f"{package.own}:{package.url}".encode()).hexdigest()[:16]
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
        commit = package.ref if package.is_fixed else await _ask(package)
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
            commit = await _clone(package, unfinished, commit)
            await anyio.to_thread.run_sync(_complete, unfinished, place / commit)
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


# What git is asked


async def _ask(package: GitPackage) -> str:
    """The commit that the package's branch or tag is now."""
    tag = f"refs/tags/{package.ref}"
    names = [f"{tag}^{{}}", tag, f"refs/heads/{package.ref}"] if package.ref else ["HEAD"]
    said = await _git(package, ASK, "ls-remote", "--", package.url, *names)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
    commit = next((found[name] for name in names if name in found), "")
    if not _COMMIT.fullmatch(commit):
        what = f"branch or tag {package.ref}" if package.ref else "commit"
        raise RuntimeFailure(FAILED, f"{package.url} has no {what}", hint="see the part behind # in source:")
    return commit


async def _clone(package: GitPackage, folder: str, commit: str) -> str:
    """Fetches one version into an empty folder; returns its commit, which may be a newer one."""
    git = partial(_git, package, FETCH, "-C", folder)
    await git("init", "--quiet")
    await git("remote", "add", "origin", package.url)
    try:
        await git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", package.ref or "HEAD")
        await git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    except RuntimeFailure:
        # Plain web servers have no short histories, and older servers give no commit by its name.
        await git("fetch", "--quiet", "origin", "+refs/*:refs/remotes/all/*")
        await git("checkout", "--quiet", "--detach", commit)
    if os.path.exists(os.path.join(folder, ".gitmodules")):
        await git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    return (await git("rev-parse", "HEAD")).strip()


async def _git(package: GitPackage, seconds: float, *arguments: str) -> str:
    """What git prints. Raises RuntimeFailure with its last words. Ended with all that it started."""
    options = [part for setting in _SETTINGS for part in ("-c", setting)]
    printed, said = bytearray(), bytearray()
    code = None
    try:
        with anyio.move_on_after(seconds):
            code = await TABLE.attend(
                ["git", *options, *arguments],
                env=_environment(package),
                cwd="/",
                hear=partial(_keep, printed),
                hear_errors=partial(_keep, said),
            )
    except NotStarted as error:
        hint = "install git (apt install git)"
        raise RuntimeFailure("GitMissing", "there is no git on this machine", hint=hint) from error
    if code != 0:
        raise _failure(package, _last(said) if code is not None else f"no end after {seconds:.0f} s")
    return printed.decode("utf-8", "replace")


def _keep(into: bytearray, chunk: bytes) -> None:
    into += chunk
    # What a stranger's server says must not fill the memory.
    del into[: -(2**20)]


def _environment(package: GitPackage) -> dict[str, str]:
    passed = {name: os.environ[name] for name in ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND") if name in os.environ}
    if package.own:
        passed.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        # A remote repository must not bring this machine's others in, as its submodules.
        passed["GIT_ALLOW_PROTOCOL"] = _LOCAL_PROTOCOLS if package.is_local else _PROTOCOLS
    else:
        # Nothing that the node's user may do with his keys and passwords.
        passed = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
        passed["GIT_ALLOW_PROTOCOL"] = _PUBLIC_PROTOCOLS
    return tool_environment(**passed, GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="", LC_ALL="C")


def _last(said: bytearray) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line and not _BOILERPLATE.match(line)] or list(filter(None, lines))
    shown = ("".join(each for each in line if each.isprintable())[:_LONGEST] for line in told)
    return " | ".join(list(shown)[-_TOLD:]) or "git said nothing"


def _failure(package: GitPackage, why: str) -> RuntimeFailure:
    if "No space left on device" in why:
        return RuntimeFailure("DiskFull", f"there is no space left on the disk for {package.url}")
    hint = ""
    if any(word in why for word in ("could not read Username", "Authentication failed", "Permission denied")):
        hint = "let git on this machine know the credentials of the node's user"
    return RuntimeFailure(FAILED, f"{package.url} cannot be fetched: {why}", hint=hint)


@contextlib.contextmanager
def _explained(package: GitPackage) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(package, error.strerror or str(error)) from error


# What is on the disk


def _folder_in(version: Path, package: GitPackage) -> str:
    folder = os.path.join(version, package.folder).rstrip("/")
    inside = os.path.realpath(folder).startswith(f"{os.path.realpath(version)}/") or not package.folder
    if not inside or not os.path.isdir(folder):
        message = f"{package.url} has no folder {package.folder}"
        raise RuntimeFailure("GitFolderMissing", message, hint="see the part behind : in source:")
    return folder


def _complete(unfinished: str, place: Path) -> None:
    """Only what a power cut does not take again gets its name."""
    shutil.rmtree(os.path.join(unfinished, ".git"))
    os.sync()
    if not place.is_dir():
        os.rename(unfinished, place)


def _holds(place: Path, in_use: Collection[str]) -> bool:
    return any(path == str(place) or path.startswith(f"{place}/") for path in in_use)


def _remove(places: Collection[Path]) -> None:
    for place in places:
        with contextlib.suppress(OSError):
            # A version that is removed halfway must not be taken for whole.
            trash = place.with_name(f"{_UNFINISHED}{place.name.removeprefix(_UNFINISHED)}")
            os.rename(place, trash)
            shutil.rmtree(trash, ignore_errors=True)
