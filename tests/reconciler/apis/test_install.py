"""`install` of the services API: what it makes of a package, and what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
import pytest
import yaml

from runtimes.fake import Behaviour
from tests.reconciler.apis.api_nodes import COMMAND, Apis, Failure, World

pytestmark = pytest.mark.anyio


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
        ({"sourceUrl": "URL", "id": "No Label"}, "id: 'No Label' is not an id"),
        ({"sourceUrl": "URL", "id": "../../x"}, "id: '../../x' is not an id"),
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
