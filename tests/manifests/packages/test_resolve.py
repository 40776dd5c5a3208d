"""From a manifest to a service with a revision."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.model.manifest import Manifest
from manifests.model.service import Service, make_service
from manifests.model.snapshot import Declared
from manifests.packages.digests import Digests, package_files
from manifests.packages.resolve import ResolveError, package_path, read_atek_json, resolve

if TYPE_CHECKING:
    from pathlib import Path


def declared(base: Path, **keys: object) -> Declared:
    return Declared(Manifest.model_validate({"id": "app", **keys}), str(base), "app.yaml")


def settle(folder: Path) -> None:
    """As if the files had been written a while ago."""
    long_ago = time.time() - 10
    for path in folder.rglob("*"):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "index.js").write_text("1")
    return folder


def test_where_the_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for source, expected in {
        "./app": str(tmp_path / "app"),
        "app/../b": str(tmp_path / "b"),
        "/srv/app": "/srv/app",
        "~/app": "/home/me/app",
        "file:///srv/app": "/srv/app",
        "file:///srv/my%20app": "/srv/my app",
        "file:./app": str(tmp_path / "app"),
        "file://localhost/srv/app": "/srv/app",
    }.items():
        assert package_path(declared(tmp_path, source=source)) == expected
    assert package_path(declared(tmp_path, command=["x"])) is None


@pytest.mark.parametrize(
    ("files", "command", "expected"),
    [
        (["index.js"], None, "node"),
        (["package.json"], None, "node"),
        (["requirements.txt"], ["datasette"], "python"),
        (["pyproject.toml"], None, "python"),
        (["uv.lock"], None, "python"),
        (["main.py"], None, "python"),
        (["app.py"], None, "python"),
        (["__main__.py"], None, "python"),
        (["package.json", "main.py"], None, "node"),
        (["setup.py"], None, "python"),
        (["Pipfile", "server.py"], None, "python"),
        (["Pipfile.lock", "Dockerfile"], None, "docker"),
        # As in earlier versions.
        (["setup.py"], ["./run.sh"], "process"),
        (["Pipfile.lock"], ["gunicorn"], "process"),
        (["run.sh"], ["./run.sh"], "process"),
        (["run.sh"], ["/usr/bin/node", "x"], "node"),
        (None, ["python3.11", "x"], "python"),
        (None, ["/usr/bin/npx", "x"], "node"),
        (None, ["nodejs-thing"], "process"),
        (None, ["sleep", "1"], "process"),
    ],
)
def test_the_runtime_is_inferred(
    tmp_path: Path, files: list[str] | None, command: list[str] | None, expected: str
) -> None:
    keys: dict[str, object] = {"command": command} if command else {}
    if files is not None:
        (tmp_path / "app").mkdir()
        for name in files:
            (tmp_path / "app" / name).touch()
        keys["source"] = "app"
    assert resolve(declared(tmp_path, **keys), "home").runtime == expected
    assert resolve(declared(tmp_path, **keys, runtime="process"), "home").runtime == "process"


def test_what_is_wrong_is_said_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for source, reason, message in [
        ("gone", "SourceNotFound", f"the package folder of app, {tmp_path}/gone, does not exist"),
        ("file", "SourceNotAFolder", f"the source of app, {tmp_path}/file, is a file"),
        ("empty", "NoEntryPoint", f"the package of app, {tmp_path}/empty, has no program"),
    ]:
        with pytest.raises(ResolveError) as caught:
            resolve(declared(tmp_path, source=source), "home")
        assert caught.value.reason == reason
        assert message in str(caught.value)
        assert caught.value.hint


def test_a_package_that_cannot_be_read(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root may read everything."""

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ResolveError) as caught:
        resolve(declared(package.parent, source="app"), "home")
    assert caught.value.reason == "SourceUnreadable"


def test_atek_json_is_optional_and_may_be_broken(package: Path) -> None:
    assert read_atek_json(str(package)) == {}
    for text, expected in (("{", {}), ("[1]", {}), ('{"title": "Notes"}', {"title": "Notes"})):
        (package / "atek.json").write_text(text)
        assert read_atek_json(str(package)) == expected
        assert resolve(declared(package.parent, source="app"), "home").runtime == "node"


def test_equal_packages_have_equal_revisions_and_a_restart_has_another(package: Path) -> None:
    one = resolve(declared(package.parent, source="app"), "home")
    assert one == resolve(declared(package.parent, source="./app"), "home").__class__(
        one.manifest, one.runtime, one.revision, one.package, "home"
    )
    assert resolve(declared(package.parent, source="app"), "home", 1).revision != one.revision


def test_the_digest_sees_every_change_that_matters(package: Path) -> None:
    digests = Digests()
    seen = {digests.digest(str(package))}

    def expect_new() -> None:
        found = digests.digest(str(package))
        assert found not in seen
        assert Digests().digest(str(package)) == found
        seen.add(found)

    for _ in range(5):
        (package / "index.js").write_text(f"revision {len(seen)}")
        expect_new()
    (package / "index.js").chmod(0o755)
    expect_new()
    (package / "lib").mkdir()
    expect_new()
    (package / "lib" / "a.js").write_text("1")
    expect_new()
    (package / "lib" / "a.js").rename(package / "a.js")
    expect_new()
    (package / "link").symlink_to("a.js")
    expect_new()
    (package / "link").unlink()
    (package / "link").symlink_to("index.js")
    expect_new()
    (package / "link").unlink()
    (package / "link").write_text("index.js")
    expect_new()


