"""The services API: what it answers, what it writes down, and what runs then."""

from __future__ import annotations

import pytest

from reconciler.apis.handler import SERVICES_PATH
from reconciler.http.messages import Request
from reconciler.peers.port import FOLLOW
from runtimes.fake import Behaviour
from tests.reconciler.apis.api_nodes import COMMAND, Apis, Failure, World, declare

pytestmark = pytest.mark.anyio

ORDERS = ["get", "uninstall", "configure", "start", "stop", "restart", "updatePackage"]
ORDERS += ["checkForPackageUpdates"]


# Who may


async def test_people_see_and_touch_only_what_is_theirs(world: World, apis: Apis) -> None:
    url = world.package()
    mine = await apis("install", {"sourceUrl": url, "id": "mine"}, user="alice")
    await apis("install", {"sourceUrl": url, "id": "hers", "user": "bob"})
    await apis("install", {"sourceUrl": url, "id": "all"})
    assert mine["settings"]["owningUserKey"] == "alice"
    seen = {user: await apis("list", user=user) for user in ("alice", "bob", "eve", "system")}
    assert {user: [each["settings"]["id"] for each in seen[user]["services"]] for user in seen} == {
        "alice": ["mine"],
        "bob": ["hers"],
        "eve": [],
        "system": ["all", "hers", "mine"],
    }
    for order in ORDERS:
        for not_hers in ("hers", "all"):
            with pytest.raises(Failure, match="-32003 Not authorized"):
                await apis(order, not_hers, {}, user="alice")
    assert all(len(world.running(each)) == 1 for each in ("mine", "hers", "all"))
    for order in ("stop", "start", "restart"):
        assert (await apis(order, "mine", user="alice"))["converged"]


async def test_only_an_administrator_installs_for_others(world: World, apis: Apis) -> None:
    url = world.package()
    for other in ("bob", "system"):
        with pytest.raises(Failure, match="Not authorized"):
            await apis("install", {"sourceUrl": url, "user": other}, user="alice")
    assert (await apis("install", {"sourceUrl": url, "user": "alice"}, user="alice"))["converged"]


async def test_what_another_node_brought_here_installs_nothing(world: World, apis: Apis) -> None:
    """Its follow's policy says what may run, and installing would lead around that."""
    url, stranger = world.package(), f"{FOLLOW}{'ab' * 32}"
    for options in ({}, {"user": stranger}):
        with pytest.raises(Failure, match="-32003 Not authorized"):
            await apis("install", {"sourceUrl": url, **options}, user=stranger)
    assert (await apis("list", user="system"))["services"] == []


@pytest.mark.parametrize("headers", [{}, {"atek-auth-user": ""}, {"atek-auth-service": "system"}])
async def test_nobody_may_nothing(apis: Apis, headers: dict[str, str]) -> None:
    for method in ("list", "isReady"):
        with pytest.raises(Failure, match="-32003 Not authorized"):
            await apis.call(SERVICES_PATH, method, [], headers)


# Orders


