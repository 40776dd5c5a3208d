"""What editors, operating systems and tools leave in a folder changes nothing, for whoever looks at it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hyper.fake.drives import read_folder
from manifests.model.ignored import IGNORED, is_ignored
from manifests.packages.digests import Digests, package_files
from manifests.packages.watcher import roots_of
from manifests.sources.listing import list_folder

if TYPE_CHECKING:
    from pathlib import Path

LEFT = [
    # vim, Emacs, Kate, gedit, JetBrains, LibreOffice
    ".main.py.swp", ".main.py.swo", ".swp", "main.py.swx", ".main.py.swpx", ".main.py.swn", "main.py~",
    ".main.py.un~", ".#main.py", "#main.py#", ".main.py.kate-swp", ".goutputstream-A1B2C3",
    "main.py___jb_tmp___", "main.py___jb_old___", ".~lock.notes.ods#", "~$notes.docx",
    # synchronisers and systems
    ".syncthing.main.py.tmp", "~syncthing~main.py.tmp", ".DS_Store", "._main.py", "Thumbs.db", "desktop.ini",
    ".nfs000000000123", ".fuse_hidden0001", ".directory", ".coverage", ".coverage.host.1",
]  # fmt: skip
FOLDERS = [
    ".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", ".idea", ".vscode", ".pytest_cache",
    ".ruff_cache", ".mypy_cache", ".hypothesis", ".tox", ".nox", ".stversions", ".Trash-1000",
]  # fmt: skip
#: Like one of them, and yet somebody's own.
KEPT = [
    ".env", ".env.sample", ".gitignore", ".npmrc", ".coveragerc", "swp", "a.swf", "4913", "#readme",
    "~main.py", "x~y", ".python-version", "idea", "lock#", "thumbs.dbx", ".syncthing", "syncthing.tmp",
    "x.tmp",
    "_main.py", ".x.swf",
]  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "lib").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    (folder / "lib" / "run").write_text("#!/bin/sh\n")
    (folder / "lib" / "run").chmod(0o755)
    (folder / "link").symlink_to("lib/run")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("where", [".", "lib"])
def test_they_are_no_part_of_a_package(package: Path, where: str) -> None:
    before = Digests().digest(str(package)), read_folder(package, IGNORED)
    for name in LEFT:
        (package / where / name).write_text("x")
    for name in FOLDERS:
        (package / where / name / "deep").mkdir(parents=True)
        (package / where / name / "deep" / "main.py").write_text("x")
    # What is pushed is what the digest is of.
    assert (Digests().digest(str(package)), read_folder(package, IGNORED)) == before
    assert {name for name, _ in package_files(str(package))} == {"main.py", "lib/run", "link", "empty"}
    root = str(package)
    changed = [os.path.join(root, where, name) for name in LEFT]
    changed += [os.path.join(root, where, name, "deep", "main.py") for name in FOLDERS]
    assert not any(roots_of(os.path.normpath(path), {root}) for path in changed)


@pytest.mark.parametrize("name", KEPT)
def test_what_only_looks_like_it_counts(package: Path, name: str) -> None:
    before = Digests().digest(str(package))
    (package / name).write_text("x")
    assert Digests().digest(str(package)) != before
    assert name in read_folder(package, IGNORED)
    assert roots_of(str(package / name), {str(package)}) == {str(package)}


@pytest.mark.parametrize("name", LEFT)
def test_they_are_no_manifests(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text("x")
    for left in (name, name.replace("main.py", "a.yaml")):
        (tmp_path / left).write_text("x")
    assert set(list_folder(str(tmp_path)).files) == {"a.yaml"}


def test_a_package_without_them_has_the_digest_it_always_had(package: Path) -> None:
    assert Digests().digest(str(package)) == "541583fa3055f889"


def test_patterns_are_of_the_kind_that_the_daemon_knows() -> None:
    """It compiles them itself, and has * and ? only where Python has."""
    assert all(set(pattern).isdisjoint("[]\\/") for pattern in IGNORED)
    assert not is_ignored("")
