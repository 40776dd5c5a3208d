"""The services API of a node that has Hypercore: what it installs is in its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest

from hyper.fake import FakeHyper
from manifests.documents.record import SERVICES
from reconciler.apis import moving, rename, rename_recorded
from reconciler.apis.rename_recorded import finish_recorded
from reconciler.peers.history import history
from reconciler.peers.port import CHANGE, Change
from reconciler.peers.records import OwnRecords
from reconciler.state.installed import InstalledServices
from tests.reconciler.apis.api_nodes import PATIENCE, Apis, Failure, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, FakeHyper(name="pi"))


async def database(apis: Apis) -> str:
    with anyio.fail_after(PATIENCE):
        return (await apis.node.nodes.keys()).records


async def record(apis: Apis, service_id: str) -> dict[str, Any]:
    """The only record of that id."""
    hyper = apis.node.nodes.hyper
    (found,) = [
        each.value
        for each in await hyper.list(await database(apis), SERVICES)
        if each.value["id"] == service_id
    ]
    value: dict[str, Any] = found
    return value


async def last_change(apis: Apis) -> tuple[str, str, list[str]]:
    found = await apis.node.nodes.hyper.get(await database(apis), CHANGE)
    assert found is not None
    return found.value["by"], found.value["what"], found.value["ids"]


async def test_what_is_installed_is_a_record_that_other_software_can_read(world: World, apis: Apis) -> None:
    url = world.package("notes", title="Notes")
    options = {"sourceUrl": url, "id": "diary", "user": "alice", "config": {"level": 3}}
    installed = await apis("install", options)
    assert installed["converged"] and installed["settings"]["sourceUrl"] == url
    assert world.running("diary") == [{"LEVEL": "3"}]
    assert not world.manifest("diary").exists()
    value = await record(apis, "diary")
    assert (value["owningUserKey"], value["sourceUrl"], value["config"]) == ("alice", url, {"LEVEL": 3})
    spec = {"id": "diary", "source": url.removeprefix("file://"), "env": {"LEVEL": 3}, "run": "inPlace"}
    assert value["spec"] == spec
    assert await last_change(apis) == ("system", "install", ["diary"])
    (path,) = [each.path for each in await apis.node.nodes.hyper.list(await database(apis), SERVICES)]
    assert path[-1] == installed["key"]


async def test_configure_stop_start_and_uninstall_write_the_record(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes")})
    before = await apis("get", "notes")
    assert (await apis("configure", "notes", {"config": {"a": "b"}}))["converged"]
    assert world.running("notes") == [{"A": "b"}]
    assert await last_change(apis) == ("system", "configure", ["notes"])
    assert (await apis("stop", "notes"))["converged"] and world.running("notes") == []
    assert (await record(apis, "notes"))["spec"]["suspend"] is True
    assert (await apis("start", "notes"))["converged"] and world.running("notes") == [{"A": "b"}]
    assert "suspend" not in (await record(apis, "notes"))["spec"]
    assert (await apis("get", "notes"))["key"] == before["key"]
    assert (await apis("uninstall", "notes"))["converged"]
    assert await apis("list") == {"services": []}
    assert await last_change(apis) == ("system", "uninstall", ["notes"])


async def test_a_stop_is_kept_over_restarts(world: World) -> None:
    async with world.node() as apis:
        await apis("install", {"sourceUrl": world.package("notes")})
        await apis("stop", "notes")
    async with world.node() as apis:
        await database(apis)
        await apis.until(lambda: "notes" in apis.node.declared())
        assert (await apis("get", "notes"))["status"] == "inactive" and world.running("notes") == []


async def test_owners_touch_what_is_theirs(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes")}, user="alice")
    assert (await record(apis, "notes"))["owningUserKey"] == "alice"
    assert await last_change(apis) == ("alice", "install", ["notes"])
    with pytest.raises(Failure, match="Not authorized"):
        await apis("uninstall", "notes", user="bob")
    assert (await apis("configure", "notes", {"config": {}}, user="alice"))["converged"]
    assert (await record(apis, "notes"))["owningUserKey"] == "alice"


async def test_what_is_in_a_file_stays_in_its_file(world: World, apis: Apis) -> None:
    world.write("wiki.yaml", "id: wiki\ncommand: [run, a]\n")
    await apis.until(lambda: "wiki" in apis.node.declared())
    assert (await apis("configure", "wiki", {"config": {"a": 1}}))["converged"]
    assert "A: 1" in world.manifest("wiki").read_text()
    assert (await apis("stop", "wiki"))["converged"]
    assert await apis.node.nodes.services.read() == {}
    assert (await apis("uninstall", "wiki"))["converged"] and not world.manifest("wiki").exists()


async def test_an_id_that_only_another_node_runs_is_taken(world: World, apis: Apis) -> None:
    elsewhere = {"id": "notes", "command": ["run"], "nodes": ["other"]}
    await database(apis)
    await apis.node.nodes.services.declare(elsewhere, Change("me", "push"))
    url = world.package("notes")
    with pytest.raises(Failure, match="App already exists under the ID: notes"):
        await apis("install", {"sourceUrl": url, "id": "notes"})
    assert (await apis("install", {"sourceUrl": url}))["settings"]["id"] == "notes-2"
    assert (await record(apis, "notes"))["spec"] == elsewhere


async def test_without_the_daemon_nothing_is_changed(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes")})
    assert world.hyper is not None
    world.hyper.go_away()
    calls: list[tuple[Any, ...]] = [
        ("configure", "notes", {"config": {"a": "b"}}),
        ("uninstall", "notes"),
        ("install", {"sourceUrl": world.package("wiki")}),
    ]
    for method, *params in calls:
        with pytest.raises(Failure, match="daemon"):
            await apis(method, *params)
    assert world.running("notes") == [{}] and apis.installed.get("wiki") is None
    world.hyper.come_back()
    assert (await apis("configure", "notes", {"config": {"a": "b"}}))["converged"]


async def test_a_full_disk_is_told_and_nothing_is_left(world: World, apis: Apis) -> None:
    await database(apis)
    assert world.hyper is not None
    world.hyper.fails = "NO_SPACE"
    with pytest.raises(Failure, match="NO_SPACE"):
        await apis("install", {"sourceUrl": world.package("notes")})
    assert apis.installed.get("notes") is None and apis.node.declared() == {}


def leave(world: World, service_id: str) -> None:
    """Something that the id names."""
    for folder in ("data", "logs"):
        (world.home / folder / service_id).mkdir()
        (world.home / folder / service_id / "kept").write_text(folder)


def left(world: World, service_id: str) -> list[str]:
    return [each for each in ("data", "logs") if (world.home / each / service_id / "kept").exists()]


async def test_a_new_id_is_a_change_of_the_same_record(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes"), "user": "alice", "config": {"a": 1}})
    before = await apis("get", "notes")
    leave(world, "notes")
    told = await apis("configure", "notes", {"id": "diary", "config": {"b": "2"}}, user="alice")
    assert told == {"converged": True, "message": "diary is ready"}
    after = await apis("get", "diary")
    assert (after["key"], after["status"]) == (before["key"], "active")
    assert (world.running("notes"), world.running("diary")) == ([], [{"A": "1", "B": "2"}])
    assert (left(world, "notes"), left(world, "diary")) == ([], ["data", "logs"])
    value = await record(apis, "diary")
    assert (value["owningUserKey"], value["updatedBy"]) == ("alice", "alice") and "suspend" not in value[
        "spec"
    ]
    (path,) = [each.path for each in await apis.node.nodes.hyper.list(await database(apis), SERVICES)]
    assert path[-1] == before["key"]
    entries = await history(apis.node.nodes)
    assert [each.what for each in entries] == ["install", "stop", "rename", "start"]
    (change,) = entries[2].services
    assert (change.id, change.what) == ("diary", "changed")
    assert any("notes → diary" in line for line in change.details)
    assert apis.installed.renaming is None and apis.installed.get("notes") is None


async def test_what_is_stopped_stays_stopped_under_its_new_id(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes")})
    await apis("stop", "notes")
    assert (await apis("configure", "notes", {"id": "diary"}))["converged"]
    assert (await record(apis, "diary"))["spec"]["suspend"] is True and world.running("diary") == []
    assert (await apis("start", "diary"))["converged"] and world.running("diary") == [{}]


async def test_an_id_of_another_record_is_taken(world: World, apis: Apis) -> None:
    for name in ("notes", "diary"):
        await apis("install", {"sourceUrl": world.package(name)})
    with pytest.raises(Failure, match="already exists"):
        await apis("configure", "notes", {"id": "diary"})
    assert world.running("notes") == [{}]


class Killed(BaseException):
    """The node ends here."""


@pytest.mark.parametrize(
    ("at", "ends_as"),
    [("note", "notes"), ("written", "diary"), ("move", "diary"), ("moved", "diary"), ("settle", "diary")],
)
async def test_the_next_life_finishes_a_rename_or_takes_it_back(
    world: World, monkeypatch: pytest.MonkeyPatch, at: str, ends_as: str
) -> None:
    async with world.node() as apis:
        await apis("install", {"sourceUrl": world.package("notes")})
        leave(world, "notes")
        with monkeypatch.context() as patched:
            die(patched, at)
            with pytest.raises(BaseException, match="killed"):
                await apis("configure", "notes", {"id": "diary"})
        assert apis.installed.renaming is not None
    async with world.node() as apis:
        await database(apis)
        await finish_recorded(apis.node, apis.installed)
        await apis.until(lambda: world.running(ends_as) == [{}])
        other = "diary" if ends_as == "notes" else "notes"
        await apis.until(lambda: world.running(other) == [] and other not in apis.node.declared())
        assert (left(world, ends_as), left(world, other)) == (["data", "logs"], [])
        assert apis.installed.renaming is None
        assert (await apis("configure", ends_as, {"id": "third"}))["converged"]


def die(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """The node ends at that step, and nothing that it would do then is done."""

    def killed(*_: object, **__: object) -> NoReturn:
        for name in ("take_back_rename", "end_rename"):
            monkeypatch.setattr(InstalledServices, name, nothing)
        monkeypatch.setattr(rename, "_start_again", nothing)
        raise Killed("killed")

    async def nothing(*_: object) -> None: ...

    real_rename, real_move = OwnRecords.rename, moving.move_what_it_names

    async def renamed_once(records: OwnRecords, service_id: str, *rest: Any) -> int:
        if service_id != "notes":
            killed()
        return await real_rename(records, service_id, *rest)

    def moved(*args: Any) -> None:
        real_move(*args)
        killed()

    if at == "note":
        monkeypatch.setattr(OwnRecords, "rename", killed)
    elif at == "written":
        monkeypatch.setattr(InstalledServices, "note_written", killed)
    elif at == "settle":
        monkeypatch.setattr(OwnRecords, "rename", renamed_once)
    else:
        monkeypatch.setattr(rename_recorded, "move_what_it_names", killed if at == "move" else moved)
