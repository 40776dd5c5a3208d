"""A Git source over real repositories and imaginary services: what it declares, holds, and takes back."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.drive.events import EventLog
from reconciler.gitops.kept import KeptFile
from reconciler.gitops.port import Counts
from reconciler.gitops.repository import Repository as Mirror
from reconciler.gitops.source import TOGETHER, GitManifests
from reconciler.gitops.sources import GitSources
from tests.reconciler.gitops.test_decide import entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio

READY, BROKEN = entry(), entry("False", "True", "CommandNotFound")


def manifest(name: str, more: str = "") -> str:
    return f"id: {name}\ncommand: [sleep, '1']\n{more}"


class Life:
    """One life of a node with one Git source: what it declares, and how its services are said to be."""

    def __init__(self, home: Path, **values: Any) -> None:
        self.events = EventLog()
        self.services: dict[str, dict[str, Any]] = {}
        self.used: set[str] = set()
        spec = GitSource.model_validate({"name": "home", "interval": "1h", **values})
        self.git = GitSources(home, [spec], Place("pi"), self.events, jitter=lambda: 0.5)
        self.source: GitManifests = self.git.sources()[0]
        self._changed = anyio.Event()

    # -- the node

    def standing(self, service_id: str) -> dict[str, Any] | None:
        return self.services.get(service_id)

    def packages_in_use(self) -> set[str]:
        return self.used

    def changed(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # -- what is seen of it

    @property
    def ids(self) -> list[str]:
        return sorted(each.manifest.id for each in self.source.snapshot.services)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events.recent()]

    def ready(self) -> dict[str, Any]:
        return next(each for each in self.source.status()["conditions"] if each["type"] == "Ready")

    def fares(self, **services: dict[str, Any]) -> None:
        self.services.update(services)
        self.events.emit("", "Something", "")

    async def until(self, what: Callable[[], object]) -> None:
        with anyio.fail_after(20):
            while not what():
                await anyio.sleep(0.01)


@asynccontextmanager
async def living(home: Path, *, looked: bool = True, **values: Any) -> AsyncIterator[Life]:
    """`looked`: it has had its first look."""
    life = Life(home, **values)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.git.run, life)
        await life.source.scan()
        tasks.start_soon(life.source.watch, life.changed)
        await life.until(lambda: life.source.status()["lastLook"] or not looked)
        yield life
        tasks.cancel_scope.cancel()


async def test_a_commit_and_the_next(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    async with living(home, url=str(origin.path)) as life:
        assert life.ids == ["a", "b"]
        a = next(each for each in life.source.snapshot.services if each.manifest.id == "a")
        assert life.ready()["status"] == "Unknown"
        life.fares(a=READY, b=READY)
        await life.until(lambda: life.ready()["status"] == "True")
        second = origin.commit({"b.yaml": None, "c.yaml": manifest("c")})
        await life.git.sync("home")
        assert life.ids == ["a", "c"]
        # Nobody has to look again at what did not change.
        assert a is next(each for each in life.source.snapshot.services if each.manifest.id == "a")
        status = life.source.status()
        assert status["pruned"] == ["b"]
        assert status["applied"]["commit"] == second
        assert status["lastAppliedRevision"] == f"main@{second[:12]}"
        assert status["applied"]["services"] == ["a", "c"]


async def test_a_boot_needs_no_server(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a"), "app.yaml": "id: app\nsource: ./app\n", "app/main.py": "1"})
    async with living(home, url=str(origin.path)) as life:
        folder = life.source.snapshot.services[1].base
    shutil.move(origin.path, origin.path.with_name("away"))
    async with living(home, url=str(origin.path)) as again:
        assert again.ids == ["a", "app"]
        assert again.source.snapshot.known
        assert again.source.snapshot.services[1].base == folder
        assert again.ready()["reason"] == "RepositoryNotFound"
        shutil.move(origin.path.with_name("away"), origin.path)
        await again.git.sync(None)
        assert again.ready()["reason"] == "Progressing"


async def test_before_anything_was_read_nothing_is_known(home: Path, origin: Repository) -> None:
    async with living(home, url=str(origin.path) + "-not-there") as life:
        assert not life.source.snapshot.known
        assert life.ready()["status"] == "False"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"c.yaml": "id: [\n", "new.yaml": manifest("new")}, "InvalidManifests"),
        ({"a.yaml": None, "b.yaml": None}, "Empty"),
        ({"b.yaml": None, "a.yaml": "id: a\nnonsense: 1\n"}, "InvalidManifests"),
    ],
)
async def test_a_bad_commit_leaves_the_last_one_whole(
    files: dict[str, str | None], reason: str, home: Path, origin: Repository
) -> None:
    origin.commit({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    async with living(home, url=str(origin.path)) as life:
        before = life.source.snapshot
        bad = origin.commit(files)
        await life.git.sync("home")
        assert life.source.snapshot is before
        assert life.ready()["reason"] == reason
        assert life.source.status()["held"]["commit"] == bad
        # Not tried again by itself; mended by another commit.
        held = life.reasons().count("CommitHeld")
        life.source.ring()
        looked = life.source._done
        await life.until(lambda: life.source._done > looked)
        assert life.reasons().count("CommitHeld") == held
        assert life.git.counts() == {"home": Counts(applied=1, held=1)}
        origin.commit({"a.yaml": manifest("a"), "c.yaml": manifest("c")})
        await life.git.sync("home")
        assert life.ids[0] == "a"
        assert life.source.status()["held"] is None


async def test_a_commit_that_fails_is_taken_back_as_a_whole(home: Path, origin: Repository) -> None:
    first = origin.commit({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    async with living(home, url=str(origin.path), onFailure="revert") as life:
        life.fares(a=READY, b=READY)
        await life.until(lambda: life.ready()["status"] == "True")
        bad = origin.commit(
            {"a.yaml": manifest("a", "env: {A: '2'}\n"), "b.yaml": None, "c.yaml": manifest("c")}
        )
        await life.git.sync("home")
        assert life.ids == ["a", "c"]
        life.fares(a=READY, c=BROKEN)
        await life.until(lambda: "CommitReverted" in life.reasons())
        await life.until(lambda: life.ids == ["a", "b"])
        assert not any(each.manifest.env for each in life.source.snapshot.services)
        assert life.source.status()["applied"]["commit"] == first
        assert life.source.status()["held"]["commit"] == bad
        assert life.git.counts() == {"home": Counts(applied=2, reverted=1)}
    # The next life knows that, and does not try again.
    async with living(home, url=str(origin.path), onFailure="revert") as again:
        assert again.ids == ["a", "b"]
        assert again.ready()["reason"] == "Reverted"
        better = origin.commit({"c.yaml": manifest("c", "env: {B: '1'}\n")})
        await again.git.sync("home")
        assert again.source.status()["applied"]["commit"] == better


async def test_without_on_failure_it_stays_and_says_so(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        life.fares(a=READY)
        await life.until(lambda: life.ready()["status"] == "True")
        origin.commit({"a.yaml": manifest("a", "env: {A: '2'}\n")})
        await life.git.sync("home")
        life.fares(a=BROKEN)
        await life.until(lambda: life.ready()["reason"] == "HealthCheckFailed")
        assert "CommitReverted" not in life.reasons()


async def test_who_keeps_data_is_not_taken_back_once_it_ran(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a"), "data.yaml": manifest("data")})
    async with living(home, url=str(origin.path), onFailure="revert") as life:
        life.fares(a=READY, data=entry(strategy="recreate"))
        await life.until(lambda: life.ready()["status"] == "True")
        new = "env: {A: '2'}\n"
        origin.commit({"a.yaml": manifest("a", new), "data.yaml": manifest("data", new)})
        await life.git.sync("home")
        life.fares(a=entry("False", "True", "HealthyDeadlineExceeded"), data=entry(strategy="recreate"))
        await life.until(lambda: "CommitReverted" in life.reasons())
        await life.until(
            lambda: [each.manifest.env for each in life.source.snapshot.services] != [{"A": "2"}] * 2
        )
        found = {each.manifest.id: dict(each.manifest.env) for each in life.source.snapshot.services}
        assert found == {"a": {}, "data": {"A": "2"}}
        assert "but for data" in life.ready()["message"]


async def test_what_is_not_pruned_stays_as_it_was_also_in_the_next_life(
    home: Path, origin: Repository
) -> None:
    origin.commit({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    async with living(home, url=str(origin.path), prune=False) as life:
        origin.commit({"a.yaml": None})
        await life.git.sync("home")
        assert life.ids == ["a", "b"]
        life.fares(b=READY)
        await life.until(lambda: life.ready()["status"] == "True")
    async with living(home, url=str(origin.path), prune=False) as again:
        assert again.ids == ["a", "b"]


async def test_one_repository_of_several_nodes(home: Path, origin: Repository) -> None:
    origin.commit({"nodes/pi/a.yaml": manifest("a"), "nodes/laptop/b.yaml": manifest("b")})
    async with living(home, url=str(origin.path), path="nodes/${node}") as life:
        assert life.ids == ["a"]


async def test_another_repository_of_the_same_name_concludes_nothing_before_it_is_read(
    home: Path, origin: Repository
) -> None:
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        assert life.ids == ["a"]
    async with living(home, url=f"{origin.path}-moved") as again:
        assert not again.source.snapshot.known


@pytest.mark.parametrize("damage", ["mirror", "note"])
async def test_what_is_lost_on_this_disk_is_fetched_again(
    damage: str, home: Path, origin: Repository
) -> None:
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        assert life.ids == ["a"]
    if damage == "mirror":
        shutil.rmtree(home / "state" / "git")
    else:
        (home / "state" / "git-sources" / "home.json").write_text("{")
    async with living(home, url=str(origin.path)) as again:
        assert again.ids == ["a"]
        assert again.source.snapshot.known


async def test_who_pushed_something_away_is_told_of(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a")})
    origin.commit({"b.yaml": manifest("b")})
    async with living(home, url=str(origin.path)) as life:
        origin.git("reset", "--quiet", "--hard", "HEAD~1")
        origin.git("push", "--quiet", "--force", "origin", "HEAD")
        origin.commit({"c.yaml": manifest("c")})
        await life.git.sync("home")
        assert life.ids == ["a", "c"]
        await life.until(lambda: "HistoryRewritten" in life.reasons())


async def test_a_disk_that_takes_nothing_stops_nothing(
    home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: KeptFile, kept: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(KeptFile, "write", full)
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        assert life.ids == ["a"]
        assert "DiskFailed" in life.reasons()


async def test_folders_of_commits_go_when_nothing_needs_them(home: Path, origin: Repository) -> None:
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        trees = home / "state" / "git" / life.source.source.mirror
        used = life.source.snapshot.services[0].base
        life.used.add(used)
        for number in range(3):
            life.fares(a=READY)
            await life.until(lambda: life.ready()["status"] == "True")
            origin.commit({"a.yaml": manifest("a", f"env: {{A: '{number}'}}\n")})
            await life.git.sync("home")
        life.fares(a=READY)
        await life.until(lambda: len([each for each in trees.iterdir() if each.is_dir()]) == 2)
        life.used.clear()
        origin.commit({"a.yaml": manifest("a")})
        await life.git.sync("home")
        life.fares(a=READY)
        await life.until(lambda: len([each for each in trees.iterdir() if each.is_dir()]) == 1)


class Killed(BaseException):
    """As if the process ended here."""


STEPS = ("fetch", "checkout", "write", "show", "forget")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_the_next_life_converges(
    step: str, home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = origin.commit({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    async with living(home, url=str(origin.path)) as life:
        life.fares(a=READY, b=READY)
        await life.until(lambda: life.ready()["status"] == "True")
    second = origin.commit({"b.yaml": None, "c.yaml": manifest("c")})
    owner, name = {
        "fetch": (Mirror, "fetch"),
        "checkout": (Mirror, "checkout"),
        "write": (KeptFile, "write"),
        "show": (GitManifests, "_show"),
        "forget": (Mirror, "forget"),
    }[step]

    async def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(BaseExceptionGroup):
        patch.setattr(owner, name, die)
        async with living(home, url=str(origin.path)) as dying:
            dying.fares(a=READY, c=READY)
            await anyio.sleep(30)
    async with living(home, url=str(origin.path)) as again:
        await again.until(lambda: again.source.status()["applied"]["commit"] == second != first)
        assert again.ids == ["a", "c"]


async def test_sources_of_one_repository_ask_once(
    home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"a.yaml": manifest("a"), "b/b.yaml": manifest("b")})
    asked = 0
    ask = Mirror._ask

    async def counted(self: Mirror) -> None:
        nonlocal asked
        asked += 1
        await ask(self)

    monkeypatch.setattr(Mirror, "_ask", counted)
    specs = [
        GitSource.model_validate({"name": f"s{number}", "url": str(origin.path), "interval": "1h"})
        for number in range(10)
    ]
    git = GitSources(home, specs, Place("pi"), EventLog(), jitter=lambda: 0.5)
    for source in git.sources():
        await source.scan()
        await source.poll(lambda: None)
        assert [each.manifest.id for each in source.snapshot.services] == ["a", "b"]
    assert asked == 1


async def test_services_that_are_ready_before_all_is_done_with_a_commit(
    home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of them again."""
    origin.commit({"a.yaml": manifest("a")})
    async with living(home, url=str(origin.path)) as life:
        life.fares(a=READY)
        await life.until(lambda: life.ready()["status"] == "True")

        async def late(*_: object) -> None:
            life.fares(a=READY)
            await anyio.sleep(3 * TOGETHER)

        monkeypatch.setattr("reconciler.gitops.source.rewriting", late)
        second = origin.commit({"a.yaml": manifest("a", "env: {A: '2'}\n")})
        await life.git.sync("home")
        await life.until(lambda: life.ready()["status"] == "True")
        assert life.source.status()["applied"]["commit"] == second
