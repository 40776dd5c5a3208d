"""A commit made of another with one file changed, in the mirror, and pushed: never forced.

Nobody refers to it here until a server has it: of who is killed in between, an object is left that is pruned.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.gitops.git import FETCH, HERE, git
from reconciler.gitops.listing import BRANCH
from reconciler.gitops.mirror import stdin_of
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from reconciler.gitops.git import Access
    from reconciler.gitops.listing import Seen
    from reconciler.gitops.mirror import Mirror

NOT_WRITABLE, RACED, REFUSED = "NotWritable", "PushRaced", "PushRefused"
#: How git, and servers, say that the branch is another meanwhile (git-push(1)).
_RACED = re.compile(
    r"\[rejected\]|fetch first|non-fast-forward|stale info"
    r"|\[remote rejected\].*(?:failed to update ref|cannot lock ref|incorrect old value)"
)
_REFUSED = re.compile(
    r"\[remote rejected\]|hook declined|protected branch|not authorized|read.?only", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a commit says of itself. `at`: seconds since 1970."""

    author: str
    message: str
    at: float


async def write(mirror: Mirror, seen: Seen, file: str, data: bytes, said: Said) -> str:
    """Commits a file of `seen` with other content, and pushes that. Raises GitTrouble."""
    if not seen.ref.startswith(BRANCH):
        raise GitTrouble(NOT_WRITABLE, f"{mirror.url}: {seen.shown} is no branch that could go on")
    commit = await _commit(mirror, seen.commit, file, data, said)
    try:
        async with mirror.server:
            await git(
                "push", "--no-progress", "--no-verify", "--no-follow-tags", "--recurse-submodules=no",
                "origin", f"{commit}:{seen.ref}",
                url=mirror.url, mirror=str(mirror.path), access=mirror.access, seconds=FETCH,
            )  # fmt: skip
    except GitTrouble as trouble:
        raise _of_push(mirror, seen, trouble) from trouble
    return commit


def _of_push(mirror: Mirror, seen: Seen, trouble: GitTrouble) -> GitTrouble:
    told = trouble.message.removeprefix(f"{mirror.url}: ")
    if _RACED.search(told):
        return GitTrouble(RACED, f"{mirror.url}: others pushed to {seen.shown} again and again: {told}")
    if _REFUSED.search(told) or trouble.reason == "CredentialsRefused":
        branch = seen.ref.removeprefix(BRANCH)
        hint = f"let the source's credentials push to {branch}, or leave writeBack out"
        return GitTrouble(REFUSED, f"{mirror.url}: the push was refused: {told}", hint=hint)
    return trouble


async def _commit(mirror: Mirror, parent: str, file: str, data: bytes, said: Said) -> str:
    here = partial(_here, mirror)
    names = file.split("/")
    trees = [f"{parent}^{{tree}}"]
    for name in names[:-1]:
        trees.append(_entry(await here("ls-tree", "-z", trees[-1]), name, "tree").split()[2])
    blob = (await here("hash-object", "-w", "--stdin", stdin=data)).decode().strip()
    made, kind = blob, "blob"
    for name, tree in zip(reversed(names), reversed(trees), strict=True):
        listed = await here("ls-tree", "-z", tree)
        entry = _entry(listed, name, kind)
        changed = f"{entry.split()[0]} {kind} {made}\t{name}\0".encode()
        lines = listed.replace(f"{entry}\t{name}\0".encode(), changed)
        made, kind = (await here("mktree", "-z", "--missing", stdin=lines)).decode().strip(), "tree"
    line = ("commit-tree", made, "-p", parent, "-F", "-")
    return (await here(*line, stdin=said.message.encode(), access=_as(said))).decode().strip()


def _entry(listed: bytes, name: str, kind: str) -> str:
    """`mode kind object` of what has a name in a folder. Raises GitTrouble."""
    for line in listed.split(b"\0"):
        told, _, found = line.partition(b"\t")
        if found == name.encode() and told.split()[1:2] == [kind.encode()] and not told.startswith(b"120000"):
            return told.decode()
    raise GitTrouble(
        NOT_WRITABLE, f"{name} is no {'file' if kind == 'blob' else 'folder'} of the repository's own"
    )


async def _here(mirror: Mirror, *line: str, stdin: bytes = b"", access: Access = HERE) -> bytes:
    descriptor = stdin_of(stdin)
    try:
        return await git(*line, url=mirror.url, mirror=str(mirror.path), stdin=descriptor, access=access)
    finally:
        os.close(descriptor)


def _as(said: Said) -> Access:
    name, _, mail = said.author.rstrip(">").partition(" <")
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", mail), ("DATE", f"{int(said.at)} +0000"))
    }
    return replace(HERE, environment=who)
