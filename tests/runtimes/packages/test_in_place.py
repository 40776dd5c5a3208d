"""`run: inPlace`: a program runs where its author works on it, and nothing of the folder is the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from pydantic import ValidationError

from manifests.model.judgement import judge
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from manifests.model.service import Package, Service, make_service
from manifests.packages.digests import Digests
from reconciler.decide.strategy import choose
from runtimes.base import PermanentFailure
from runtimes.packages.node import NodePreparer
from runtimes.packages.python import PythonPreparer
from runtimes.paths import Paths
from tests.runtimes.factories import clear

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

INDEX = "console.log(require('above') + ' in ' + process.cwd())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package in a folder whose libraries lie in the one above it."""
    made = tmp_path / "apps" / "notes"
    made.mkdir(parents=True)
    (made / "index.js").write_text(INDEX)
    library = tmp_path / "apps" / "node_modules" / "above"
    library.mkdir(parents=True)
    (library / "index.js").write_text("module.exports = 'found above'")
    return made


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home", tmp_path / "run", 0)


def service(folder: Path, runtime: str = "node", **more: object) -> Service:
    manifest = Manifest.model_validate({"id": "notes", "source": str(folder), "run": "inPlace", **more})
    native = runtime == "process"
    package = Package(str(folder), Digests().digest(str(folder), code_only=True, executables=native))
    return make_service(manifest, runtime=runtime, package=package, source="test")


async def test_it_runs_where_it_is_and_finds_what_lies_above(folder: Path, paths: Paths) -> None:
    preparer, of = NodePreparer(paths), service(folder)
    await preparer.prepare(of, print)
    program = preparer.program(of)
    assert program.cwd == str(folder)
    done = await anyio.run_process(program.argv, cwd=program.cwd)
    assert done.stdout.decode() == f"found above in {folder}\n"
    assert await clear(preparer, "notes", [], of) == ()
    assert (folder / "index.js").read_text() == INDEX
    assert not paths.packages("notes").exists()


async def test_python_runs_where_it_is(folder: Path, paths: Paths) -> None:
    (folder / "main.py").write_text("")
    program = PythonPreparer(paths).program(service(folder, "python"))
    assert program.cwd == str(folder)


async def test_what_there_is_no_way_to_start_is_told(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PermanentFailure):
        await NodePreparer(paths).prepare(service(tmp_path / "empty"), print)


def test_an_edit_is_a_revision_and_what_the_program_writes_is_none(folder: Path) -> None:
    before = service(folder).revision
    (folder / "db.json").write_text("{}")
    (folder / "notes.sqlite3").write_text("rows")
    assert service(folder).revision == before
    (folder / "index.js").write_text(INDEX + ";")
    assert service(folder).revision != before


def test_what_a_process_executes_is_its_program_whatever_its_name(folder: Path) -> None:
    more = {"command": ["./serve"]}
    (folder / "serve").write_bytes(b"\x7fELF 1")
    (folder / "serve").chmod(0o755)
    before = service(folder, "process", **more).revision
    (folder / "pid").write_text("12")
    assert service(folder, "process", **more).revision == before
    (folder / "serve").write_bytes(b"\x7fELF 2")
    assert service(folder, "process", **more).revision != before


def test_a_service_that_never_said_so_keeps_its_revision() -> None:
    """The number is that of 0.3.0."""
    manifest = Manifest.model_validate({"id": "app", "source": "/srv/app"})
    package = Package("/srv/app", "0123456789abcdef")
    assert make_service(manifest, runtime="node", package=package, source="x").revision == "9f8fc27b3f40"


def test_two_of_it_never_write_to_the_folder_at_once(folder: Path) -> None:
    assert choose(service(folder), "").strategy == "recreate"


@pytest.mark.parametrize(
    "more",
    [
        {"source": "https://example.com/a.git"},
        {"source": "/srv/app", "runtime": "docker"},
        {"command": ["run"]},
    ],
)
def test_only_folders_of_this_machine_run_in_place(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="inPlace is for"):
        Manifest.model_validate({"id": "notes", "run": "inPlace", **more})


def test_another_nodes_service_does_not(folder: Path) -> None:
    assert judge(Policy(), service(folder).manifest)
