"""Which services of Compose files keep their ids, from what an earlier version has left in a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.compose import Around, read_compose
from manifests.model.manifest import Manifest
from manifests.model.service import make_service
from manifests.sources.last_good import LastGood
from reconciler.state.compose_ids import is_settled, kept_ids, settle
from reconciler.state.store import FileStore, Remembered

if TYPE_CHECKING:
    from pathlib import Path

FILE = "services: {web: {image: app}, db: {image: postgres:16, volumes: [data:/d]}}\nvolumes: {data: }\n"


def manifest(service_id: str, project: str, alias: str) -> Manifest:
    return Manifest.model_validate(
        {"id": service_id, "image": "x", "project": {"name": project, "aliases": [alias]}}
    )


def remember(home: Path, service_id: str, project: str, alias: str, *, suspended: bool = False) -> None:
    found = manifest(service_id, project, alias)
    service = make_service(found, runtime="docker", package=None, source="manifests")
    store = FileStore(home / "state" / "services")
    anyio.run(store.save, service_id, Remembered(healthy=service, suspended=suspended))


def shown(home: Path, folder: str, text: str = FILE) -> list[str]:
    """The ids that a file has in this home."""
    around = Around(kept=kept_ids(home))
    manifests, _ = read_compose(text, f"{folder}/compose.yaml", folder, lambda _: None, around)
    return [each.id for each in manifests]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "state" / "services").mkdir(parents=True)
    return tmp_path / "home"


def test_what_was_healthy_keeps_its_id_and_its_stop(home: Path) -> None:
    remember(home, "db", "shop", "db", suspended=True)
    remember(home, "wiki-db", "wiki", "db")
    assert not is_settled(home)
    assert settle(home, []) == kept_ids(home) == {"shop": ["db"], "wiki": ["wiki-db"]}
    assert is_settled(home)
    assert shown(home, "/srv/shop") == ["shop-web", "db"]
    assert shown(home, "/srv/other") == ["other-web", "other-db"]


def test_what_never_was_healthy_keeps_its_id_where_it_has_kept_something(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Shop.One"
    folder.mkdir()
    last = LastGood(home / "state" / "snapshots", str(folder))
    last.keep("compose.yaml", FILE, 0, {str(folder / ".env"): "A: {"})
    last.write()
    assert kept_ids(home) == {}
    (home / "data" / "db").mkdir(parents=True)
    assert settle(home, [(str(folder), folder)]) == {"shop-one": ["db"]}
    assert shown(home, str(folder)) == ["shopone-web", "db"]


def test_an_id_that_another_project_has_is_not_kept_twice(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    remember(home, "db", "wiki", "db")
    last = LastGood(home / "state" / "snapshots", "shop")
    last.keep("compose.yaml", FILE, 0)
    last.write()
    assert settle(home, [("shop", folder)]) == {"wiki": ["db"]}


def test_what_is_settled_stays_so_and_a_damaged_file_is_looked_for_again(home: Path) -> None:
    assert settle(home, []) == {}
    remember(home, "db", "shop", "db")
    assert settle(home, []) == {} == kept_ids(home)
    (home / "state" / "compose-ids.json").write_text('{"projects": [')
    assert kept_ids(home) == {"shop": ["db"]} == settle(home, [])


def test_what_records_declared_keeps_its_id(home: Path) -> None:
    found = [manifest("db", "shop", "db"), manifest("x-y", "shop", "db")]
    assert settle(home, [], found) == {"shop": ["db"]}


def test_a_full_disk_loses_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    remember(home, "db", "shop", "db")
    monkeypatch.setattr("reconciler.state.compose_ids.write_atomically", full)
    assert settle(home, []) == {"shop": ["db"]} == kept_ids(home)
