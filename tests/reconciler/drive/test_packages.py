"""What services run from: which of it changed, what is told of it, and what is deleted when."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git import GitPackage
from reconciler.drive import git_packages
from reconciler.drive.controllers import Controllers
from reconciler.drive.events import EventLog
from reconciler.drive.packages import Packages
from reconciler.state.habits import HabitsFile
from reconciler.state.releases import Releases
from reconciler.state.vault import Vault
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from pathlib import Path

    from manifests.model.releases import Offer

pytestmark = pytest.mark.anyio

NOTES = GitPackage("https://example.com/notes.git", "main")


class Versions:
    """Implements `git_packages.Versions`: nobody answers, until somebody does."""

    def __init__(self) -> None:
        self.away = True
        self.collected: list[set[str]] = []

    def find(self, package: GitPackage) -> str | None:
        return None if self.away else "/1"

    async def update(self, package: GitPackage) -> bool:
        if self.away:
            raise RuntimeFailure("GitFetchFailed", "nobody answers")
        return True

    async def ask(self, package: GitPackage) -> Offer:
        raise AssertionError("nobody asks for releases here")

    def kept(self, package: GitPackage, ran: str) -> str:
        return ""

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None:
        self.collected.append(set(in_use))


class Host:
    """Implements `packages.Host`."""

    def __init__(self) -> None:
        self.all_read = False
        self.looks = 0
        self.failures: list[Exception] = []

    @property
    def complete(self) -> bool:
        self.looks += 1
        return self.all_read

    def packages_in_use(self) -> Collection[str]:
        return ["/1"]

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


class World:
    def __init__(self, home: Path) -> None:
        self.versions, self.host, self.events = Versions(), Host(), EventLog()
        habits, controllers = HabitsFile(home / "rewriting.json"), Controllers()
        self.packages = Packages(self.versions, Releases(), habits, Vault(home), controllers, self.events)

    def told(self) -> list[str]:
        return [event.message for event in self.events.recent()]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for pause in ("AFTER_FAILURE", "LOOK_AGAIN"):
        monkeypatch.setattr(git_packages, pause, 0.01)
    async with running(World(tmp_path)) as made:
        yield made


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.packages.run, world.host)
        yield world
        tasks.cancel_scope.cancel()


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(30):
        while not holds():
            await anyio.sleep(0.01)


async def changed(world: World) -> set[object]:
    with anyio.fail_after(30):
        return set(await world.packages.changed())


async def test_a_folder_that_is_edited_changed_and_one_that_nobody_wants_did_not(
    world: World, tmp_path: Path
) -> None:
    wanted, other = tmp_path / "wanted", tmp_path / "other"
    for folder in (wanted, other):
        folder.mkdir()
    world.packages.want([str(wanted)], ["notes"])
    # Whatever happened before it was watched counts as a change.
    assert await changed(world) == {str(wanted)}
    (other / "file").touch()
    (wanted / "file").touch()
    assert await changed(world) == {str(wanted)}


async def test_a_repository_that_nobody_answers_for_is_told_once_and_changed_when_it_is_there(
    world: World,
) -> None:
    world.packages.want([NOTES], ["notes"])
    assert await changed(world) == {NOTES}
    assert world.told() == ["nobody answers"]
    world.versions.away = False
    assert await changed(world) == {NOTES}
    assert world.told() == ["nobody answers"] and world.host.failures == []


async def test_nothing_is_deleted_while_a_service_may_be_wanted_that_no_source_mentions_yet(
    world: World,
) -> None:
    await until(lambda: world.host.looks > 1)
    assert world.versions.collected == []
    world.host.all_read = True
    await until(lambda: world.versions.collected)
    assert world.versions.collected[0] == {"/1"}
