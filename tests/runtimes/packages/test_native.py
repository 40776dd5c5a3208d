"""Programs of this machine whose package was fetched: a copy per revision, and what 0.3 left in checkouts."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from manifests.model.git import GitPackage
from manifests.model.service import Package
from manifests.packages.digests import Digests
from runtimes.packages.git import Repositories, is_pristine
from runtimes.packages.native import NativePreparer
from runtimes.packages.store import in_use
from runtimes.preparer import Program
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.runtimes.factories import clear, launch, make_home, make_paths, marked, service
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = make_home()
    yield make_paths(home)
    shutil.rmtree(home)


@pytest.fixture
def apps(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "apps")
    made.commit({"notes/run": "1", "notes/old": "goes"})
    return made


class Versions:
    """The repository as the node has it."""

    def __init__(self, paths: Paths, apps: Repository) -> None:
        self._paths = paths
        self.package = GitPackage(str(apps.path), "main", "notes")

    async def fetch(self, *, by_0_3: bool = False, **env: str) -> Service:
        repositories = Repositories(self._paths.repositories)
        await repositories.update(self.package)
        found = repositories.find(self.package)
        assert found
        if by_0_3:
            for mark in self._paths.repositories.glob("*/.whole-*"):
                mark.unlink()
        return service(package=found, command=["./run"], env=env)

    async def collect(self, *using: Service) -> None:
        """As the node does, now and then."""
        paths = {each.package.path for each in using if each.package}
        await Repositories(self._paths.repositories).collect([self.package], paths | in_use(self._paths))


def checkout(of: Service) -> str:
    assert of.package
    return of.package.path


def write(folder: str | os.PathLike[str], **files: str) -> None:
    for name, text in files.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def read(folder: str | os.PathLike[str]) -> dict[str, str]:
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as file:
            found[name] = file.read()
    return found


async def test_it_runs_in_a_copy_and_what_it_writes_goes_along(paths: Paths, apps: Repository) -> None:
    versions, native = Versions(paths, apps), NativePreparer(paths)
    one = await versions.fetch()
    await native.prepare(one, print)
    assert not await native.populate(one, None)
    where = native.program(one).cwd
    assert where == str(native.copy(one)) != checkout(one)
    await clear(native, "app", [one], one)
    write(where, database="rows")
    assert read(checkout(one)) == {"run": "1", "old": "goes"}
    apps.commit({"notes/run": "2", "notes/old": None})
    two = await versions.fetch()
    await native.prepare(two, print)
    assert await native.populate(two, one)
    assert read(native.program(two).cwd) == {"run": "2", "database": "rows"}
    assert not await clear(native, "app", [two], two)
    assert not os.path.exists(where)
    await versions.collect(two)
    assert not os.path.exists(checkout(one))
    assert len([*paths.repositories.glob("*/.whole-*")]) == 1
    # Nobody declares it any more, and then somebody does again.
    told = await clear(native, "app", [], two)
    assert len(told) == 1 and "kept/app/current" in told[0]
    await native.prepare(two, print)
    assert await native.populate(two, None)
    assert read(native.program(two).cwd) == {"run": "2", "database": "rows"}


async def test_a_folder_of_this_machine_is_run_in(paths: Paths, tmp_path: Path) -> None:
    write(tmp_path, run="1")
    native, of = NativePreparer(paths), service(package=str(tmp_path), command=["./run"])
    await native.prepare(of, print)
    native.adopt(of)
    assert native.program(of).cwd == str(tmp_path) and native.copy(of) is None
    assert not await native.populate(of, None)
    assert not paths.packages("app").exists()


async def test_what_0_3_runs_in_a_checkout_goes_on_there_and_is_carried(
    paths: Paths, apps: Repository
) -> None:
    versions, native = Versions(paths, apps), NativePreparer(paths)
    one = await versions.fetch(by_0_3=True)
    write(checkout(one), database="rows")
    native.adopt(one)
    # It crashes, and is started again where it was; so is one that differs in nothing but its environment.
    again = replace(one, revision="another", manifest=one.manifest.model_copy(update={"env": {"A": "1"}}))
    for each in (one, again):
        await native.prepare(each, print)
        assert not await native.populate(each, one)
        assert os.path.realpath(native.program(each).cwd) == os.path.realpath(checkout(one))
    apps.commit({"notes/run": "2", "notes/old": None})
    two = await versions.fetch()
    # Another service's commit may make no difference to this one: what runs is known by the newer folder.
    await versions.collect(two)
    assert read(checkout(one)) == {"run": "1", "old": "goes", "database": "rows"}
    await native.prepare(two, print)
    assert await native.populate(two, again)
    found = read(native.program(two).cwd)
    assert (found["run"], found["database"]) == ("2", "rows")
    assert not await clear(native, "app", [again, two], again)
    await versions.collect(two)
    assert read(checkout(one))["database"] == "rows"
    await clear(native, "app", [two], two)
    await versions.collect(two)
    assert not os.path.exists(checkout(one))
    assert read(native.program(two).cwd)["database"] == "rows"


async def test_another_environment_for_the_same_commit_has_what_was_written_until_it_starts(
    paths: Paths, apps: Repository
) -> None:
    versions, native = Versions(paths, apps), NativePreparer(paths)
    write(checkout(await versions.fetch()), database="rows", log="x")
    one, again = await versions.fetch(by_0_3=True), await versions.fetch(by_0_3=True, A="1")
    native.adopt(one)
    await native.prepare(again, print)
    write(checkout(one), database="more rows")
    await native.populate(again, one)
    assert read(native.program(again).cwd)["database"] == "more rows"
    # 0.3 took what it found there for the package; it is data all the same.
    apps.commit({"notes/run": "2"})
    two = await versions.fetch()
    await native.prepare(two, print)
    assert await native.populate(two, again)
    found = read(native.program(two).cwd)
    assert (found["run"], found["database"], found["log"]) == ("2", "more rows", "x")


async def test_what_0_3_runs_is_known_as_soon_as_it_is_found(paths: Paths, apps: Repository) -> None:
    class As03(NativePreparer):
        def program(self, service: Service) -> Program:
            return Program((), checkout(service))

    of = await Versions(paths, apps).fetch(by_0_3=True)
    of = replace(of, manifest=of.manifest.model_copy(update={"command": ("sleep", "1000")}))
    hosts = [ProcessHost(paths), ProcessHost(paths)]
    try:
        await ProcessRuntime("process", As03(paths), hosts[0]).start(launch(of))
        hosts[0].close()
        (running,) = await ProcessRuntime("process", NativePreparer(paths), hosts[1]).observe()
        assert running.service == of
        assert in_use(paths) == {checkout(of)}
    finally:
        for pid in marked(paths):
            os.kill(pid, 9)
        hosts[1].close()


async def test_what_was_written_after_the_new_one_began_is_kept_before_a_checkout_goes(
    paths: Paths, apps: Repository
) -> None:
    versions, native = Versions(paths, apps), NativePreparer(paths)
    one = await versions.fetch(by_0_3=True)
    native.adopt(one)
    await clear(native, "app", [one], one)
    apps.commit({"notes/run": "2"})
    two = await versions.fetch()
    await native.prepare(two, print)
    await native.populate(two, one)
    write(checkout(one), late="rows")
    await versions.collect(two)
    (told,) = await clear(native, "app", [two], two)
    await versions.collect(two)
    assert not os.path.exists(checkout(one))
    assert read(told.rpartition(": ")[2]) == {"late": "rows"}


async def test_a_deleted_service_of_0_3_leaves_what_it_wrote(paths: Paths, apps: Repository) -> None:
    versions, native = Versions(paths, apps), NativePreparer(paths)
    one = await versions.fetch(by_0_3=True)
    native.adopt(one)
    write(checkout(one), database="rows")
    await clear(native, "app", [], one)
    apps.commit({"notes/run": "2"})
    two = await versions.fetch()
    await versions.collect()
    assert not os.path.exists(checkout(one))
    await native.prepare(two, print)
    assert await native.populate(two, None)
    assert read(native.program(two).cwd) == {"run": "2", "old": "goes", "database": "rows"}


@pytest.mark.parametrize("known", [True, False], ids=["as it was", "as it is"])
async def test_after_a_reboot_nothing_of_a_checkout_is_taken_for_its_authors(
    paths: Paths, apps: Repository, known: bool
) -> None:
    """0.3 looked at what its program had written now and then, and made it part of the revision."""
    versions, native = Versions(paths, apps), NativePreparer(paths)
    one = await versions.fetch(by_0_3=True)
    assert not is_pristine(paths.repositories / "x" / "y", paths.repositories)
    write(checkout(one), database="rows")
    if not known:
        package = Package(checkout(one), Digests().digest(checkout(one)))
        one = replace(one, package=package, revision="another")
    await native.prepare(one, print)
    await native.populate(one, one)
    assert read(native.program(one).cwd)["database"] == "rows"
    await clear(native, "app", [one], one)
    apps.commit({"notes/run": "2"})
    two = await versions.fetch()
    await native.prepare(two, print)
    assert await native.populate(two, one)
    assert read(native.program(two).cwd) == {"run": "2", "old": "goes", "database": "rows"}
    await clear(native, "app", [two], two)
    await versions.collect(two)
    assert not os.path.exists(checkout(one))
