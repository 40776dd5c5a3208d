"""What git is asked: what a repository has, and one version of it as files in a folder.

Nothing of a repository is run on the way: no hooks, no filters of its own, no transport that its author
chose; and git asks nobody for a password. Where a server does not know a URL, the same with `.git` behind it
is tried. The history is left on the server, unless the package's build makes its version out of it.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from manifests.model.ignored import is_ignored
from manifests.model.releases import Offer, read_offer
from runtimes.base import RuntimeFailure
from runtimes.packages.environment import PROXIES, tool_environment
from runtimes.packages.git_history import wants_history
from runtimes.packages.git_lfs import pointers
from runtimes.packages.public_network import public_way
from runtimes.processes.children import TABLE, NotStarted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from manifests.model.git import GitPackage

    _T = TypeVar("_T")

FAILED = "GitFetchFailed"
#: Seconds for asking what there is, and for fetching it.
ASK, FETCH = 30.0, 900.0
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
_SETTINGS = (
    "core.hooksPath=/dev/null", "core.autocrlf=false", "core.fsmonitor=false", "gc.auto=0",
    # Large files are fetched by themselves, whether or not the user's git would do so.
    "filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.clean=", "filter.lfs.required=false",
)  # fmt: skip
#: What git-lfs wants to see set before it puts files into their places.
_LARGE = (
    "filter.lfs.smudge=git-lfs smudge -- %f", "filter.lfs.process=git-lfs filter-process",
    "filter.lfs.clean=git-lfs clean -- %f", "filter.lfs.required=true",
)  # fmt: skip
#: How servers and git say that there is no such repository, which they also say to who may not see it.
_NOT_FOUND = ("not found", "does not appear to be a git repository", "does not exist", "404")
#: Bytes that git may print: what a stranger's server says must not fill the memory.
_MOST_PRINTED = 2**24
#: Paths that one command line takes.
_MANY = 500


# What git is asked


async def ask_releases(package: GitPackage) -> Offer:
    """What the repository has to offer. Raises RuntimeFailure."""
    return await _either(package, _ask_releases)


async def ask_commit(package: GitPackage) -> str:
    """The commit that the package's branch or tag is now. Raises RuntimeFailure."""
    return await _either(package, _ask_commit)


async def clone(package: GitPackage, folder: str, commit: str) -> str:
    """Fetches one version into an empty folder; returns its commit, which may be newer than a branch's was.

    Raises RuntimeFailure.
    """
    return await _either(package, partial(_clone, folder=folder, commit=commit))


async def _either(package: GitPackage, work: Callable[[GitPackage], Awaitable[_T]]) -> _T:
    try:
        return await work(package)
    except RuntimeFailure as failure:
        missing = any(words in failure.message.lower() for words in _NOT_FOUND)
        if not missing or package.url.rstrip("/").endswith(".git"):
            raise
        try:
            return await work(replace(package, url=f"{package.url.rstrip('/')}.git"))
        except RuntimeFailure:
            raise failure from None


async def _ask_releases(package: GitPackage) -> Offer:
    return read_offer(await _git(package, ASK, "ls-remote", "--tags", "--", package.url))


async def _ask_commit(package: GitPackage) -> str:
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
    git = partial(_git, package, FETCH, "-C", folder)
    await git("init", "--quiet")
    await git("config", "remote.origin.url", package.url)
    tag = f"+refs/tags/{package.tag}:refs/tags/{package.tag}" if package.tag else ""
    try:
        await git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", tag or package.ref or "HEAD")
        await git("checkout", "--quiet", "--detach", commit if package.is_fixed else "FETCH_HEAD")
    except RuntimeFailure:
        # Plain web servers have no short histories, and older servers give no commit by its name.
        await git("fetch", "--quiet", "origin", "+refs/*:refs/remotes/all/*")
        await git("checkout", "--quiet", "--detach", commit)
    if os.path.exists(os.path.join(folder, ".gitmodules")):
        await git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    large = await _fetch_large(package, folder)
    if wants_history(os.path.join(folder, package.folder)):
        await _keep_history(package, folder, large)
    return (await git("rev-parse", "HEAD")).strip()


