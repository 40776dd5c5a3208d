"""A Compose file in a watched folder is a manifest like any other there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from manifests.sources.folder import FolderSource
from tests.manifests.sources.folders import find, ids, problems, watching, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_its_services_are_declared_beside_others(tmp_path: Path) -> None:
    write(tmp_path / "app.yaml", "id: app\ncommand: [sleep, '9']\n")
    write(tmp_path / ".env", "TAG=7\n")
    write(tmp_path / "compose.yaml", "services:\n  web: {image: 'nginx:${TAG}'}\n  db: {image: pg}\n")
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    assert ids(source.snapshot) == ["app", "web", "db"]
    assert find(source.snapshot, "web").manifest.image == "nginx:7"


async def test_a_mistake_keeps_what_was_good(tmp_path: Path) -> None:
    file = write(tmp_path / "docker-compose.yml", "services: {web: {image: nginx}}\n")
    source = FolderSource(tmp_path, "folder")
    await source.scan()
    write(file, "services:\n  web:\n    image: nginx\n    privileged: true\n")
    await source.scan()
    assert ids(source.snapshot) == ["web"]
    assert f"{file}:4: services.web.privileged: is not supported" in problems(source.snapshot)


async def test_a_change_beside_it_is_a_change_of_it(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TAG=7\n")
    write(
        tmp_path / "compose.yaml",
        "services: {web: {image: 'nginx:${TAG}', env_file: [{path: b.env, required: false}]}}\n",
    )
    async with watching(FolderSource(tmp_path, "folder")) as watched:
        await watched.until(lambda now: ids(now) == ["web"])
        (tmp_path / ".env").write_text("TAG=8\n")
        await watched.until(lambda now: find(now, "web").manifest.image == "nginx:8")
        (tmp_path / "b.env").write_text("A=b\n")
        await watched.until(lambda now: find(now, "web").manifest.env == {"A": "b"})
        (tmp_path / ".env").unlink()
        await watched.until(lambda now: "the variable TAG has no value" in problems(now))
        assert find(watched.snapshot, "web").manifest.image == "nginx:8"
