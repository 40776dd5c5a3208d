"""The file that says whose data folders are, and what counts as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.model.manifest import Manifest
from manifests.model.merge import Winner, merge
from manifests.model.snapshot import Declared, Problem, Snapshot
from reconciler.decide.admission import admit
from reconciler.state.data_owners import DataFolders

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def test_owners_are_kept_and_local_ones_take_no_room(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    folders = DataFolders(tmp_path)
    folders.note({"a": "follow:1", "b": "follow:2"})
    folders.note({"a": ""})
    again = DataFolders(tmp_path)
    assert (again.owner("a"), again.owner("b"), again.owner("c")) == ("", "follow:2", "")
    file = tmp_path / "state" / "data-owners.json"
    assert file.stat().st_mode & 0o777 == 0o600 and '"a"' not in file.read_text()


@pytest.mark.parametrize(
    ("files", "held"),
    [
        ([], False),
        (["data/notes/"], False),
        (["data/notes/tmp/"], False),
        (["data/notes/tmp/draft"], True),
        (["data/notes/tmp/", "data/notes/.hidden"], True),
        (["data/notes/sub/"], True),
        (["data/notes"], True),
    ],
    ids=str,
)
def test_what_counts_as_data(tmp_path: Path, files: list[str], held: bool) -> None:
    for name in files:
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    assert DataFolders(tmp_path).is_held("notes") is held


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owners": []}', '{"owners": {"a": 1}}', "nothing"])
def test_a_damaged_file_is_put_aside_and_told_of(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state" / "data-owners.json"
    file.parent.mkdir()
    file.write_bytes(text.encode())
    folders = DataFolders(tmp_path)
    if text == '{"owners": []}':
        assert not folders.problems, "an empty list is as good as none"
        return
    assert "damaged" in folders.problems[0] and folders.owner("a") == ""
    folders.note({"b": "follow:2"})
    assert file.with_suffix(".damaged").read_text() == text
    assert DataFolders(tmp_path).owner("b") == "follow:2"


def snapshot(name: str, ids: list[str]) -> Snapshot:
    services = [Declared(Manifest(id=each, command=("run",)), "/", f"{name}:{each}") for each in ids]
    return Snapshot(name, "follow", services=services)


@given(
    st.lists(st.lists(st.sampled_from("abc"), unique=True), max_size=4),
    st.sets(st.tuples(st.sampled_from("0123"), st.sampled_from("abc"))),
)
def test_the_first_who_is_not_refused_has_the_id(sources: list[list[str]], bad: set[tuple[str, str]]) -> None:
    snapshots = [snapshot(str(number), ids) for number, ids in enumerate(sources)]

    def refused(services: Mapping[str, Winner]) -> dict[str, Problem]:
        return {
            each: Problem("no", service=each, reason="DataOwned")
            for each, winner in services.items()
            if (winner.source, each) in bad
        }

    merged, admitted = admit(snapshots, {}, refused)
    for each in "abc":
        may = [s.source for s in snapshots if each in ids_of(s) and (s.source, each) not in bad]
        winner = merged.services.get(each)
        assert (winner.source if winner else None) == next(iter(may), None)
        before = [s.source for s in snapshots if each in ids_of(s) and (s.source, each) in bad]
        told = [s.source for s in admitted if any(problem.service == each for problem in s.problems)]
        assert told == [source for source in before if not may or source < may[0]]
    if not bad:
        assert merged == merge(snapshots, {})


def ids_of(snapshot: Snapshot) -> set[str]:
    return {each.manifest.id for each in snapshot.services}


def test_volumes_are_data(tmp_path: Path) -> None:
    note = tmp_path / "state" / "volumes" / "notes.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"volumes": {"cache": "v"}}')
    assert DataFolders(tmp_path).is_held("notes") and not DataFolders(tmp_path).is_held("other")


def test_what_its_program_wrote_beside_its_code_is_data(tmp_path: Path) -> None:
    (tmp_path / "kept" / "notes" / "current").mkdir(parents=True)
    assert DataFolders(tmp_path).is_held("notes") and not DataFolders(tmp_path).is_held("other")