async def _fetch_large(package: GitPackage, folder: str) -> list[str]:
    """Files that lie in Git LFS, relative paths; they are here once this returns."""
    found = await anyio.to_thread.run_sync(pointers, folder)
    if not found:
        return []
    what = f"{package.url} has files in Git LFS, like {found[0]}"
    if not package.own:
        # A server of large files names any URL, also of this machine, for each of them.
        raise RuntimeFailure(FAILED, f"{what}; git-lfs fetches those for this node's own manifests only")
    options = [part for setting in _LARGE for part in ("-c", setting)]
    for tree in dict.fromkeys(_tree_of(folder, name) for name in found):
        try:
            await _git(package, FETCH, "-C", tree, *options, "lfs", "pull", "origin")
        except RuntimeFailure as failure:
            why, hint = f"which git-lfs did not get: {failure.message}", failure.hint
            if "'lfs' is not a git command" in failure.message:
                why, hint = "and git-lfs is not on this machine", "install git-lfs (apt install git-lfs)"
            raise RuntimeFailure(FAILED, f"{what}, {why}", hint=hint) from failure
    if left := await anyio.to_thread.run_sync(pointers, folder):
        raise RuntimeFailure(FAILED, f"{what}, and git-lfs did not fetch {left[0]}")
    return found


def _tree_of(folder: str, name: str) -> str:
    """The work tree that a file is in: that of a submodule, or the whole."""
    place = os.path.dirname(os.path.join(folder, name))
    while place != folder and not os.path.lexists(os.path.join(place, ".git")):
        place = os.path.dirname(place)
    return place


async def _keep_history(package: GitPackage, folder: str, changed: Sequence[str]) -> None:
    """What `git describe` needs: the tags, and the way back to them.

    Files that are not in the package, or not as they are in the history, count as unchanged: a build that
    looks whether somebody edited its files finds that nobody did.
    """
    git = partial(_git, package, FETCH, "-C", folder)
    if not package.tag:
        short = ["--unshallow"] if os.path.exists(os.path.join(folder, ".git", "shallow")) else []
        await git("fetch", "--quiet", *short, "--tags", "origin")
    tracked = (await git("ls-files", "-z")).split("\0")
    absent = [name for name in tracked if any(map(is_ignored, name.split("/")))]
    unlike = [*absent, *(name for name in changed if name in set(tracked))]
    for start in range(0, len(unlike), _MANY):
        await git("update-index", "--skip-worktree", "--", *unlike[start : start + _MANY])
    await git("remote", "remove", "origin")


async def _git(package: GitPackage, seconds: float, *arguments: str) -> str:
    """What git prints. Raises RuntimeFailure with its last words. Ended with all that it started."""
    if not package.stranger:
        return await _run(package, seconds, *arguments)
    async with public_way() as way:
        try:
            return await _run(package, seconds, "-c", f"http.proxy={way.url}", *arguments)
        except RuntimeFailure as failure:
            if not way.refused:
                raise
            why = f"{way.refused[0]} has no address of the public network"
            raise failure_of(package, f"{why}, where alone it may be fetched from") from failure


async def _run(package: GitPackage, seconds: float, *arguments: str) -> str:
    options = [part for setting in _SETTINGS for part in ("-c", setting)]
    printed, said = bytearray(), bytearray()
    code = None
    try:
        with anyio.move_on_after(seconds):
            code = await TABLE.execute(
                ["git", *options, *arguments],
                env=_environment(package),
                cwd="/",
                on_output=partial(_keep, printed),
                on_errors=partial(_keep, said),
            )
    except NotStarted as error:
        hint = "install git (apt install git)"
        raise RuntimeFailure("GitMissing", "there is no git on this machine", hint=hint) from error
    if code != 0:
        raise failure_of(package, _last(said) if code is not None else f"no end after {seconds:.0f} s")
    return printed.decode("utf-8", "replace")


def _keep(into: bytearray, chunk: bytes) -> None:
    into += chunk
    del into[:-_MOST_PRINTED]


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
    env = tool_environment(**passed, GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="", LC_ALL="C")
    # A stranger's has no way out but the one that it is given.
    return env if not package.stranger else {name: env[name] for name in env if name.lower() not in PROXIES}


def _last(said: bytearray) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line and not _BOILERPLATE.match(line)] or list(filter(None, lines))
    shown = ("".join(each for each in line if each.isprintable())[:_LONGEST] for line in told)
    return " | ".join(list(shown)[-_TOLD:]) or "git said nothing"


def failure_of(package: GitPackage, why: str) -> RuntimeFailure:
    if "No space left on device" in why:
        return RuntimeFailure("DiskFull", f"there is no space left on the disk for {package.url}")
    hint = ""
    if any(word in why for word in ("could not read Username", "Authentication failed", "Permission denied")):
        hint = "let git on this machine know the credentials of the node's user"
    if "Host key verification failed" in why:
        hint = "see that the server is the right one, then connect to it once by ssh as the node's user"
    return RuntimeFailure(FAILED, f"{package.url} cannot be fetched: {why}", hint=hint)
