"""What was installed once and is used again: spares that are made, waited for, and taken back."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.base import RuntimeFailure
from runtimes.packages import trees
from runtimes.packages.fingerprints import fingerprint
from runtimes.packages.store import PackageStore
from runtimes.packages.trees import MOST_SPARES, About
from tests.runtimes.factories import clear, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

FILES = {"lib/index.js": "exports.n = 1", "lib/deep/a.js": "a", "tool.js": "t"}


class App:
    """A package of a service called app, whose tool installs FILES into node_modules."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.store = PackageStore(paths)
        self.copies = 0
        self.edition = 0
        self.before_cp: list[anyio.Event] = []

    async def cp(self, words: list[str]) -> None:
        self.copies += 1
        for event in self.before_cp:
            await event.wait()
        await anyio.run_process(words)

    def edit(self) -> Service:
        self.edition += 1
        (self.paths.home / "source/index.js").write_text(f"{self.edition}")
        return service(package=os.fspath(self.paths.home / "source"))

    async def prepare(self, of: Service, then: Callable[[Path], None] = lambda _: None) -> Path:
        """`then`: what its build does. Returns its node_modules."""

        async def finish(copy: Path) -> dict[str, list[str]]:
            tree = self.store.tree(of, "key")
            if (about := tree.about()) is None:
                for name, text in FILES.items():
                    place = copy / "node_modules" / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(text)
                (copy / ".pnp.cjs").write_text("pnp")
                await tree.keep(copy, About(("node_modules", ".pnp.cjs")), self.cp)
            else:
                await tree.lay(copy, about, self.cp)
            then(copy)
            return {"uses": [tree.folder.name]}

        await self.store.make_copy(of, lambda _: None, finish)
        return self.store.require(of) / "node_modules"

    async def prewarm(self, of: Service) -> None:
        await self.store.tree(of, "key").prewarm(self.cp)

    async def edited(self, before: Service) -> Service:
        """As the loop does it, with the old revision gone in the end."""
        of = self.edit()
        await self.prepare(of)
        await self.prewarm(of)
        await clear(self.store, "app", [of], before)
        return of

    @property
    def spares(self) -> list[int]:
        """Their node_modules."""
        found = self.paths.packages("app").glob("tree-key/spares/*/node_modules")
        return [place.stat().st_ino for place in found]


@pytest.fixture
def app() -> Iterator[App]:
    home = make_home()
    (home / "source").mkdir()
    yield App(make_paths(home))
    shutil.rmtree(home)


def assert_as_installed(modules: Path) -> None:
    found = {os.fspath(each.relative_to(modules)) for each in modules.rglob("*") if each.is_file()}
    assert found == set(FILES)
    assert {name: (modules / name).read_text() for name in FILES} == FILES
    assert (modules.parent / ".pnp.cjs").read_text() == "pnp"


async def first_edits(app: App) -> Service:
    """Until the one that runs was given a spare, and there is another one."""
    of = app.edit()
    await app.prepare(of, lambda copy: (copy / "node_modules/built.js").touch())
    await app.prewarm(of)
    return await app.edited(of)


async def test_what_was_installed_first_is_of_use_too(app: App) -> None:
    of = app.edit()
    first = (await app.prepare(of)).stat().st_ino
    await app.prewarm(of)
    await app.edited(of)
    assert first in app.spares and len(app.spares) == MOST_SPARES
    # Once for the tree, and for two spares.
    assert app.copies == 3


async def test_edits_that_follow_each_other_copy_nothing(app: App) -> None:
    of = await first_edits(app)
    of = await app.edited(of)
    before = app.copies
    for _ in range(4):
        old = (app.store.require(of) / "node_modules").stat().st_ino
        of = await app.edited(of)
        # What the old revision had is for the next but one.
        assert old in app.spares and len(app.spares) == MOST_SPARES
        assert_as_installed(app.store.require(of) / "node_modules")
    assert app.copies == before
    assert not list(app.paths.trash.iterdir())


def _append(copy: Path) -> None:
    """Into what is there, with its times as they were."""
    file = copy / "node_modules/lib/index.js"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text("exports.n = 2")
    os.utime(file, ns=times)


def _pnp(copy: Path) -> None:
    file = copy / ".pnp.cjs"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text("PNP")
    os.utime(file, ns=times)


