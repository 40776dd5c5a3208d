"""Services from Git repositories, installed and moved on through the API: with git itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.reconciler.apis.api_nodes import Apis, Failure, World
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "origin")
    release(made, "v1.0.0")
    release(made, "v1.1.0")
    return made


def release(origin: Repository, tag: str) -> None:
    about = json.dumps({"title": "Notes", "exports": [{"api": "example.com/notes"}]})
    origin.commit({"index.js": tag, "atek.json": about}, tag=tag)


def url(origin: Repository) -> str:
    return f"file://{origin.path}"


async def test_what_is_installed_is_the_newest_release_in_the_range(apis: Apis, origin: Repository) -> None:
    found = await apis("install", {"sourceUrl": url(origin), "desiredVersion": "~1.0"})
    assert found["converged"]
    settings = found["settings"]
    assert settings["desiredVersion"] == "~1.0"
    assert settings["package"] == {"sourceType": "git", "installedVersion": "1.0.0"}
    assert settings["manifest"] == {"title": "Notes", "exports": [{"api": "example.com/notes"}]}
    newest = (await apis("install", {"sourceUrl": url(origin), "id": "other"}))["settings"]
    assert newest["package"]["installedVersion"] == "1.1.0" and "desiredVersion" not in newest


async def test_nothing_moves_until_somebody_asks(world: World, apis: Apis, origin: Repository) -> None:
    await apis("install", {"sourceUrl": url(origin), "id": "notes"})
    same = {"hasUpdate": False, "installedVersion": "1.1.0", "latestVersion": "1.1.0"}
    assert await apis("checkForPackageUpdates", "notes") == same
    release(origin, "v1.2.0")
    release(origin, "v2.0.0-rc.1")
    waits = {"hasUpdate": True, "installedVersion": "1.1.0", "latestVersion": "1.2.0"}
    assert await apis("checkForPackageUpdates", "notes") == waits
    assert (await apis("get", "notes"))["settings"]["package"]["installedVersion"] == "1.1.0"
    moved = await apis("updatePackage", "notes")
    assert (moved["oldVersion"], moved["installedVersion"], moved["converged"]) == ("1.1.0", "1.2.0", True)
    assert (await apis("updatePackage", "notes"))["installedVersion"] == "1.2.0"
    again = await apis("configure", "notes", {"desiredVersion": "~1.0"})
    assert again["converged"]
    assert (await apis("get", "notes"))["settings"]["package"]["installedVersion"] == "1.0.0"
    await apis("configure", "notes", {"config": {"A": "1"}})
    assert (await apis("get", "notes"))["settings"]["desiredVersion"] == "~1.0"


async def test_it_stays_under_a_new_id_and_in_another_life(world: World, origin: Repository) -> None:
    async with world.node() as apis:
        await apis("install", {"sourceUrl": url(origin), "id": "notes"})
        release(origin, "v1.2.0")
        assert (await apis("configure", "notes", {"id": "diary"}))["converged"]
        assert (await apis("get", "diary"))["settings"]["package"]["installedVersion"] == "1.1.0"
    async with world.node() as apis:
        assert (await apis("get", "diary"))["settings"]["package"]["installedVersion"] == "1.1.0"
        assert (await apis("updatePackage", "diary"))["installedVersion"] == "1.2.0"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"desiredVersion": "^3"}, r"has no release in \^3; its newest is 1\.1\.0"),
        ({"desiredVersion": "one"}, "no range of versions"),
        ({"suffix": "#main", "desiredVersion": "^1"}, "version and #main exclude each other"),
        ({"suffix": "#v9"}, "has no branch or tag v9"),
        ({"suffix": "#:deep"}, "has no folder deep"),
        ({"gone": True}, "cannot be fetched"),
    ],
)
async def test_an_install_that_fails_leaves_nothing(
    world: World, apis: Apis, origin: Repository, options: dict[str, Any], said: str
) -> None:
    if options.get("gone"):
        origin.path.rename(origin.path.with_name("away"))
    source = url(origin) + options.get("suffix", "")
    wanted = {"sourceUrl": source, "id": "notes", "desiredVersion": options.get("desiredVersion")}
    with pytest.raises(Failure, match=said):
        await apis("install", wanted)
    assert (await apis("list"))["services"] == []
    assert list((world.home / "manifests").iterdir()) == []
    assert apis.installed.get("notes") is None


async def test_a_repository_without_a_release_needs_a_branch(apis: Apis, tmp_path: Path) -> None:
    bare = Repository(tmp_path / "bare")
    bare.commit({"index.js": "1", "atek.json": "{}"}, tag="nightly")
    with pytest.raises(Failure, match="has no release") as caught:
        await apis("install", {"sourceUrl": url(bare)})
    assert "#main" in caught.value.hint
    found = await apis("install", {"sourceUrl": f"{url(bare)}#main"})
    assert found["settings"]["package"] == {"sourceType": "git", "installedVersion": "main"}


async def test_a_home_of_the_last_version_keeps_its_commit_and_says_so(
    world: World, origin: Repository
) -> None:
    """Its default branch was followed, and is ahead of its newest release."""
    origin.commit({"index.js": "ahead"})
    ahead = origin.git("rev-parse", "HEAD")
    world.write("notes.yaml", f"id: notes\nsource: {origin.path}#main\n")
    async with world.node() as apis:
        await apis("start", "notes")
    # As that version left it: the branch was asked for without a name, and nothing is known of releases.
    (refs,) = (world.home / "packages" / ".repositories").rglob("refs.json")
    refs.write_text(json.dumps({"": ahead}))
    (world.home / "state" / "releases.json").unlink(missing_ok=True)
    world.write("notes.yaml", f"id: notes\nsource: {origin.path}\n")
    revision = world.machine.live("notes")[0].running.service.revision
    release(origin, "v1.2.0")
    async with world.node() as apis:
        await apis("start", "notes")
        entry = apis.node.service("notes")
        assert entry is not None and entry["desiredRevision"] == revision
        await apis.until(lambda: "KeepsCommit" in str(apis.node.service("notes")))
        found = await apis("get", "notes")
        assert found["settings"]["package"]["installedVersion"] == ahead[:12]
        (condition,) = [each for each in entry_conditions(apis) if each["type"] == "Updatable"]
        assert condition["status"] == "False" and "version: or #branch" in condition["message"]
        moved = await apis("updatePackage", "notes")
        assert (moved["oldVersion"], moved["installedVersion"]) == (ahead[:12], "1.2.0")
        assert not any(each["type"] == "Updatable" for each in entry_conditions(apis))


def entry_conditions(apis: Apis) -> list[dict[str, Any]]:
    entry = apis.node.service("notes")
    assert entry is not None
    found: list[dict[str, Any]] = entry["conditions"]
    return found
