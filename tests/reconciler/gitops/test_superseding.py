"""A newer commit: work at the one before is given up, wherever it is, and leaves nothing in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from reconciler.gitops.listing import Seen
from reconciler.gitops.superseding import MOST, newest, unless_newer
from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.servers import git_daemon
from tests.reconciler.gitops.test_cut import gate, slow
from tests.reconciler.gitops.test_source import living, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runtimes.packages.git_server import Repository

__all__ = ["gate"]
pytestmark = pytest.mark.anyio

OLD, NEW = Seen("a" * 40), Seen("b" * 40)


def news_of(*said: Seen | GitTrouble) -> tuple[list[str], object]:
    asked: list[str] = []
    left: Iterator[Seen | GitTrouble] = iter(said)

    async def news(known: str) -> Seen:
        asked.append(known)
        found = next(left, None)
        if found is None:
            await anyio.sleep_forever()
        if isinstance(found, GitTrouble):
            raise found
        assert found is not None
        return found

    return asked, news


async def test_work_is_given_up_for_a_newer_one_alone() -> None:
    ended = []

    async def work() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")
        return ""

    asked, news = news_of(OLD, GitTrouble("ServerUnreachable", "x"), OLD, NEW)
    assert await unless_newer(work, news, OLD.commit) == NEW  # type: ignore[arg-type]
    assert asked == [OLD.commit] * 4 and ended == ["ended"]
    asked, news = news_of(OLD, NEW)
    assert await unless_newer(work, news) == NEW  # type: ignore[arg-type]
    assert asked == ["", OLD.commit], "what it is of is asked first"


async def test_work_that_ends_is_what_counts() -> None:
    async def fails() -> str:
        await anyio.lowlevel.checkpoint()
        raise GitTrouble("DiskFull", "x")

    async def ends() -> str:
        return "done"

    _, news = news_of()
    assert await unless_newer(ends, news, OLD.commit) == "done"  # type: ignore[arg-type]
    with pytest.raises(GitTrouble):
        await unless_newer(fails, news, OLD.commit)  # type: ignore[arg-type]


async def test_a_branch_that_never_rests_is_followed_all_the_same() -> None:
    commits = iter(range(10**6))
    told: list[str] = []

    async def news(_: str) -> Seen:
        return Seen(f"{next(commits):040x}")

    async def obtain(seen: Seen) -> str:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        return seen.commit

    seen, found = await newest(obtain, OLD, news, lambda reason, message: told.append(reason))
    assert found == seen.commit != OLD.commit
    assert told == ["CommitSuperseded"] * MOST


@pytest.mark.parametrize("rung", [True, False], ids=["a hook", "a poll"])
async def test_a_fetch_that_stands_still_is_not_waited_for(
    rung: bool, home: Path, origin: Repository, gate: Path
) -> None:
    large = origin.git("rev-parse", "HEAD")
    with git_daemon(origin.path.parent, slow(gate)) as url:
        interval = "1h" if rung else "1s"
        async with living(home, looked=False, url=f"{url}/work.git", interval=interval) as life:
            await life.until(gate.with_name("gate.begun").exists)
            newer = origin.commit({"a": None, "web.yaml": manifest("web")})
            if rung:
                life.source.ring()
            await life.until(lambda: "CommitSuperseded" in life.reasons())
            gate.touch()
            await life.until(lambda: (life.source.status()["applied"] or {}).get("commit") == newer)
            assert life.ids == ["web"] and life.reasons().count("CommitApplied") == 1
            assert not list((home / "state" / "git").rglob("*.lock"))
            assert not list((home / "state" / "git").glob(f"*/{large}-*"))


async def test_a_fetch_that_a_hook_began_is_given_up_for_the_next(
    home: Path, origin: Repository, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows which commit that one is of, at first."""
    monkeypatch.setattr("reconciler.gitops.source.SOON", 0.2)
    gate.touch()
    origin.commit({"a": None, "web.yaml": manifest("web")})
    with git_daemon(origin.path.parent, slow(gate)) as url:
        async with living(home, url=f"{url}/work.git") as life:
            gate.unlink()
            gate.with_name("gate.begun").unlink()
            looks = life.source._repository._memory.asked
            origin.commit({"large": os.urandom(100_000).hex()})
            life.source.ring()
            await life.until(gate.with_name("gate.begun").exists)
            await life.until(lambda: life.source._repository._memory.asked > looks)
            gate.with_name("gate.begun").unlink()
            newer = origin.commit({"large": None, "web.yaml": manifest("web", "env: {A: b}\n")})
            life.source.ring()
            # Another fetch, which the first one is not waited for.
            await life.until(gate.with_name("gate.begun").exists)
            gate.touch()
            await life.until(lambda: life.source.status()["applied"]["commit"] == newer)
            assert life.reasons().count("CommitApplied") == 2