def _link(copy: Path) -> None:
    """Another name for a file, which is written to under that name."""
    os.link(copy / "node_modules/tool.js", copy / "other.js")
    (copy / "other.js").write_text("x")


def _exchange(copy: Path) -> None:
    place = copy / "node_modules/lib"
    other = shutil.copytree(place, copy / "lib", copy_function=shutil.copy2)
    shutil.rmtree(place)
    os.rename(other, place)


WRITES: dict[str, Callable[[Path], None]] = {
    "written in place": _append,
    "a file that lies at the top": _pnp,
    "another name": _link,
    "the same once more": _exchange,
    "a new file": lambda copy: (copy / "node_modules/lib/deep/.cache").touch(),
    "a new folder": lambda copy: (copy / "node_modules/.cache").mkdir(),
    "a file removed": lambda copy: (copy / "node_modules/lib/deep/a.js").unlink(),
    "another mode": lambda copy: (copy / "node_modules/tool.js").chmod(0o755),
    "all of it removed": lambda copy: shutil.rmtree(copy / "node_modules"),
}


@pytest.mark.parametrize("what", WRITES)
async def test_what_a_program_wrote_into_is_no_spare(app: App, what: str) -> None:
    of = await first_edits(app)
    WRITES[what](app.store.require(of))
    of = await app.edited(of)
    # The one that was made, and none that was taken back.
    assert len(app.spares) == 1
    for _ in range(3):
        assert_as_installed(app.store.require(of) / "node_modules")
        of = await app.edited(of)


async def test_reading_it_keeps_it_of_use(app: App) -> None:
    of = await first_edits(app)
    modules = app.store.require(of) / "node_modules"
    for file in modules.rglob("*.js"):
        assert file.read_text()
    old = modules.stat().st_ino
    await app.edited(of)
    assert old in app.spares and len(app.spares) == 2


async def test_who_needs_a_spare_waits_for_the_one_in_the_making(app: App) -> None:
    of = app.edit()
    await app.prepare(of)
    go_on = anyio.Event()
    app.before_cp.append(go_on)
    before = app.copies
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app.prewarm, of)
        await anyio.wait_all_tasks_blocked()
        second = app.edit()
        tasks.start_soon(app.prepare, second)
        while not list(app.paths.packages("app").glob(f".new-{app.store.copy(second).name}")):
            await anyio.sleep(0.01)
        go_on.set()
    assert app.copies == before + 1 and app.spares == []
    assert_as_installed(app.store.require(second) / "node_modules")


async def test_who_waits_for_a_spare_that_fails_makes_a_copy(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = app.edit()
    await app.prepare(of)
    go_on = anyio.Event()

    async def fails(words: list[str]) -> None:
        await go_on.wait()
        raise RuntimeFailure("DiskFull", "there is no space left")

    async def prewarm() -> None:
        with pytest.raises(RuntimeFailure):
            await app.store.tree(of, "key").prewarm(fails)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prewarm)
        await anyio.wait_all_tasks_blocked()
        second = app.edit()
        tasks.start_soon(app.prepare, second)
        while not list(app.paths.packages("app").glob(f".new-{app.store.copy(second).name}")):
            await anyio.sleep(0.01)
        go_on.set()
    assert_as_installed(app.store.require(second) / "node_modules")


@pytest.mark.parametrize("writes", [False, True])
async def test_what_a_failed_build_was_given_is_taken_back_unless_it_wrote_there(
    app: App, writes: bool
) -> None:
    of = await first_edits(app)
    (given,) = app.spares

    def build(copy: Path) -> None:
        if writes:
            (copy / "node_modules/built.js").touch()
        raise RuntimeFailure("PrepareFailed", "npm run build failed")

    with pytest.raises(RuntimeFailure):
        await app.prepare(app.edit(), build)
    await app.store.purge()
    assert (given in app.spares) != writes
    assert_as_installed(await app.prepare(app.edit()))
    assert app.store.require(of)