async def test_stop_start_and_restart(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    assert await apis("stop", "notes") == {"converged": True, "message": "notes is stopped"}
    assert world.running("notes") == []
    assert (await apis("get", "notes"))["status"] == "inactive"
    with pytest.raises(Failure, match="notes is stopped") as caught:
        await apis("restart", "notes")
    assert "atek start" in caught.value.hint
    assert await apis("start", "notes") == {"converged": True, "message": "notes is ready"}
    (before,) = world.machine.live("notes")
    assert await apis("restart", "notes") == {"converged": True, "message": "notes is ready"}
    (after,) = world.machine.live("notes")
    assert after.running.instance != before.running.instance


async def test_a_stop_is_kept_by_the_next_life(world: World) -> None:
    async with world.node() as apis:
        await apis("install", {"sourceUrl": world.package()})
        await apis("stop", "notes")
    async with world.node() as apis:
        assert (await apis("get", "notes"))["status"] == "inactive"


async def test_a_stop_that_takes_too_long(world: World, apis: Apis, monkeypatch: pytest.MonkeyPatch) -> None:
    world.machine.behave("notes", Behaviour(ignores_stop=True))
    await apis("install", {"sourceUrl": world.package()})
    apis.services.patience = 0.2
    told = await apis("stop", "notes")
    assert told == {"converged": False, "message": "not within 0.2 s: its instances have not ended"}


async def test_start_overrules_a_manifest_of_the_nodes_own(world: World, apis: Apis) -> None:
    await declare(apis, world, "wiki", COMMAND + "suspend: true\n")
    assert await apis("start", "wiki") == {"converged": True, "message": "wiki is ready"}
    assert "suspend" not in world.manifest("wiki").read_text()
    world.write("mine.yaml", COMMAND.format(id="other") + "suspend: true\n")
    await apis.until(lambda: "other" in apis.node.declared())
    with pytest.raises(Failure, match=r"other is declared in .*mine.yaml"):
        await apis("start", "other")


@pytest.mark.parametrize("order", ORDERS)
async def test_services_that_there_are_not(apis: Apis, order: str) -> None:
    with pytest.raises(Failure, match="-32003 No service found with id nothing"):
        await apis(order, "nothing", {})
    for bad in (None, 5, "", ["notes"]):
        with pytest.raises(Failure, match="-32001 Parameter 1 must be text"):
            await apis(order, bad, {})


async def test_calls_that_are_none(apis: Apis) -> None:
    with pytest.raises(Failure, match="-32601 Method not found: fly"):
        await apis("fly")
    with pytest.raises(Failure, match="-32001 params must be a list"):
        await apis.call(SERVICES_PATH, "list", {"id": 1}, {"atek-auth-user": "system"})
    for method, path, status in (("GET", SERVICES_PATH, 405), ("POST", "/_atek/api/other", 404)):
        assert (await apis.handler(Request(method, path, "", {}, b""))).status == status


# Uninstall


async def test_uninstall_ends_the_service_and_its_key(world: World, apis: Apis) -> None:
    url = world.package()
    first = await apis("install", {"sourceUrl": url}, user="alice")
    assert await apis("uninstall", "notes", user="alice") == {"converged": True, "message": "notes is gone"}
    assert (world.running("notes"), world.manifest("notes").exists()) == ([], False)
    assert await apis("list") == {"services": []}
    again = await apis("install", {"sourceUrl": url}, user="alice")
    assert again["key"] != first["key"]


async def test_data_that_is_left_is_for_its_owner_alone(world: World, apis: Apis) -> None:
    url = world.package()
    await apis("install", {"sourceUrl": url}, user="alice")
    folder = world.home / "data" / "notes"
    folder.mkdir()
    (folder / "diary").write_text("dear diary")
    await apis("uninstall", "notes", user="alice")
    with pytest.raises(Failure, match="data/notes still holds the data of an earlier service"):
        await apis("install", {"sourceUrl": url, "id": "notes"}, user="bob")
    for other in ("bob", "system"):
        made = await apis("install", {"sourceUrl": url}, user=other)
        assert made["settings"]["id"].startswith("notes-")
    assert (await apis("install", {"sourceUrl": url}, user="alice"))["settings"]["id"] == "notes"
    assert (folder / "diary").read_text() == "dear diary"


async def test_an_administrator_may_insist_on_an_id(world: World, apis: Apis) -> None:
    url = world.package()
    for folder in ("notes", "empty"):
        (world.home / "data" / folder / "tmp").mkdir(parents=True)
    (world.home / "data" / "notes" / "diary").touch()
    with pytest.raises(Failure, match="still holds the data"):
        await apis("install", {"sourceUrl": url, "id": "notes", "user": "bob"})
    assert (await apis("install", {"sourceUrl": url, "id": "notes"}))["converged"]
    assert (await apis("install", {"sourceUrl": url, "id": "empty", "user": "bob"}))["converged"]


async def test_while_something_runs_it_acts_for_its_owner(world: World, apis: Apis) -> None:
    url = world.package()
    world.machine.behave("notes", Behaviour(ignores_stop=True))
    await apis("install", {"sourceUrl": url}, user="alice")
    apis.services.patience = 3.0
    told = await apis("uninstall", "notes", user="alice")
    assert told == {"converged": False, "message": "not within 3 s: its instances have not ended"}
    assert apis.installed.owner("notes") == "alice"
    with pytest.raises(Failure, match="App already exists"):
        await apis("install", {"sourceUrl": url, "id": "notes"}, user="bob")


# Updates


async def test_a_package_in_a_folder_is_up_to_date_by_itself(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    told = await apis("checkForPackageUpdates", "notes")
    assert told["hasUpdate"] is False
    assert told["installedVersion"] == told["latestVersion"] != ""
    (world.packages / "notes" / "index.js").write_text("// another program\n")
    updated = await apis("updatePackage", "notes")
    assert updated["oldVersion"] == told["installedVersion"] != updated["installedVersion"]
    assert (updated["converged"], updated["message"]) == (True, "notes is ready")
    same = await apis("updatePackage", "notes")
    assert same["oldVersion"] == same["installedVersion"] == updated["installedVersion"]


async def test_an_update_that_waits(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package()})
    world.machine.behave("notes", Behaviour(ready_after=1e9))
    (world.packages / "notes" / "index.js").write_text("// another program\n")
    told = await apis("checkForPackageUpdates", "notes")
    assert told["hasUpdate"] is True
    assert told["installedVersion"] != told["latestVersion"]


# Shapes


async def test_a_package_with_an_odd_atek_json_spoils_no_list(world: World, apis: Apis) -> None:
    for name, text in {"nan": '{"a": NaN}', "broken": "{", "list": "[1]"}.items():
        url = world.package(name)
        (world.packages / name / "atek.json").write_text(text)
        await apis("install", {"sourceUrl": url})
    services = (await apis("list"))["services"]
    assert [("manifest" in each["settings"]) for each in services] == [False, False, False]
