"""The services API: what it answers, what it writes down, and what runs then."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
import pytest
import yaml

from reconciler.apis.handler import SERVICES_PATH
from reconciler.http.messages import Request
from reconciler.peers.port import FOLLOW
from runtimes.fake import Behaviour
from tests.reconciler.apis.api_nodes import Apis, Failure, World

pytestmark = pytest.mark.anyio

ORDERS = ["get", "uninstall", "configure", "start", "stop", "restart", "updatePackage"]
ORDERS += ["checkForPackageUpdates"]
COMMAND = "id: {id}\ncommand: [run, a]\n"


async def declare(apis: Apis, world: World, service_id: str, text: str = COMMAND) -> None:
    """As `atek apply` does it."""
    world.write(f"{service_id}.yaml", text.format(id=service_id))
    await apis.until(lambda: world.machine.live(service_id) or service_id in apis.node.declared())


# Install


async def test_install_declares_starts_and_tells(world: World, apis: Apis) -> None:
    url = world.package("notes", title="Notes", author="me", exports=[{"api": "example.com/notes"}])
    installed = await apis(
        "install", {"sourceUrl": url, "id": "diary", "desiredVersion": "^1", "config": {"log_level": "debug"}}
    )
    assert re.fullmatch(r"[0-9a-f]{64}", installed["key"])
    assert installed == {
        "status": "active",
        "key": installed["key"],
        "settings": {
            "id": "diary",
            "owningUserKey": "system",
            "sourceUrl": url,
            "desiredVersion": "^1",
            "package": {"sourceType": "file"},
            "manifest": {"title": "Notes", "author": "me", "exports": [{"api": "example.com/notes"}]},
            "config": {"LOG_LEVEL": "debug"},
        },
        "converged": True,
        "message": "diary is ready",
    }
    service = {name: installed[name] for name in ("status", "key", "settings")}
    assert await apis("get", "diary") == service
    assert await apis("list") == {"services": [service]}
    assert world.running("diary") == [{"LOG_LEVEL": "debug"}]


async def test_what_is_written_down_is_a_manifest_like_any_other(world: World, apis: Apis) -> None:
    await apis("install", {"sourceUrl": world.package("notes"), "config": {"A": 1, "b": True, "c": 1.5}})
    file = world.manifest("notes")
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text()) == {
        "id": "notes",
        "run": "inPlace",
        "source": str(world.packages / "notes"),
        "env": {"A": 1, "B": True, "C": 1.5},
    }
    assert world.running("notes") == [{"A": "1", "B": "true", "C": "1.5"}]


async def test_any_text_may_be_a_config(world: World, apis: Apis) -> None:
    texts = [
        "",
        "yes",
        "1.0",
        "~",
        "a: b # c",
        "two\nlines\n",
        "\t",
        "\x85\u2028\x01",
        "日本 😀",
        "2001-01-01",
    ]
    config = {f"K{number}": text for number, text in enumerate(texts)}
    installed = await apis("install", {"sourceUrl": world.package(), "config": config})
    assert installed["converged"]
    assert installed["settings"]["config"] == config
    assert world.running("notes") == [config]


async def test_an_id_is_made_from_the_folders_name(world: World, apis: Apis) -> None:
    names = ["My Notes!", "my-notes", "日本", "語", "x" * 70]
    urls = [world.package(name) for name in names[:3]] + [world.package("語", name="Go App")]
    urls.append(world.package(names[4]))
    ids = [(await apis("install", {"sourceUrl": url}))["settings"]["id"] for url in urls]
    assert ids == ["my-notes", "my-notes-2", "app", "go-app", "x" * 63]
    assert (await apis("install", {"sourceUrl": urls[4]}))["settings"]["id"] == "x" * 61 + "-2"


async def test_an_id_that_was_given_is_had_once(world: World, apis: Apis) -> None:
    url = world.package()
    await apis("install", {"sourceUrl": url, "id": "notes"})
    with pytest.raises(Failure, match=r"-32003 App already exists under the ID: notes$"):
        await apis("install", {"sourceUrl": url, "id": "notes"})
    world.write("mine.yaml", COMMAND.format(id="wiki"))
    await apis.until(lambda: "wiki" in apis.node.declared())
    world.write("broken.yaml", "id: [")
    for taken in ("wiki", "broken"):
        with pytest.raises(Failure, match=f"App already exists under the ID: {taken}"):
            await apis("install", {"sourceUrl": url, "id": taken})
    assert not world.manifest("wiki").exists()
    assert world.manifest("broken").read_text() == "id: ["


async def test_two_installs_at_once(world: World, apis: Apis) -> None:
    url, answers = world.package(), list[Any]()

    async def install(options: dict[str, Any]) -> None:
        try:
            answers.append(await apis("install", options))
        except Failure as failure:
            answers.append(failure.message)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(install, {"sourceUrl": url, "id": "one"})
            tasks.start_soon(install, {"sourceUrl": url})
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert refused == ["App already exists under the ID: one"] * 2
    made = sorted(answer["settings"]["id"] for answer in answers if isinstance(answer, dict))
    assert made == ["notes", "notes-2", "notes-3", "one"]
    assert world.machine.violations == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Parameter 1: sourceUrl is missing"),
        ({"sourceUrl": 5}, "Parameter 1: sourceUrl: it must be text"),
        ({"sourceUrl": "/srv/notes"}, "sourceUrl must be the URL of a folder or a repository, like file:///"),
        ({"sourceUrl": "file://elsewhere/srv"}, "sourceUrl must be the URL of a folder"),
        ({"sourceUrl": "file:///srv?x"}, "sourceUrl must be the URL of a folder"),
        ({"sourceUrl": "hyper://abc"}, "sourceUrl must be the URL of a folder"),
        ({"sourceUrl": "URL", "id": "No Label"}, "id: an id is a DNS label"),
        ({"sourceUrl": "URL", "id": "../../x"}, "id: an id is a DNS label"),
        ({"sourceUrl": "URL", "id": 7}, "Parameter 1: id: it must be text"),
        ({"sourceUrl": "URL", "config": {"a": {}}}, "Parameter 1: config.a"),
        ({"sourceUrl": "URL", "config": {"atek_host_port": "1"}}, "env.ATEK_HOST_PORT: names that begin"),
        ({"sourceUrl": "URL", "config": {"a b": "1"}}, "'A B' is not a name"),
        ({"sourceUrl": "URL", "config": {"a": "\0"}}, "NUL"),
        ({"sourceUrl": "URL", "config": {"a": "\ud800"}}, "surrogate"),
        ("URL", "Parameter 1 must be an object"),
    ],
)
async def test_bad_params_change_nothing(world: World, apis: Apis, options: Any, said: str) -> None:
    url = world.package()
    given = json.loads(json.dumps(options).replace('"URL"', json.dumps(url)))
    with pytest.raises(Failure) as caught:
        await apis("install", given)
    assert caught.value.code == -32001
    assert said in caught.value.message
    assert list((world.home / "manifests").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sourceUrl": "https://me:hidden@example.com/notes.git"}, "no password and no token"),
        ({"sourceUrl": "git@example.com:notes#-x"}, "no branch, tag or commit"),
    ],
)
async def test_repositories_that_are_refused(apis: Apis, options: Any, said: str) -> None:
    with pytest.raises(Failure, match=said) as caught:
        await apis("install", options)
    assert (caught.value.code, "hidden" in caught.value.message) == (-32003, False)


async def test_a_package_that_is_not_there(world: World, apis: Apis) -> None:
    with pytest.raises(Failure, match="there is no folder /no where"):
        await apis("install", {"sourceUrl": "file:///no%20where"})
    assert list((world.home / "manifests").iterdir()) == []


async def test_what_clients_send_beyond_is_ignored(world: World, apis: Apis) -> None:
    options = {"sourceUrl": world.package(), "id": None, "port": 4000, "user": None}
    assert (await apis("install", options, "more"))["settings"]["id"] == "notes"


async def test_a_deadline_passes_and_the_call_says_why(world: World, apis: Apis) -> None:
    apis.services.patience = 0.5
    world.machine.behave("notes", Behaviour(ready_after=1e9))
    installed = await apis("install", {"sourceUrl": world.package()})
    assert not installed["converged"]
    assert installed["message"] == "not within 0.5 s: Starting: started, waits until it is ready"
    assert installed["status"] == "active"


async def test_what_is_given_up_is_told_at_once(world: World, apis: Apis) -> None:
    empty = world.packages / "empty"
    empty.mkdir(parents=True)
    installed = await apis("install", {"sourceUrl": empty.as_uri()})
    assert (installed["converged"], installed["status"]) == (False, "inactive")
    assert "empty: NoEntryPoint: the package of empty" in installed["message"]


async def test_a_full_disk_changes_nothing(world: World, apis: Apis, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.state.own_manifests.write_atomically", full)
    with pytest.raises(Failure, match="-32003 the state could not be saved: No space left on device"):
        await apis("install", {"sourceUrl": world.package(), "user": "alice"})
    assert apis.installed.get("notes") is None
    assert list((world.home / "manifests").iterdir()) == []


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


# Configure


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
    apis.services.patience = 1.0
    told = await apis("uninstall", "notes", user="alice")
    assert told == {"converged": False, "message": "not within 1 s: its instances have not ended"}
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
