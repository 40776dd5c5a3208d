"""Releases over days: which one a service gets, and that it stays there until somebody asks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git import GitPackage
from manifests.model.manifest import Manifest
from manifests.model.merge import Winner
from manifests.model.releases import Offer, Release
from manifests.model.semver import parse_version
from manifests.model.snapshot import Declared
from manifests.packages.resolve import ResolveError
from reconciler.drive.git_packages import KEPT, LOOK_AGAIN, NO_RELEASE, GitPackages
from reconciler.state.releases import Releases
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

pytestmark = pytest.mark.anyio

URL = "https://example.com/notes.git"
DAY = 86400.0


class Server:
    """A repository with tags and a default branch, and what of it was fetched to this machine."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.head = commit("head")
        self.away = False
        self.here: set[str] = set()
        self.followed = ""
        self.was_followed = ""

    def find(self, package: GitPackage) -> str | None:
        found = package.ref or self.followed
        return f"/{found}" if found in self.here else None

    async def update(self, package: GitPackage) -> bool:
        assert not package.is_release, "nobody but this machine knows what a service stays at"
        self._answer()
        wanted = package.ref or self.head
        news = wanted not in self.here or (not package.ref and wanted != self.followed)
        self.here.add(wanted)
        self.followed = self.followed if package.ref else wanted
        return news

    async def ask(self, package: GitPackage) -> Offer:
        self._answer()
        found = [(parse_version(tag), tag, each) for tag, each in self.tags.items()]
        return Offer({version: Release(version, tag, each) for version, tag, each in found if version})

    def kept(self, package: GitPackage, ran: str) -> str:
        return ran.removeprefix("/")

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None:
        used = {each.removeprefix("/") for each in in_use}
        self.here &= used | {each.ref or self.followed for each in wanted}

    def _answer(self) -> None:
        if self.away:
            raise RuntimeFailure("GitFetchFailed", "nobody answers")


def commit(name: str) -> str:
    return name.encode().hex().ljust(40, "0")


class World:
    def __init__(self, server: Server, file: Path | None = None) -> None:
        self.server = server
        self.changed: list[GitPackage] = []
        self.ran: dict[str, str] = {}
        self.git = GitPackages(
            server,
            Releases(file),
            ran=lambda service_id: self.ran.get(service_id, ""),
            changed=self.changed.append,
        )

    def winner(self, service_id: str = "notes", version: str | None = None, ref: str = "") -> Winner:
        manifest = Manifest(id=service_id, source=URL + ref, version=version)
        return Winner(Declared(manifest, "/", "x.yaml"), "manifests")

    def want(self, *winners: Winner) -> None:
        self.git.want([package(each) for each in winners])

    def runs(self, winner: Winner) -> str:
        """The commit that a service is resolved from; or the reason why it is not."""
        try:
            return (self.git.located(winner).declared.manifest.source or "").removeprefix("/")
        except ResolveError as error:
            return error.reason


def package(winner: Winner) -> GitPackage:
    manifest = winner.declared.manifest
    source, _, ref = (manifest.source or "").partition("#")
    if ref:
        return GitPackage(source, ref)
    return GitPackage(source, range=manifest.version or "", service=manifest.id)


@asynccontextmanager
async def life(server: Server, file: Path | None = None) -> AsyncIterator[World]:
    world = World(server, file)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.git.run)
        tasks.start_soon(world.git.collect, list)
        yield world
        tasks.cancel_scope.cancel()


@pytest.fixture
def server() -> Server:
    made = Server()
    made.tags = {"v1.0.0": commit("1.0"), "v1.2.0": commit("1.2"), "v2.0.0-rc.1": commit("2.0-rc")}
    return made


async def test_the_newest_release_and_that_one_from_then_on(server: Server, tmp_path: Path) -> None:
    async with life(server, tmp_path / "releases.json") as world:
        notes = world.winner()
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == commit("1.2")
        server.tags["v1.3.0"] = commit("1.3")
        await anyio.sleep(DAY)
        assert world.runs(notes) == commit("1.2") in server.here
    # Also in another life, and without the server.
    server.away = True
    async with life(server, tmp_path / "releases.json") as world:
        assert world.runs(notes) == commit("1.2")
        world.want(notes)
        await anyio.sleep(DAY)
        assert world.runs(notes) == commit("1.2")


async def test_a_person_asks_for_the_newer_one(server: Server) -> None:
    async with life(server) as world:
        notes, other = world.winner(), world.winner("other")
        world.want(notes, other)
        await anyio.sleep(1)
        assert await world.git.offered(package(notes)) == ("1.2.0", "1.2.0")
        server.tags["v1.3.0"] = commit("1.3")
        assert await world.git.offered(package(notes)) == ("1.2.0", "1.3.0")
        server.away = True
        with pytest.raises(RuntimeFailure):
            await world.git.renew(package(notes))
        assert world.runs(notes) == commit("1.2")
        server.away = False
        await world.git.renew(package(notes))
        assert (world.runs(notes), world.runs(other)) == (commit("1.3"), commit("1.2"))
        assert world.changed[-1] == package(notes)
        # Nobody is led back to an older one.
        del server.tags["v1.3.0"]
        await world.git.renew(package(notes))
        assert world.runs(notes) == commit("1.3")