async def test_no_more_is_taken_back_than_is_of_use(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    of = await first_edits(app)
    monkeypatch.setattr(trees, "LARGEST_SPARE", -1)
    given = (app.store.require(of) / "node_modules").stat().st_ino
    await app.edited(of)
    assert given not in app.spares
    assert not list(app.paths.trash.iterdir())


async def test_what_is_collected_is_out_of_its_place_at_once_and_deleted_later(app: App) -> None:
    of = app.edit()
    await app.prepare(of)
    copy = app.store.require(of)
    await app.store.retain("app", [], None)
    await app.store.collect("app", [])
    assert not app.paths.packages("app").exists()
    (thrown,) = (each for each in app.paths.trash.glob(f"*-{copy.name}") if each.is_dir())
    assert (thrown / "index.js").exists()
    # Meanwhile it may be wanted again.
    assert_as_installed(await app.prepare(of))
    await app.store.purge()
    assert not list(app.paths.trash.iterdir())
    assert_as_installed(app.store.require(of) / "node_modules")


async def test_two_at_a_time_empty_the_trash(app: App) -> None:
    for _ in range(20):
        await app.prepare(app.edit())
    await app.store.retain("app", [], None)
    await app.store.collect("app", [])
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(PackageStore(app.paths).purge)
    assert not list(app.paths.trash.iterdir())


async def test_nobody_waits_for_the_trash_who_ends(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is told to stop leaves the rest to its next life."""
    of = app.edit()
    await app.prepare(of)
    await app.store.retain("app", [], None)
    await app.store.collect("app", [])
    scope = anyio.CancelScope()
    removed: list[Path] = []

    def remove(place: Path, going_on: Callable[[], None]) -> None:
        anyio.from_thread.run_sync(scope.cancel)
        removed.append(place)
        going_on()

    monkeypatch.setattr("runtimes.data.trash.remove_tree", remove)
    with scope:
        await app.store.purge()
    assert len(removed) == 1
    monkeypatch.undo()
    await app.store.purge()
    assert not list(app.paths.trash.iterdir())


async def test_a_fingerprint_knows_a_moved_tree(tmp_path: Path) -> None:
    (tmp_path / "one/lib").mkdir(parents=True)
    (tmp_path / "one/lib/a").write_text("a")
    (tmp_path / "one/lib/link").symlink_to("a")
    taken = partial(fingerprint, names=["lib"])
    before = taken(tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "one/lib").rename(tmp_path / "two/lib")
    assert taken(tmp_path / "two") == before
    (tmp_path / "two/lib/link").unlink()
    (tmp_path / "two/lib/link").symlink_to("b")
    assert taken(tmp_path / "two") != before


@pytest.fixture
def led_out(tmp_path: Path) -> tuple[Path, Path]:
    """A copy in which a hook has made a link to somebody's folder of what is kept; and that folder."""
    others = tmp_path / "others"
    (others / "cache").mkdir(parents=True)
    (others / "cache" / "letter").write_text("theirs")
    copy = tmp_path / "copy"
    (copy / "node_modules").mkdir(parents=True)
    (copy / ".yarn").symlink_to(others)
    return copy, others


async def test_what_lies_behind_a_link_out_of_a_copy_is_not_kept(led_out: tuple[Path, Path]) -> None:
    copy, _ = led_out
    assert trees.inside(copy, ["node_modules", ".yarn", ".yarn/cache"]) == ("node_modules", ".yarn")
    target = copy.with_name("target")
    target.mkdir()

    async def run(words: list[str]) -> None:
        await anyio.run_process(words)

    await trees._clone(copy, target, ["node_modules", ".yarn/cache"], run)
    assert sorted(path.name for path in target.rglob("*")) == ["node_modules"]


def test_nor_is_it_moved_or_overwritten(led_out: tuple[Path, Path]) -> None:
    copy, others = led_out
    target = copy.with_name("target")
    target.mkdir()
    trees._move(copy, target, ["node_modules", ".yarn/cache"])
    assert (others / "cache" / "letter").read_text() == "theirs" and (target / "node_modules").is_dir()
    # Nor the other way round, where a package brings such a link.
    (target / ".yarn" / "unplugged").mkdir(parents=True)
    trees._move(target, copy, [".yarn/unplugged"])
    assert os.listdir(others) == ["cache"]


def test_a_link_that_stays_inside_is_one_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "real" / "cache").mkdir(parents=True)
    (tmp_path / ".yarn").symlink_to("real")
    assert trees.inside(tmp_path, [".yarn/cache"]) == (".yarn/cache",)
