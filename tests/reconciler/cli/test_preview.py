"""`atek plan` over files: what is told of each service, whatever is wrong with another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hyper.port import Position, Record
from manifests.documents.record import make_record, record_path
from manifests.model.manifest import Manifest
from manifests.model.merge import Merged, Winner
from manifests.model.policy import Policy
from manifests.model.service import Package, make_service
from manifests.model.snapshot import Declared
from manifests.packages.resolve import resolve
from manifests.sources.journal import Journal, Line
from reconciler.cli import dry_run
from reconciler.cli.dry_run import Judge, Known
from reconciler.cli.preview import preview
from reconciler.decide.renamed import Renames
from reconciler.decide.rewriting import Rewriting
from reconciler.drive.sources import make_sources
from reconciler.peers.follows import FollowsFile
from reconciler.peers.port import Follow
from reconciler.state.grants import GrantsFile
from reconciler.state.store import Remembered
from reconciler.state.vault import Vault
from runtimes.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BY: dict[str, Any] = {"owner": "system", "updated_at": "", "updated_by": ""}


def test_a_surprise_in_one_service_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("good", "odd"):
        (folder / f"{name}.yaml").write_text(f"id: {name}\ncommand: [sleep, '9']\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("coreServices = []\n")

    def odd(declared: Any, *rest: Any, **more: Any) -> Any:
        if declared.manifest.id == "odd":
            raise ValueError("embedded null byte")
        return resolve(declared, *rest, **more)

    monkeypatch.setattr(dry_run, "resolve", odd)
    found = {each.id: (each.kind, each.message) for each in preview(tmp_path / "home", [folder])}
    assert found["good"][0] == "create"
    assert found["odd"] == ("blocked", "InternalError: ValueError: embedded null byte")


def test_what_was_written_into_a_commit_is_no_change(tmp_path: Path) -> None:
    """0.3 ran processes inside of checkouts."""
    (tmp_path / "log").touch()
    manifest = Manifest.model_validate({"id": "p", "source": str(tmp_path), "command": ["./run"]})
    winner = Winner(Declared(manifest, str(tmp_path), "p.yaml"), "files")
    before = make_service(
        manifest, runtime="process", package=Package(str(tmp_path), "a" * 16), source="files"
    )

    class FromGit:
        def located(self, found: Winner) -> Winner:
            return found

        def has(self, _: Winner) -> bool:
            return True

    git: Any = FromGit()
    merged = Merged({"p": winner}, {}, {}, complete=True)
    known, paths = Known({"p": before}, {}), Paths(tmp_path, tmp_path, 0)
    assert (
        Judge(merged, known, git, paths, Rewriting(), Renames(bool), Vault(tmp_path)).change("p").kind
        == "none"
    )


def test_a_new_id_that_begins_empty_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "state" / "services").mkdir(parents=True)
    (home / "data" / "notes").mkdir(parents=True)
    (home / "data" / "notes" / "db").touch()
    (home / "config.toml").write_text("coreServices = []\n")
    (tmp_path / "m").mkdir()
    file = tmp_path / "m" / "notes.yaml"
    file.write_text("id: diary\ncommand: [sleep, '9']\n")
    manifest = Manifest.model_validate({"id": "notes", "command": ["sleep", "9"]})
    (source,) = [each.name for each in make_sources(home, [tmp_path / "m"], None)[2:]]
    healthy = make_service(manifest, runtime="process", package=None, source=source)
    memory = Remembered(healthy=healthy)
    (home / "state" / "services" / "notes.json").write_text(json.dumps(memory.to_json()))
    (found,) = preview(home, [tmp_path / "m"])
    assert (found.id, found.kind) == ("diary", "create")
    assert "data/notes" in found.details[0]


def test_what_another_node_asks_for_is_told_before_anything_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "state" / "snapshots").mkdir(parents=True)
    terms = Policy.model_validate({"trust": "foreign", "runtimes": ["process"], "services": 2})
    FollowsFile(home).write([Follow("laptop", "ab" * 32, policy=terms)])
    manifests: dict[str, dict[str, Any]] = {"asks": {"port": 8080}, "more": {}, "none": {}}
    lines = []
    for number, (name, keys) in enumerate(manifests.items()):
        value = {"id": name, "runtime": "process", "command": ["sleep", "9"], **keys}
        record = Record(record_path(name), number, make_record(value, **BY))
        lines.append(Line(record.path, record, good=True))
    Journal(home / "state" / "snapshots", "laptop").append(lines, "ab" * 32, Position(0, 3))

    def told() -> dict[str, tuple[str, str]]:
        found = {each.id: (each.kind, each.message.partition(":")[0]) for each in preview(home, [])}
        return {name: found[name] for name in ("asks", "more", "none")}

    expected = {"asks": ("blocked", "GrantRequired"), "more": ("create", "process, revision"),
                "none": ("blocked", "PolicyForbids")}  # fmt: skip
    assert {
        name: (kind, word.rpartition(" ")[0] or word) for name, (kind, word) in told().items()
    } == expected
    GrantsFile(home).put(f"follow:{'ab' * 32}", "asks", ["port:8080"])
    assert told()["asks"][0] == "create"