async def test_a_range_moves_only_who_is_not_in_it(server: Server) -> None:
    async with life(server) as world:
        notes = world.winner(version="~1.0")
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == commit("1.0")
        for version, expected in (
            ("^1", "1.0"),
            (">=1.1", "1.2"),
            ("latest", "1.2"),
            (">=2.0.0-0", "2.0-rc"),
        ):
            changed = world.winner(version=version)
            world.want(changed)
            await anyio.sleep(1)
            assert world.runs(changed) == commit(expected)
        none = world.winner(version="^3")
        world.want(none)
        await anyio.sleep(10)
        assert world.runs(none) == NO_RELEASE
        server.tags["v3.1.0"] = commit("3.1")
        await anyio.sleep(DAY)
        assert world.runs(none) == commit("3.1")


async def test_without_releases_the_default_branch_is_followed(server: Server) -> None:
    server.tags = {"nightly": commit("n")}
    async with life(server) as world:
        notes = world.winner()
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == server.head
        server.head = commit("next")
        await anyio.sleep(LOOK_AGAIN + 1)
        assert world.runs(notes) == commit("next")
        # A first release is no reason to lead it away.
        server.tags["v1.0.0"] = commit("1.0")
        await anyio.sleep(DAY)
        assert world.runs(notes) == commit("next")
        with pytest.raises(RuntimeFailure, match=r"has no release in \^2; its newest is 1\.0\.0"):
            await world.git.renew(package(world.winner(version="^2")))


async def test_what_ran_before_releases_were_followed_stays_and_says_so(server: Server) -> None:
    server.here, server.away = {commit("old")}, True
    async with life(server) as world:
        world.ran["notes"] = f"/{commit('old')}"
        notes, fresh = world.winner(), world.winner("fresh")
        # Before anybody was asked, too.
        assert world.runs(notes) == commit("old")
        world.want(notes, fresh)
        await anyio.sleep(DAY)
        assert world.runs(notes) == commit("old")
        server.away = False
        await anyio.sleep(DAY)
        assert (world.runs(notes), world.runs(fresh)) == (commit("old"), commit("1.2"))
        note = world.git.note(notes)
        assert note and note.reason == KEPT and commit("old")[:12] in note.message
        assert world.git.note(fresh) is None
        # Its manifest says how it goes on, or a person does.
        ranged = world.winner(version="^1")
        world.want(ranged, fresh)
        await anyio.sleep(1)
        assert world.runs(ranged) == commit("1.2") and world.git.note(ranged) is None


@pytest.mark.parametrize(
    ("tags", "kept"), [({"v9.0.0": commit("old")}, False), ({}, False), ({"v1.0.0": "0" * 40}, True)]
)
async def test_what_ran_is_told_only_where_it_is_no_release(
    server: Server, tags: dict[str, str], kept: bool
) -> None:
    server.here, server.tags, server.head = {commit("old")}, tags, commit("old")
    async with life(server) as world:
        world.ran["notes"] = f"/{commit('old')}"
        notes = world.winner()
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == commit("old")
        assert (world.git.note(notes) is not None) is kept
        await world.git.renew(package(notes)) if kept else None
        assert (world.runs(notes) == commit("old")) is not kept


async def test_a_first_fetch_says_what_is_wrong_and_keeps_nothing(server: Server, tmp_path: Path) -> None:
    world = World(server, tmp_path / "releases.json")
    server.away = True
    with pytest.raises(RuntimeFailure, match="nobody answers"):
        await world.git.first(package(world.winner()))
    server.away, server.tags = False, {}
    with pytest.raises(RuntimeFailure, match="has no release") as caught:
        await world.git.first(package(world.winner()))
    assert caught.value.reason == NO_RELEASE and "#main" in caught.value.hint
    assert not (tmp_path / "releases.json").exists()
    server.tags = {"v1.0.0": commit("1.0")}
    await world.git.first(package(world.winner()))
    assert World(server, tmp_path / "releases.json").runs(world.winner()) == commit("1.0")


async def test_a_service_that_is_gone_is_forgotten_and_one_that_blinks_is_not(server: Server) -> None:
    async with life(server) as world:
        notes = world.winner()
        world.want(notes)
        await anyio.sleep(1)
        server.tags["v1.3.0"] = commit("1.3")
        world.want()
        await anyio.sleep(LOOK_AGAIN)
        world.want(notes)
        await anyio.sleep(DAY)
        assert world.runs(notes) == commit("1.2")
        world.want()
        await anyio.sleep(3 * LOOK_AGAIN)
        assert server.here == set()
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == commit("1.3")


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"services": 5}', '{"services": {"notes": {}}}', '{"services": {"notes": 1}}']
)
async def test_a_damaged_file_counts_as_none(server: Server, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "releases.json"
    file.write_text(damage)
    async with life(server, file) as world:
        notes = world.winner()
        world.want(notes)
        await anyio.sleep(1)
        assert world.runs(notes) == commit("1.2")
    assert replace(package(notes), folder="x") != package(notes) and Releases(file).get(package(notes))