@pytest.mark.parametrize("source", ["/", "/proc", "/proc/self/task", "/sys", "//proc/../", "/proc/self/root"])
def test_what_the_system_shows_is_no_package(tmp_path: Path, source: str) -> None:
    """/proc/kmsg is a file that makes who reads it wait for ever, and has no end."""
    with pytest.raises(ResolveError) as caught:
        resolve(declared(tmp_path, source=source, command=["true"]), "home")
    assert caught.value.reason == "SourceNotAPackage"


def test_the_digest_ignores_what_is_no_part_of_a_package(package: Path) -> None:
    before = Digests().digest(str(package))
    for name in (".git", "node_modules", ".venv", "venv", "__pycache__", "lib/__pycache__"):
        (package / name).mkdir(parents=True)
        (package / name / "x").touch()
    (package / "lib" / "a").touch()
    with_lib = Digests().digest(str(package))
    for name in (".DS_Store", ".index.js.swp", "index.js~", "lib/.DS_Store"):
        (package / name).touch()
    os.mkfifo(package / "pipe")
    shutil.rmtree(package / "lib" / "__pycache__")
    assert Digests().digest(str(package)) == with_lib != before
    shutil.rmtree(package / "lib")
    assert Digests().digest(str(package)) == before


def test_unchanged_files_are_not_read_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(package)
    digests = Digests()
    before = digests.digest(str(package))
    monkeypatch.setattr("builtins.open", None)
    assert digests.digest(str(package)) == before


def test_a_change_that_keeps_size_and_time_is_seen_while_the_file_is_fresh(package: Path) -> None:
    digests = Digests()
    now = time.time_ns()
    found = set()
    for content in "abc":
        (package / "index.js").write_text(content)
        os.utime(package / "index.js", ns=(now, now))
        found.add(digests.digest(str(package)))
    assert len(found) == 3


def test_copying_the_package_files_gives_the_same_digest(package: Path, tmp_path: Path) -> None:
    (package / "a" / "b").mkdir(parents=True)
    (package / "a" / "b" / "c").write_text("x")
    (package / "a" / "empty").mkdir()
    (package / "link").symlink_to("a/b/c")
    (package / "node_modules").mkdir()
    copy = tmp_path / "copy"
    for relative, entry in package_files(str(package)):
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        if entry.is_dir(follow_symlinks=False):
            (copy / relative).mkdir()
        else:
            shutil.copy2(entry.path, copy / relative, follow_symlinks=False)
    assert Digests().digest(str(copy)) == Digests().digest(str(package))


_NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name.strip("."))
_TREES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map(tuple), st.text("xy", max_size=2), max_size=4
)


def _plant(folder: Path, tree: dict[tuple[str, ...], str]) -> frozenset[tuple[str, str]]:
    for parts, content in tree.items():
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        except (IsADirectoryError, FileExistsError, NotADirectoryError):
            continue
    files = (path for path in folder.rglob("*") if path.is_file())
    return frozenset((str(path.relative_to(folder)), path.read_text()) for path in files)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TREES, _TREES)
def test_digests_are_equal_exactly_when_the_trees_are(
    tmp_path: Path, one: dict[tuple[str, ...], str], two: dict[tuple[str, ...], str]
) -> None:
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
    planted = _plant(tmp_path / "one", one), _plant(tmp_path / "two", two)
    same = Digests().digest(str(tmp_path / "one")) == Digests().digest(str(tmp_path / "two"))
    assert same == (planted[0] == planted[1])


def test_exports_come_from_the_manifest_or_else_from_the_package(package: Path) -> None:
    written = {"exports": [{"api": "example.com/a", "path": "/a"}, {"api": 5}, "example.com/b"]}
    (package / "atek.json").write_text(json.dumps(written))
    found = resolve(declared(package, source="."), "test").exports
    assert [(export.api, export.path) for export in found] == [
        ("example.com/a", "/a"),
        ("example.com/b", "/"),
    ]
    assert (
        resolve(declared(package, source=".", exports=["example.com/c"]), "test").exports[0].api
        == "example.com/c"
    )
    assert resolve(declared(package, source=".", exports=[]), "test").exports == ()


def test_a_recorded_service_outlives_narrower_bounds() -> None:
    """What an earlier version started is adopted, whatever may be written today."""
    manifest = Manifest.model_validate({"id": "a", "command": ["sleep", "9"], "env": {"A": "1"}})
    service = make_service(manifest, runtime="process", package=None, source="m")
    value = service.to_json()
    assert Service.from_json(value) == service
    value["manifest"]["resources"] = {"memory": 10**30}
    value["manifest"]["probes"] = {"liveness": {"httpGet": {"path": "/"}, "periodSeconds": 1e-9}}
    found = Service.from_json(value)
    assert (found.revision, found.manifest.command, found.manifest.env) == (
        service.revision, ("sleep", "9"), {"A": "1"},
    )  # fmt: skip
    assert found.manifest.resources.memory is None and found.manifest.probes.liveness is None
    value["manifest"]["id"] = "a\0"
    with pytest.raises(ValueError):
        Service.from_json(value)
