"""A Compose file in a watched folder is a manifest like any other there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from manifests.sources.folder import REMOVAL, FolderSource
from manifests.sources.last_good import LastGood
from tests.manifests.sources.folders import find, ids, problems, watching, write

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.snapshot import Snapshot

pytestmark = pytest.mark.anyio


async def test_its_services_are_declared_beside_others(tmp_path: Path) -> None:
    write(tmp_path / "app.yaml", "id: app\ncommand: [sleep, '9']\n")
    write(tmp_path / ".env", "TAG=7\n")
    write(
        tmp_path / "compose.yaml", "name: web\nservices:\n  web: {image: 'nginx:${TAG}'}\n  db: {image: pg}\n"
    )
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert ids(source.snapshot) == ["app", "web", "web-db"]
    assert find(source.snapshot, "web").manifest.image == "nginx:7"


async def test_a_mistake_keeps_what_was_good(tmp_path: Path) -> None:
    file = write(tmp_path / "docker-compose.yml", "name: web\nservices: {web: {image: nginx}}\n")
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    write(file, "name: web\nservices:\n  web:\n    image: nginx\n    privileged: true\n")
    await source.scan()
    assert ids(source.snapshot) == ["web"]
    assert f"{file}:5: services.web.privileged: is not supported" in problems(source.snapshot)


async def test_a_change_beside_it_is_a_change_of_it(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TAG=7\n")
    write(
        tmp_path / "compose.yaml",
        "name: web\nservices: {web: {image: 'nginx:${TAG}', env_file: [{path: b.env, required: false}]}}\n",
    )
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        await watched.until(lambda now: ids(now) == ["web"])
        (tmp_path / ".env").write_text("TAG=8\n")
        await watched.until(lambda now: find(now, "web").manifest.image == "nginx:8")
        (tmp_path / "b.env").write_text("A=b\n")
        await watched.until(lambda now: find(now, "web").manifest.env == {"A": "b"})
        (tmp_path / ".env").unlink()
        await watched.until(lambda now: "is not an image; write one like" in problems(now))
        assert find(watched.snapshot, "web").manifest.image == "nginx:8"


async def test_a_variable_without_a_value_is_a_warning_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "compose.yaml", "name: web\nservices: {web: {image: nginx, command: [$NONE]}}\n")
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        await watched.until(lambda now: ids(now) == ["web"])
        assert [each.reason for each in watched.snapshot.warnings] == ["UnsetVariable"]
        (tmp_path / ".env").write_text("NONE=x\n")
        await watched.until(lambda now: now.warnings == () and find(now, "web").manifest.command == ("x",))


BASE = "name: web\nservices: {web: {image: 'nginx:1'}}\n"
OVER = "services: {web: {image: 'nginx:2'}}\n"


def image(now: Snapshot) -> str | None:
    return find(now, "web").manifest.image


async def test_an_override_is_part_of_it(tmp_path: Path) -> None:
    write(tmp_path / "compose.yaml", BASE)
    over = tmp_path / "compose.override.yaml"
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        await watched.until(lambda now: image(now) == "nginx:1")
        over.write_text(OVER)
        await watched.until(lambda now: image(now) == "nginx:2")
        over.write_text("services: {web: {image: 'nginx:3', links: [a]}}\n")
        await watched.until(lambda now: f"{over}:1: services.web.links: is not" in problems(now))
        assert image(watched.snapshot) == "nginx:2"
        over.write_text(OVER.replace(":2", ":4"))
        await watched.until(lambda now: image(now) == "nginx:4" and not problems(now))
        # Whoever writes it anew without a file in between takes nothing back.
        over.unlink()
        await watched.stays(lambda now: image(now) == "nginx:4", REMOVAL / 2)
        over.write_text(OVER.replace(":2", ":5"))
        await watched.until(lambda now: image(now) == "nginx:5")
        over.unlink()
        await watched.until(lambda now: image(now) == "nginx:1")


async def test_what_lies_beside_it_is_looked_at_where_no_event_told_of_it(tmp_path: Path) -> None:
    write(tmp_path / "compose.yaml", BASE)
    over = write(tmp_path / "docker-compose.override.yml", OVER)
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    write(over, OVER.replace(":2", ":33"))
    await source.scan()
    assert image(source.snapshot) == "nginx:33"


@pytest.mark.parametrize("lost", ["folder", "override", "override broken"])
async def test_a_node_that_starts_without_it_knows_what_it_was_last(lost: str, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    write(folder / ".env", "TAG=7\n")
    write(folder / "compose.yaml", BASE.replace("nginx:1", "nginx:${TAG:-1}"))
    over = write(folder / "compose.override.yaml", "services: {web: {environment: {A: b}}}\n")
    first = LastGood(tmp_path / "state", "home")
    await FolderSource(folder, "home", first).scan()
    while first.pending:
        first.write()
    if lost == "folder":
        folder.rename(tmp_path / "elsewhere")
    else:
        write(
            over, "services: [" if lost == "override broken" else "services: {web: {environment: {A: c}}}\n"
        )
    again = FolderSource(folder, "home", LastGood(tmp_path / "state", "home"))
    await again.scan()
    web = find(again.snapshot, "web").manifest
    assert (web.image, web.env["A"]) == ("nginx:7", "c" if lost == "override" else "b")


async def test_an_override_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    over = write(tmp_path / "compose.override.yaml", OVER)
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        told = f"{over}: there is no Compose file beside it that it could override"
        assert told in problems(watched.snapshot)
        (tmp_path / "compose.yml").write_text(BASE)
        await watched.until(lambda now: ids(now) == ["web"] and not problems(now))
        assert image(watched.snapshot) == "nginx:2"


OTHERS = {
    "prometheus.yml": "global: {scrape_interval: 15s}\nscrape_configs: [{job_name: a}]\n",
    "settings.json": '{"theme": "dark", "items": [{"id": 1}]}',
    "automations.yaml": "- id: '1'\n  alias: x\n",
    "broken.yaml": "a: [\n",
    "conf.toml": "[server]\nport = 1\n",
    "empty.yaml": "",
}


@pytest.mark.parametrize("name", OTHERS)
async def test_a_file_of_its_services_is_no_manifest(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, OTHERS[name])
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert len(source.snapshot.problems) >= 1, "alone it is taken for a manifest"
    write(tmp_path / "compose.yaml", BASE)
    await source.scan()
    assert (ids(source.snapshot), problems(source.snapshot)) == (["web"], "")


async def test_a_manifest_beside_it_is_one_also_when_it_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "compose.yaml", BASE)
    write(tmp_path / "app.yaml", "id: app\ncomand: [a]\n")
    write(tmp_path / "app.toml", "id = [\n")
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert {os.path.basename(each.file) for each in source.snapshot.problems} == {"app.yaml", "app.toml"}


async def test_files_in_folders_below_are_found_and_followed(tmp_path: Path) -> None:
    write(tmp_path / "app.yaml", "id: app\ncommand: [sleep, '9']\n")
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        await watched.until(lambda now: ids(now) == ["app"])
        (tmp_path / "apps" / "shop").mkdir(parents=True)
        (tmp_path / "apps" / "shop" / "compose.yaml").write_text(
            "services: {db: {image: 'pg:$T', build: .}}\n"
        )
        await watched.until(lambda now: ids(now) == ["app", "shop-db"])
        declared = find(watched.snapshot, "shop-db")
        assert declared.base == str(tmp_path / "apps" / "shop")
        (tmp_path / "apps" / "shop" / ".env").write_text("T=16\n")
        await watched.until(lambda now: find(now, "shop-db").manifest.source == "." and now.warnings == ())
        (tmp_path / "apps" / "wiki").mkdir()
        (tmp_path / "apps" / "wiki" / "docker-compose.yml").write_text("services: {db: {image: pg}}\n")
        await watched.until(lambda now: ids(now) == ["app", "shop-db", "wiki-db"])
        (tmp_path / "apps" / "wiki" / "docker-compose.yml").unlink()
        await watched.until(lambda now: ids(now) == ["app", "shop-db"])
        (tmp_path / "apps" / "shop" / "compose.yaml").write_text("services: {web: {image: a}}\n")
        await watched.until(lambda now: ids(now) == ["app", "shop-web"])


async def test_what_lies_below_something_else_is_no_app(tmp_path: Path) -> None:
    file = "services: {db: {image: pg}}\n"
    for folder in ("a/b/c/d", ".hidden", "node_modules", "package", "app/data", "app/data/deep"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "compose.yaml", file)
    write(tmp_path / "package" / "package.json", "{}")
    write(tmp_path / "app" / "compose.yaml", file)
    write(tmp_path / "app" / "docker-compose.yml", file)
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert ids(source.snapshot) == ["app-db"]
    write(tmp_path / "compose.yaml", BASE)
    await source.scan()
    await source.scan()
    assert "web" in ids(source.snapshot)
    again = FolderSource(tmp_path, "again")
    await again.scan()
    assert ids(again.snapshot) == ["web"]


async def test_a_folder_below_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    write(folder / "compose.yaml", "services: {db: {image: pg}}\n")
    folder.chmod(0o777)
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert ids(source.snapshot) == [] and f"everybody can write {folder}" in problems(source.snapshot)
