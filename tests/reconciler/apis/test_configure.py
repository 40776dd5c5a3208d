"""`configure` of the services API: what it changes, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.reconciler.apis.api_nodes import COMMAND, Apis, Failure, World, declare

pytestmark = pytest.mark.anyio


async def test_configure_changes_what_it_names_and_keeps_the_rest(world: World, apis: Apis) -> None:
    url = world.package()
    before = await apis("install", {"sourceUrl": url, "config": {"a": "1", "b": "2"}}, user="alice")
    value = yaml.safe_load(world.manifest("notes").read_text())
    value["probes"] = {"liveness": {"httpGet": "/health"}}
    world.write("notes.yaml", yaml.safe_dump(value))
    changes = {"config": {"a": "3", "B": None, "c": "4"}, "desiredVersion": "^2"}
    told = await apis("configure", "notes", changes, user="alice")
    assert told == {"converged": True, "message": "notes is ready"}
    assert world.running("notes") == [{"A": "3", "C": "4"}]
    after = await apis("get", "notes")
    assert after["key"] == before["key"]
    settings = after["settings"]
    assert (settings["owningUserKey"], settings["desiredVersion"]) == ("alice", "^2")
    assert settings["config"] == {"A": "3", "C": "4"}
    assert yaml.safe_load(world.manifest("notes").read_text())["probes"] == value["probes"]


async def test_configure_with_another_package(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    other = world.package("other")
    (world.packages / "other" / "index.js").write_text("// 2\n")
    assert (await apis("configure", "notes", {"sourceUrl": other}))["converged"]
    assert (await apis("get", "notes"))["settings"]["sourceUrl"] == other
    (process,) = world.machine.live("notes")
    assert process.running.service.package and process.running.service.package.path.endswith("/other")


async def test_configure_of_what_could_not_be_started_before(world: World, apis: Apis) -> None:
    """The old complaint must not be taken for the answer to the change."""
    empty = world.packages / "empty"
    empty.mkdir(parents=True)
    assert not (await apis("install", {"sourceUrl": empty.as_uri()}))["converged"]
    assert (await apis("configure", "empty", {"sourceUrl": world.package()}))["converged"]


async def test_configure_nothing(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    for changes in ({}, {"id": "notes"}, {"id": None, "config": None}):
        assert await apis("configure", "notes", changes) == {"converged": True, "message": "notes is ready"}
    assert world.machine.starts == 1


async def test_a_stopped_service_is_configured_and_stays_stopped(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    await apis("stop", "notes")
    told = await apis("configure", "notes", {"config": {"a": "1"}})
    assert told == {"converged": True, "message": "notes is stopped"}
    await apis("start", "notes")
    assert world.running("notes") == [{"A": "1"}]


async def test_a_service_that_atek_apply_made_is_managed_too(world: World, apis: Apis) -> None:
    await declare(apis, world, "wiki")
    info = await apis("get", "wiki")
    assert info["key"] == "key of wiki"
    assert info["settings"]["sourceUrl"] == world.manifest("wiki").as_uri()
    await apis("configure", "wiki", {"config": {"a": "1"}, "desiredVersion": "1"})
    assert (await apis("get", "wiki"))["key"] == "key of wiki"
    assert yaml.safe_load(world.manifest("wiki").read_text())["command"] == ["run", "a"]
    assert (await apis("uninstall", "wiki"))["converged"]


@pytest.mark.parametrize(
    "order", [("uninstall",), ("configure", {"config": {"a": "1"}}), ("configure", {"id": "x"})]
)
async def test_what_others_declare_is_named_and_left_alone(
    world: World, apis: Apis, order: tuple[Any, ...]
) -> None:
    world.write("mine.yaml", COMMAND.format(id="wiki"))
    world.write("two.yaml", COMMAND.format(id="two") + "---\n" + COMMAND.format(id="three"))
    await apis.until(lambda: {"wiki", "two"} <= apis.node.declared().keys())
    before = {file.name: file.read_text() for file in (world.home / "manifests").iterdir()}
    method, *params = order
    with pytest.raises(Failure, match=r"-32003 wiki is declared in .*/mine.yaml$") as caught:
        await apis(method, "wiki", *params)
    assert "edit that file" in caught.value.hint
    with pytest.raises(Failure, match=r"two.yaml declares other services too: three"):
        await apis(method, "two", *params)
    assert {file.name: file.read_text() for file in (world.home / "manifests").iterdir()} == before


async def test_a_file_that_a_person_broke_is_not_made_worse(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    for text in ("id: [", "5"):
        world.manifest("notes").write_text(text)
        with pytest.raises(Failure, match=r"notes.yaml (cannot be read|declares no service)"):
            await apis("configure", "notes", {"config": {"a": "1"}})
        assert world.manifest("notes").read_text() == text
    assert (await apis("uninstall", "notes"))["converged"]
