"""A new id for a service: what goes with it, and what happens when something is in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import yaml

from reconciler.apis import moving, rename
from reconciler.decide.updating import Bad, Choice, Kept
from reconciler.state.images import FILE as IMAGES
from reconciler.state.images import ImagePin, ImagePins
from reconciler.state.installed import Installed, InstalledServices, Renaming
from reconciler.state.own_manifests import write_manifest
from reconciler.state.store import FileStore, Remembered
from reconciler.state.updates import FILE as UPDATES
from reconciler.state.updates import UpdatesFile
from runtimes.fake import Behaviour
from runtimes.packages.store import PackageStore
from runtimes.paths import Paths
from tests.reconciler.apis.api_nodes import Apis, Failure, World
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def install(apis: Apis, world: World, **options: Any) -> dict[str, Any]:
    """`notes`, with something in its data folder and in its log."""
    info: dict[str, Any] = await apis("install", {"sourceUrl": world.package(), **options})
    for folder in ("data", "logs"):
        (world.home / folder / "notes").mkdir()
        (world.home / folder / "notes" / "kept").write_text(folder)
    return info


def folders(world: World, service_id: str) -> dict[str, str]:
    """What `install` left in the folders of an id."""
    files = {name: world.home / name / service_id / "kept" for name in ("data", "logs")}
    return {name: file.read_text() for name, file in files.items() if file.exists()}


VOLUMES = '{"volumes": {"0:/data": "a-volume"}}'


KEPT = {"data": "data", "logs": "logs"}


async def test_everything_but_the_id_is_kept(world: World, apis: Apis) -> None:
    before = await install(apis, world, user="alice", config={"a": "1"}, desiredVersion="^1")
    tried = Kept("url", 1.0, bad=(Bad(Choice("a" * 40, "v2.0.0"), "it ends"),))
    UpdatesFile(world.home / UPDATES).put("notes", tried)
    stays = ImagePin("app:1 ^1", f"sha256:{'0' * 64}", "1.1.0")
    ImagePins(world.home / IMAGES).put("notes", stays)
    volumes = world.home / "state" / "volumes"
    volumes.mkdir()
    (volumes / "notes.json").write_text(VOLUMES)
    told = await apis("configure", "notes", {"id": "diary", "config": {"b": "2"}}, user="alice")
    assert told == {"converged": True, "message": "diary is ready"}
    after = await apis("get", "diary")
    assert after["key"] == before["key"]
    settings = before["settings"] | {"id": "diary", "config": {"A": "1", "B": "2"}}
    assert (after["settings"], after["status"]) == (settings, "active")
    assert (folders(world, "diary"), folders(world, "notes")) == (KEPT, {})
    assert (world.running("notes"), world.running("diary")) == ([], [{"A": "1", "B": "2"}])
    assert [file.name for file in (world.home / "manifests").iterdir()] == ["diary.yaml"]
    assert apis.installed.owner("diary") == "alice"
    assert UpdatesFile(world.home / UPDATES).get("diary") == tried
    assert ImagePins(world.home / IMAGES).get("diary", stays.origin) == stays
    assert [each.name for each in volumes.iterdir()] == ["diary.json"]
    with pytest.raises(Failure, match="earlier service"):
        (volumes / "other.json").write_text(VOLUMES)
        await apis("configure", "diary", {"id": "other"})


async def test_the_old_id_is_free_for_another_service(world: World, apis: Apis) -> None:
    before = await install(apis, world, user="alice")
    await apis("configure", "notes", {"id": "diary", "desiredVersion": "^2"})
    await apis.until(lambda: apis.node.service("notes") is None)
    url = (world.packages / "notes").as_uri()
    other = await apis("install", {"sourceUrl": url, "id": "notes"}, user="bob")
    assert (other["converged"], other["status"]) == (True, "active")
    assert other["key"] != before["key"]
    diary = (await apis("get", "diary"))["settings"]
    assert (diary["owningUserKey"], diary["desiredVersion"]) == ("alice", "^2")


async def test_the_next_life_knows_it_too(world: World) -> None:
    async with world.node() as apis:
        before = await install(apis, world, user="alice")
        await apis("configure", "notes", {"id": "diary"})
    async with world.node() as apis:
        after = await apis("get", "diary", user="alice")
        assert (after["key"], after["status"]) == (before["key"], "active")
        assert apis.installed.problems == []


async def test_a_service_of_atek_apply_keeps_its_key(world: World, apis: Apis) -> None:
    world.write("wiki.yaml", "id: wiki\ncommand: [run, a]\nreplicas: 2\n")
    await apis.until(lambda: len(world.machine.live("wiki")) == 2)
    assert (await apis("configure", "wiki", {"id": "pages"}))["converged"]
    assert (await apis("get", "pages"))["key"] == "key of wiki"
    assert len(world.machine.live("pages")) == 2


@pytest.mark.parametrize("by", ["person", "manifest"])
async def test_what_is_stopped_stays_stopped(world: World, by: str) -> None:
    async with world.node() as apis:
        await install(apis, world)
        if by == "person":
            await apis("stop", "notes")
        else:
            value = yaml.safe_load(world.manifest("notes").read_text())
            world.write("notes.yaml", yaml.safe_dump(value | {"suspend": True}))
            await apis.until(lambda: not world.machine.live("notes"))
        started = world.machine.starts
        told = await apis("configure", "notes", {"id": "diary"})
        assert told == {"converged": True, "message": "diary is stopped"}
        assert folders(world, "diary") == KEPT
    async with world.node() as apis:
        assert (await apis("get", "diary"))["status"] == "inactive"
        assert world.machine.starts == started
        assert ("suspend" in world.manifest("diary").read_text()) == (by == "manifest")
        assert await apis("start", "diary") == {"converged": True, "message": "diary is ready"}


# What is in the way


async def test_ids_that_cannot_be_had(world: World, apis: Apis) -> None:
    await install(apis, world)
    await apis("install", {"sourceUrl": (world.packages / "notes").as_uri(), "id": "wiki"})
    (world.home / "data" / "left").mkdir()
    (world.home / "data" / "left" / "behind").touch()
    for new, said in {
        "wiki": "-32003 App already exists under the ID: wiki",
        "left": "-32003 data/left still holds the data of an earlier service",
        "No": "-32001 id: 'No' is not an id",
        "": "-32001 id: '' is not an id",
    }.items():
        with pytest.raises(Failure, match=said):
            await apis("configure", "notes", {"id": new})
    assert len(world.running("notes")) == 1
    assert world.machine.starts == 2
    assert folders(world, "notes") == KEPT


async def test_an_empty_folder_is_in_nobodys_way(world: World, apis: Apis) -> None:
    await install(apis, world)
    (world.home / "data" / "diary" / "tmp" / "x").mkdir(parents=True)
    assert (await apis("configure", "notes", {"id": "diary"}))["converged"]
    assert folders(world, "diary") == KEPT


async def test_a_service_that_will_not_stop_keeps_its_id(world: World, apis: Apis) -> None:
    await install(apis, world)
    world.machine.behave("notes", Behaviour(ignores_stop=True))
    apis.services.patience = 0.2
    with pytest.raises(Failure, match=r"notes keeps its id: not within 0.2 s: its instances have not ended"):
        await apis("configure", "notes", {"id": "diary"})
    world.machine.crash("notes")
    world.machine.behave("notes", Behaviour())
    await apis.until(lambda: len(world.running("notes")) == 1)
    assert folders(world, "notes") == KEPT
    assert world.manifest("notes").exists() and not world.manifest("diary").exists()


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("at", ["note", "folder", "manifest", "removal"])
async def test_a_disk_that_says_no_leaves_everything_as_it_was(
    world: World, apis: Apis, monkeypatch: pytest.MonkeyPatch, at: str, stopped: bool
) -> None:
    before = await install(apis, world, user="alice")
    if stopped:
        await apis("stop", "notes")
    refuse(monkeypatch, at)
    with pytest.raises(Failure, match="-32003 the state could not be saved: No space left"):
        await apis("configure", "notes", {"id": "diary"})
    monkeypatch.undo()
    await apis.until(lambda: apis.node.service("diary") is None)
    await apis.until(lambda: len(world.running("notes")) == (0 if stopped else 1))
    assert (folders(world, "notes"), folders(world, "diary")) == (KEPT, {})
    assert [file.name for file in (world.home / "manifests").iterdir()] == ["notes.yaml"]
    assert (await apis("get", "notes"))["key"] == before["key"]
    assert apis.installed.get("diary") is None
    assert (await apis("configure", "notes", {"id": "diary"}))["converged"]


def refuse(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Makes one step of a rename fail as on a full disk."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if at == "note":
        monkeypatch.setattr(InstalledServices, "_write", full)
    elif at == "folder":
        # The first folder moves, the second does not.
        moves = iter([moving._move_folder, full])
        real = moving._move_folder
        monkeypatch.setattr(moving, "_move_folder", lambda *args: next(moves, real)(*args))
    elif at == "manifest":
        monkeypatch.setattr(rename, "write_manifest", full)
    else:
        real_unlink = Path.unlink

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if path.name == "notes.yaml":
                full()
            real_unlink(path, missing_ok)

        monkeypatch.setattr(Path, "unlink", unlink)


async def test_nobody_else_changes_a_service_meanwhile(world: World, apis: Apis) -> None:
    await install(apis, world)
    world.machine.behave("notes", Behaviour(stop_takes=0.3))
    told: list[Any] = []

    async def change() -> None:
        told.append(await apis("configure", "notes", {"id": "diary"}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change)
        await apis.until(lambda: (apis.node.service("notes") or {}).get("suspended"))
        for order in ("start", "stop", "restart", "configure", "uninstall", "updatePackage"):
            with pytest.raises(Failure, match="notes is being renamed") as caught:
                await apis(order, "notes", {})
            assert "try again" in caught.value.hint
        url = (world.packages / "notes").as_uri()
        with pytest.raises(Failure, match="already exists under the ID: diary"):
            await apis("install", {"sourceUrl": url, "id": "diary"})
        assert told == []
    assert told == [{"converged": True, "message": "diary is ready"}]


# Deaths in between


def nothing_done(world: World) -> None:
    """Only the note is written."""


def data_moved(world: World) -> None:
    (world.home / "data" / "notes").rename(world.home / "data" / "diary")


def both_declared(world: World) -> None:
    data_moved(world)
    (world.home / "logs" / "notes").rename(world.home / "logs" / "diary")
    text = world.manifest("notes").read_text().replace("notes\n", "diary\n", 1)
    world.manifest("diary").write_text(text)


@pytest.mark.parametrize("done", [nothing_done, data_moved, both_declared])
async def test_the_next_life_finishes_what_was_begun(world: World, done: Callable[[World], None]) -> None:
    async with world.node() as apis:
        before = await install(apis, world, user="alice")
        await apis("stop", "notes")
        value = yaml.safe_load(world.manifest("notes").read_text())
        installed = apis.installed.get("notes")
        assert installed
        await apis.installed.begin_rename(Renaming("notes", "diary", value | {"id": "diary"}), installed)
    done(world)
    async with world.node() as apis:
        await apis.until(lambda: world.running("diary"))
        after = await apis("get", "diary", user="alice")
        assert after["key"] == before["key"]
        assert folders(world, "diary") == KEPT
        assert [file.name for file in (world.home / "manifests").iterdir()] == ["diary.yaml"]
        assert apis.installed.renaming is None
        assert apis.installed.get("notes") is None


async def test_what_came_after_a_finished_rename_is_not_undone(world: World) -> None:
    """The node died after the last step, before its note was taken away."""
    async with world.node() as apis:
        await install(apis, world)
        await apis("configure", "notes", {"id": "diary"})
        value = yaml.safe_load(world.manifest("diary").read_text())
        await apis.installed.begin_rename(Renaming("notes", "diary", value), Installed("k"))
        world.write("diary.yaml", yaml.safe_dump(value | {"env": {"NEW": "1"}}))
    async with world.node() as apis:
        await apis.until(lambda: world.running("diary") == [{"NEW": "1"}])
        assert apis.installed.renaming is None


async def test_a_rename_that_cannot_be_finished_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node() as apis:
        await install(apis, world)
        await apis.installed.begin_rename(Renaming("notes", "diary", {"id": "diary"}), Installed("k"))
    refuse(monkeypatch, "manifest")
    async with world.node() as apis:
        assert apis.installed.problems == ["notes could not be renamed to diary: No space left on device"]
        assert apis.installed.renaming is not None


async def test_what_a_program_wrote_beside_its_code_goes_with_it(tmp_path: Path) -> None:
    package, old = tmp_path / "package", service("old", package=_package(tmp_path))
    store = PackageStore(Paths(tmp_path, tmp_path / "run", 0))

    async def finish(copy: Path) -> dict[str, str]:
        return {}

    await store.make_copy(old, print, finish)
    (store.require(old) / "db.sqlite3").write_text("accounts")
    (tmp_path / "state" / "services").mkdir(parents=True)
    await FileStore(tmp_path / "state" / "services").save("old", Remembered(healthy=old))
    (tmp_path / "manifests").mkdir()
    write_manifest(tmp_path, "old", {"id": "old", "source": str(package)})
    renaming = Renaming("old", "new", {"id": "new", "source": str(package)})
    rename._carry_out(tmp_path, renaming)
    assert not (tmp_path / "packages" / "old").exists()
    assert not (tmp_path / "kept" / "old").exists()
    new = service("new", package=str(package))
    await store.make_copy(new, print, finish)
    assert await store.populate(new, None)
    assert (store.require(new) / "db.sqlite3").read_text() == "accounts"


def _package(root: Path) -> str:
    (root / "package").mkdir()
    (root / "package" / "main.py").write_text("")
    return str(root / "package")
