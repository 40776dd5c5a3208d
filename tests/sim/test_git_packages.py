"""Packages from Git over days, with a fake of what is on the disk."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git import GitPackage
from manifests.model.manifest import Manifest
from manifests.model.merge import Winner
from manifests.model.releases import Offer, Release
from manifests.model.snapshot import Declared
from manifests.packages.resolve import ResolveError
from reconciler.drive.git_packages import FETCHING, LOOK_AGAIN, SELDOM, GitPackages, NotHere
from reconciler.drive.keep_going import keep_going
from reconciler.state.releases import Releases
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

pytestmark = pytest.mark.anyio

URL = "https://example.com/apps.git"
A, B = GitPackage(URL, "main", "a"), GitPackage(URL, "main", "b")
VERSION = GitPackage(URL, "main")


class FakeVersions:
    """`remote` is what the server has, `here` what was fetched; `failure` is what a look comes to."""

    def __init__(self) -> None:
        self.remote, self.here = "1", ""
        self.failure = ""
        self.releases: list[Release] = []
        self.looks: Counter[GitPackage] = Counter()
        self.collected: list[tuple[set[GitPackage], set[str]]] = []

    def find(self, package: GitPackage) -> str | None:
        if package.folder == "gone":
            raise RuntimeFailure("GitFolderMissing", "it has no folder gone", hint="look")
        return f"/{self.here}/{package.folder}" if self.here else None

    async def update(self, package: GitPackage) -> bool:
        self.looks[package] += 1
        await anyio.sleep(1)
        if self.failure:
            raise RuntimeFailure("GitFetchFailed", self.failure, hint="wait")
        before, self.here = self.here, self.remote
        return before != self.here

    async def ask(self, package: GitPackage) -> Offer:
        await anyio.sleep(1)
        if self.failure:
            raise RuntimeFailure("GitFetchFailed", self.failure, hint="wait")
        return Offer({each.version: each for each in self.releases})

    def kept(self, package: GitPackage, ran: str) -> str:
        return ran

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None:
        self.collected.append((set(wanted), set(in_use)))
        raise OSError("a disk that is in a bad mood stops nothing")


class World:
    def __init__(self) -> None:
        self.versions = FakeVersions()
        self.changed: list[GitPackage] = []
        self.failures: list[str] = []
        self.git = GitPackages(
            self.versions,
            Releases(),
            ran=lambda _: "",
            changed=self.changed.append,
            failed=lambda failure: self.failures.append(failure.message),
        )

    def source(self, package: GitPackage, *, own: bool = True) -> str | None:
        """The folder that a service with this package is resolved from. Raises ResolveError."""
        manifest = Manifest(id="x", source=str(package))
        return self.git.located(Winner(Declared(manifest, "/", "x.yaml"), "x", own)).declared.manifest.source


@asynccontextmanager
async def running(*wanted: GitPackage) -> AsyncIterator[World]:
    world = World()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.git.run)
        world.git.want(wanted)
        yield world
        tasks.cancel_scope.cancel()


async def test_it_is_fetched_once_for_all_its_folders() -> None:
    async with running(A, B) as world:
        with pytest.raises(NotHere, match=f"fetches {URL}") as caught:
            world.source(A)
        assert caught.value.reason == FETCHING
        await anyio.sleep(2)
        assert (world.source(A), world.source(B)) == ("/1/a", "/1/b")
        assert sorted(world.changed, key=str) == [A, B]
        assert world.versions.looks == {VERSION: 1}


async def test_a_new_commit_is_found_within_a_minute() -> None:
    async with running(A) as world:
        await anyio.sleep(10)
        world.changed.clear()
        world.versions.remote = "2"
        await anyio.sleep(LOOK_AGAIN + 2)
        assert (world.changed, world.source(A)) == ([A], "/2/a")
        await anyio.sleep(10 * LOOK_AGAIN)
        assert world.changed == [A]


async def test_a_commit_is_looked_at_once() -> None:
    fixed = GitPackage(URL, "0" * 40)
    async with running(fixed) as world:
        await anyio.sleep(86400)
        assert world.versions.looks == {fixed: 1}


async def test_what_fails_is_told_once_and_tried_again_ever_more_seldom() -> None:
    async with running(A) as world:
        world.versions.failure = "nobody answers"
        await anyio.sleep(2)
        with pytest.raises(NotHere, match="nobody answers; will be tried again") as caught:
            world.source(A)
        assert (caught.value.reason, caught.value.hint) == ("GitFetchFailed", "wait")
        assert world.changed == [A]
        await anyio.sleep(86400)
        assert world.failures == ["nobody answers"] and world.changed == [A]
        assert 86400 / SELDOM / 2 < world.versions.looks[VERSION] < 86400 / SELDOM + 20
        world.versions.failure = ""
        await anyio.sleep(SELDOM + 2)
        assert world.source(A) == "/1/a"


async def test_what_is_here_serves_while_the_server_is_away() -> None:
    async with running(A) as world:
        await anyio.sleep(2)
        world.versions.failure = "nobody answers"
        await anyio.sleep(86400)
        assert world.source(A) == "/1/a"
        assert world.failures == ["nobody answers"]


async def test_what_is_not_wanted_any_more_is_not_looked_at() -> None:
    async with running(A) as world:
        await anyio.sleep(2)
        world.git.want([])
        looks = world.versions.looks.copy()
        await anyio.sleep(86400)
        assert world.versions.looks == looks
        world.git.want([A])
        await anyio.sleep(2)
        assert world.versions.looks[VERSION] == looks[VERSION] + 1


async def test_a_folder_that_it_does_not_have_needs_a_person() -> None:
    async with running(A) as world:
        await anyio.sleep(2)
        with pytest.raises(ResolveError, match="no folder gone") as caught:
            world.source(replace(A, folder="gone"))
        assert not isinstance(caught.value, NotHere)


async def test_after_a_defect_everything_is_followed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, failures = World(), list[Exception]()

    async def broken(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(world.git, "_follow", broken)
    world.git.want([A])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_going, world.git.run, failures.append)
        await anyio.sleep(60)
        assert [str(each) for each in failures] == ["a defect"]
        assert world.source(A) == "/1/a"
        tasks.cancel_scope.cancel()


async def test_other_nodes_packages_are_fetched_as_a_stranger() -> None:
    async with running(A) as world:
        seen: list[GitPackage] = []
        world.versions.find = lambda package: seen.append(package) or "/x"  # type: ignore[method-assign,func-returns-value]
        world.source(A), world.source(A, own=False)
        assert [package.own for package in seen] == [True, False]


async def test_nothing_is_deleted_while_it_is_not_known_what_is_wanted() -> None:
    async with running(A) as world, anyio.create_task_group() as tasks:
        in_use: list[set[str] | None] = [None, None, {"/0/a"}]
        tasks.start_soon(world.git.collect, lambda: in_use.pop(0))
        await anyio.sleep(2.5 * LOOK_AGAIN)
        assert world.versions.collected == []
        await anyio.sleep(LOOK_AGAIN)
        assert world.versions.collected == [({A}, {"/0/a"})]
        tasks.cancel_scope.cancel()
