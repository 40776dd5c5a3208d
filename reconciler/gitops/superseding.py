"""Work at a commit, for as long as it is the newest: whoever waits for a large one need not wait for two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from reconciler.gitops.listing import Seen
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    #: What the ref is, once that may be another than the commit it gets; empty where that is not known.
    News = Callable[[str], Awaitable[Seen]]

T = TypeVar("T")
#: So many commits are given up one after another: a branch may move faster than it can be had.
MOST = 3


async def unless_newer(work: Callable[[], Awaitable[T]], news: News, commit: str = "") -> T | Seen:
    """What the work makes; or what the ref is by then, for which it was cancelled. Raises what the work does.

    `commit` is worked at; where nobody knows which one that is, it is what the first news say.
    """
    newer: list[Seen] = []
    made: list[T] = []
    failures: list[Exception] = []

    async def listen(work: anyio.CancelScope) -> None:
        known = commit
        while not newer:
            try:
                seen = await news(known)
            except GitTrouble:
                # Whoever does the work will find out, or be done before.
                continue
            if known and seen.commit != known:
                newer.append(seen)
                work.cancel()
            known = known or seen.commit

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, tasks.cancel_scope)
        try:
            made.append(await work())
        except Exception as error:
            failures.append(error)
        tasks.cancel_scope.cancel()
    if made:
        return made[0]
    if newer:
        return newer[0]
    raise failures[0]


async def newest(
    obtain: Callable[[Seen], Awaitable[T]], seen: Seen, news: News, tell: Callable[[str, str], None]
) -> tuple[Seen, T]:
    """The newest commit that could be had, and what it is; at last one that is waited for, come what may."""
    for _ in range(MOST):
        found = await unless_newer(partial(obtain, seen), news, seen.commit)
        if not isinstance(found, Seen):
            return seen, found
        tell("CommitSuperseded", f"{seen.shown} is not waited for: {found.shown} is there")
        seen = found
    return seen, await obtain(seen)
