"""Which commits came since another one, where the mirror has hardly any history.

Mostly it is one commit upon the other, and nothing is asked. Otherwise the history is fetched, commits
without their files where the server can, until it is known to the end: a commit whose parents are not here
would hide what it brought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from reconciler.gitops.mirror import REFS
from reconciler.gitops.objects import Missing, objects, read
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reconciler.gitops.listing import Seen
    from reconciler.gitops.mirror import Mirror

#: How much history is asked for, one after the other; the last is all there is.
_DEPTHS = (0, 30, 1000, 2**31 - 1)
#: Commits that somebody may have pushed at once.
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """The commits that came since. `rewritten`: the other one is no longer among the ancestors."""

    commits: tuple[str, ...]
    rewritten: bool = False


async def lineage(mirror: Mirror, seen: Seen, since: str) -> Lineage:
    """The first is in the mirror; of the other one the server may no longer know. Raises GitTrouble."""
    if seen.commit == since:
        return Lineage(())
    commit = await anyio.to_thread.run_sync(read, mirror.path, seen.commit)
    if commit.parents == (since,):
        return Lineage((seen.commit,))
    for depth in _DEPTHS:
        if depth:
            await _deepen(mirror, seen, since, depth)
        cut, known = _cut(mirror), await anyio.to_thread.run_sync(_has, mirror, since)
        found = await _listed(mirror, seen.commit, *([f"^{since}"] if known else []))
        if not found.keys() & cut and not (known and await _is_unsure(mirror, found, since, cut)):
            break
    if found.keys() & cut:
        raise GitTrouble(
            "HistoryMissing", f"{mirror.url}: the server does not give the history of {seen.shown}"
        )
    return Lineage(tuple(found), not known or await _is_rewritten(mirror, seen.commit, since))


async def _is_unsure(
    mirror: Mirror, found: Mapping[str, Collection[str]], since: str, cut: Collection[str]
) -> bool:
    """A way to the very first commit may be the other's as well, as far as that one's own is not known."""
    return not all(found.values()) and not (await _listed(mirror, since)).keys().isdisjoint(cut)


async def _deepen(mirror: Mirror, seen: Seen, since: str, depth: int) -> None:
    into = f"{REFS}/{seen.kept_as}"
    tip = f"+{seen.object or seen.commit}:{into}"
    options = (f"--depth={depth}", "--filter=tree:0")
    try:
        await mirror.fetch(*options, refs=(tip, f"+{since}:{REFS}/{since}"))
    except GitTrouble:
        # Not every server still has what was pushed away, nor tells anybody.
        await mirror.fetch(*options, refs=(tip,))


async def _listed(mirror: Mirror, *revisions: str) -> dict[str, list[str]]:
    """Commits with their parents, as they are written in them."""
    printed = await mirror.here("rev-list", f"--max-count={_MOST + 1}", *revisions)
    names = printed.split()
    if len(names) > _MOST:
        raise GitTrouble("HistoryTooLong", f"{mirror.url}: more than {_MOST} commits came at once")
    return await anyio.to_thread.run_sync(_all_parents, mirror, names)


async def _is_rewritten(mirror: Mirror, commit: str, since: str) -> bool:
    bases = await mirror.here("rev-list", "--max-count=1", since, f"^{commit}")
    return bool(bases.strip())


def _cut(mirror: Mirror) -> set[str]:
    """Commits without their parents here."""
    try:
        return set((mirror.path / "shallow").read_text().split())
    except FileNotFoundError:
        return set()


def _has(mirror: Mirror, commit: str) -> bool:
    try:
        return bool(read(mirror.path, commit))
    except Missing:
        return False


def _all_parents(mirror: Mirror, names: list[str]) -> dict[str, list[str]]:
    with objects(mirror.path) as found:
        return {name: list(found.commit(name).parents) for name in names}
