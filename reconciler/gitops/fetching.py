"""How a commit gets here: as little of it as the server can be asked for.

Each server is asked for the best first, and for less where it cannot:

    one commit without its history, for a folder of it without the files of the others (a partial clone)
    one commit with all its history               plain web servers, and those older than short histories
    all branches and tags                         where a commit cannot be asked for by its id

A commit that is here has a name of its own in the mirror, so that nothing is asked for twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio.to_thread

from reconciler.gitops.git import git
from reconciler.gitops.mirror import REFS, sweep
from reconciler.gitops.objects import Missing, objects, read
from reconciler.gitops.troubles import AGAIN, GitTrouble
from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from reconciler.gitops.listing import Seen
    from reconciler.gitops.mirror import Mirror
    from reconciler.gitops.objects import Commit

#: Times that a server is asked for what is still missing: folders, then files.
_ROUNDS = 3
#: How servers, and git of them, say that they cannot.
_LACKS = ("shallow", "unadvertised", "filter", "couldn't find remote ref", "did not contain")
#: How a server says that it does not have an object, as far as anybody may know.
_NOT_THERE = "not our ref"
#: Everything, and its history to the first commit.
_ALL, WHOLE = "+refs/*:refs/all/*", 2**31 - 1
#: What git says of its locks.
_LOCKED = "remove the file manually"
#: What git says of objects that a power cut took.
_DAMAGED = ("corrupt", "bad object", "loose object", "unresolved deltas", "not a valid object", "packfile")


async def fetch(mirror: Mirror, seen: Seen, path: str) -> Commit:
    """Raises GitTrouble. Locks of a git that was killed are broken, and a damaged mirror made anew, once."""
    try:
        return await _fetch(mirror, seen, path)
    except GitTrouble as trouble:
        words = (*_DAMAGED, _LOCKED, str(mirror.path))
        if not isinstance(trouble, Missing) and not any(each in trouble.message for each in words):
            raise
        if _LOCKED not in trouble.message:
            await anyio.to_thread.run_sync(remove_tree, mirror.path)
    sweep(mirror.path)
    return await _fetch(mirror, seen, path)


async def fetch_named(mirror: Mirror, name: str, path: str) -> str:
    """The commit that a branch is now, which is here; empty before the mirror is. Raises GitTrouble."""
    if not (mirror.path / "config").is_file():
        return ""
    tip = mirror.path / REFS / "tip"
    some = "--filter=blob:none" if path else "--no-filter"
    await mirror.fetch("--depth=1", some, refs=(f"+{name}:{REFS}/tip",))
    commit = tip.read_text().strip()
    os.rename(tip, tip.with_name(commit))
    return commit


async def make(mirror: Mirror, commit: str) -> None:
    """An empty one, for objects of the kind that a commit's id tells. Raises GitTrouble."""
    kind = "sha256" if len(commit) == 64 else "sha1"
    unfinished = mirror.path.with_name(f".new-{mirror.path.name}")
    await anyio.to_thread.run_sync(remove_tree, unfinished)
    options = ("--quiet", "--bare", "--template=", f"--object-format={kind}")
    await git("init", *options, "--", str(unfinished), url=mirror.url)
    await git("config", "remote.origin.url", mirror.url, url=mirror.url, mirror=str(unfinished))
    os.rename(unfinished, mirror.path)


async def _fetch(mirror: Mirror, seen: Seen, path: str) -> Commit:
    if not (mirror.path / "config").is_file():
        await anyio.to_thread.run_sync(remove_tree, mirror.path)
        await make(mirror, seen.commit)
    if not mirror.has(seen):
        await _get(mirror, seen, path)
    commit = await anyio.to_thread.run_sync(read, mirror.path, seen.commit)
    if path or mirror.is_partial:
        await _complete(mirror, commit, path)
    return commit


async def _get(mirror: Mirror, seen: Seen, path: str) -> None:
    """The commit and its folders; the files too, where all of them are wanted."""
    wanted = f"+{seen.object or seen.commit}:{REFS}/{seen.kept_as}"
    some = "--filter=blob:none" if path else "--no-filter"
    ways = ((wanted, "--depth=1", some), (wanted, some), (_ALL, f"--depth={WHOLE}"), (_ALL,))
    for index, (ref, *options) in enumerate(ways, 1):
        try:
            await mirror.fetch(*options, refs=(ref,))
            break
        except GitTrouble as trouble:
            if _NOT_THERE in trouble.message:
                raise _missing(mirror, seen) from trouble
            if index == len(ways) or not any(each in trouble.message.lower() for each in _LACKS):
                raise
    if not mirror.has(seen):
        await _name(mirror, seen)


async def _name(mirror: Mirror, seen: Seen) -> None:
    try:
        await mirror.here("update-ref", f"{REFS}/{seen.kept_as}", seen.object or seen.commit)
    except GitTrouble as trouble:
        raise _missing(mirror, seen) from trouble


def _missing(mirror: Mirror, seen: Seen) -> GitTrouble:
    if seen.ref:
        message = f"{mirror.url}: {seen.shown} was pushed away while it was fetched"
        return GitTrouble("MovedMeanwhile", message, hint=AGAIN)
    message = f"{mirror.url} has no commit {seen.commit[:12]}"
    return GitTrouble("CommitMissing", message, hint="see ref in [[sources.git]]")


async def _complete(mirror: Mirror, commit: Commit, path: str) -> None:
    """What a folder of the commit is, where the mirror does not have it yet. Raises GitTrouble."""
    for _ in range(_ROUNDS):
        try:
            tree = await anyio.to_thread.run_sync(_folder, mirror, commit.id, path)
        except Missing:
            missing = [commit.tree]
        else:
            line = ("rev-list", "--objects", "--missing=print", "--no-object-names", tree)
            missing = [line[1:] for line in (await mirror.here(*line)).split() if line.startswith("?")]
        if not missing:
            return
        await mirror.fetch("--filter=blob:none", objects=tuple(missing))
    raise Missing(commit.id)


def _folder(mirror: Mirror, commit: str, path: str) -> str:
    with objects(mirror.path) as found:
        return found.folder(commit, path)
