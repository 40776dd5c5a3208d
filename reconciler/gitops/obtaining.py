"""A commit on its way here: fetched, verified, laid out; also one that is only looked at."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.model.git_source import Ref, read_ref
from reconciler.gitops.decide import Applied
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from reconciler.gitops.listing import Seen
    from reconciler.gitops.objects import Commit
    from reconciler.gitops.repository import Repository

#: What is wrong with a commit, and will be until there is another one.
OF_THE_COMMIT = frozenset({
    "NotVerified", "PathMissing", "RepositoryTooLarge", "ForbiddenName", "LinkLeavesTree", "BrokenTree",
    "HistoryTooLong",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Obtained:
    """A commit, the folder of this node's manifests in it, and who signed it."""

    commit: Commit
    folder: Path
    verified: str = ""


async def obtain(
    repository: Repository, source: GitSource, path: str, seen: Seen, since: str | None
) -> Obtained:
    """`since`: the commit that was applied last. Raises GitTrouble."""
    commit = await repository.fetch(seen, path)
    verified = ""
    if source.verify is not None:
        verified = await repository.verified(seen, since, source.verify)
    return Obtained(commit, await repository.checkout(seen.commit, path), verified)


def applied_of(seen: Seen, found: Obtained, now: float, services: tuple[str, ...]) -> Applied:
    """What is told of a commit from now on."""
    commit = found.commit
    about = commit.author, commit.subject, commit.time, now, found.verified
    return Applied(seen.commit, seen.shown, *about, services, seen.ref)


async def rewriting(repository: Repository, seen: Seen, last: Applied) -> tuple[str, str] | None:
    """It is followed, since that is what the ref says; but whoever did not do it should know of it."""
    if last.name != seen.ref or not seen.ref:
        return None
    if seen.ref.startswith("refs/tags/"):
        return "TagMoved", f"{last.ref} was moved to {seen.shown}"
    with suppress(GitTrouble):
        if (await repository.lineage(seen, last.commit)).rewritten:
            message = f"{last.ref} is not in the history of {seen.shown}: it was pushed away"
            return "HistoryRewritten", message
    return None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A commit that is not applied. `folder` has its manifests, unless `reason` and `message` say why not."""

    commit: str
    revision: str
    folder: str = ""
    author: str = ""
    subject: str = ""
    verified: str = ""
    reason: str = ""
    message: str = ""
    #: Whoever made it may have no right to push, and so reads nothing of this machine.
    requested: bool = False


def is_requested(ref: str) -> bool:
    """Whether a full name is of neither a branch nor a tag: servers let others make such ones."""
    return ref.startswith("refs/") and not ref.startswith(("refs/heads/", "refs/tags/"))


async def propose(
    repository: Repository, source: GitSource, path: str, seen: Seen, since: str | None
) -> Proposal:
    """Raises GitTrouble for what has nothing to do with the commit itself."""
    try:
        found = await obtain(repository, source, path, seen, since)
    except GitTrouble as trouble:
        if trouble.reason not in OF_THE_COMMIT:
            raise
        return Proposal(seen.commit, seen.shown, reason=trouble.reason, message=str(trouble))
    commit = found.commit
    about = str(found.folder), commit.author, commit.subject, found.verified
    return Proposal(seen.commit, seen.shown, *about, requested=is_requested(seen.ref))


async def seen_of(repository: Repository, source: GitSource, ref: str) -> Seen:
    """What a person calls a ref: see `read_ref`, and tags by their names; empty is the source's own.

    Any other ref by its full name, such as the request of somebody to merge (`refs/pull/7/head`).

    Raises GitTrouble.
    """
    try:
        wanted = Ref.model_validate(read_ref(ref)) if ref else source.ref
    except ValueError:
        raise GitTrouble("RefMissing", f"{ref!r} is no name of a branch or tag, nor a commit") from None
    if is_requested(ref):
        return await repository.look_at(ref)
    try:
        return await repository.look(wanted)
    except GitTrouble as trouble:
        if trouble.reason != "RefMissing" or not ref or wanted.branch is None:
            raise
        with suppress(GitTrouble):
            return await repository.look(Ref(tag=wanted.branch))
        raise
