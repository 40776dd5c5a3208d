"""Locks of Poetry, PDM, Pipenv and the standard one: what they pin is what runs.

The documents are those of the real tools (Poetry 2.5 and 1.8, PDM 2.29, Pipenv), cut down.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.packages.python import PythonPreparer
from runtimes.packages.python_locks import BadLock, check_uv, from_pdm, from_pipenv, from_poetry
from tests.runtimes.factories import make_home, make_paths, service
from tests.runtimes.packages.wheels import make_wheel, only_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

MAIN = "import top, below; print(top.VERSION, below.VERSION)"
POETRY = """
[tool.poetry]
name = "x"
package-mode = false
[tool.poetry.dependencies]
python = "^3.11"
top = "*"
"""
STANDARD = '[project]\nname = "x"\nversion = "1"\ndependencies = ["top"]\n'


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    home = make_home()
    only_from(home / "wheels", monkeypatch)
    yield make_paths(home)
    shutil.rmtree(home)


@pytest.fixture
def hashes(paths: Paths) -> dict[str, str]:
    """Of version 1.0; there are newer ones of both."""
    for version in ("1.0", "2.0"):
        make_wheel(paths.home / "wheels", "top", version, ("below",))
        make_wheel(paths.home / "wheels", "below", version)
    return {name: make_wheel(paths.home / "wheels", name, "1.0", needs) for name, needs in _NEEDS.items()}


_NEEDS: dict[str, tuple[str, ...]] = {"top": ("below",), "below": ()}


def poetry_lock(hashes: dict[str, str], *, old: bool = False) -> str:
    lines = []
    for name, content in hashes.items():
        lines += [
            "[[package]]",
            f'name = "{name}"',
            'version = "1.0"',
            "optional = false",
            'python-versions = ">=3.7"',
        ]
        lines += [] if old else ['groups = ["main"]']
        lines += [f'files = [{{file = "{name}-1.0-py3-none-any.whl", hash = "{content}"}}]']
    return "\n".join([*lines, "[metadata]", f'lock-version = "{"2.0" if old else "2.1"}"'])


def pdm_lock(hashes: dict[str, str]) -> str:
    lines = [
        "[metadata]",
        'groups = ["default"]',
        'strategy = ["inherit_metadata"]',
        'lock_version = "4.5.1"',
    ]
    for name, content in hashes.items():
        lines += ["[[package]]", f'name = "{name}"', 'version = "1.0"', 'groups = ["default"]']
        lines += [f'files = [{{file = "{name}-1.0-py3-none-any.whl", hash = "{content}"}}]']
    return "\n".join(lines)


def pipfile_lock(hashes: dict[str, str]) -> str:
    locked = {name: {"version": "==1.0", "hashes": [content]} for name, content in hashes.items()}
    return json.dumps({"_meta": {"sources": [{"url": "https://pypi.org/simple"}]}, "default": locked})


def standard_lock(hashes: dict[str, str], wheels: Path) -> str:
    lines = ['lock-version = "1.0"', 'created-by = "x"']
    for name, content in hashes.items():
        file = (wheels / f"{name}-1.0-py3-none-any.whl").as_uri()
        lines += ["[[packages]]", f'name = "{name}"', 'version = "1.0"']
        lines += [f'wheels = [{{url = "{file}", hashes = {{sha256 = "{content.removeprefix("sha256:")}"}}}}]']
    return "\n".join(lines)


def app(paths: Paths, files: dict[str, str], **manifest: Any) -> Service:
    source = paths.home / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        (source / name).write_text(content)
    return service(runtime="python", package=str(source), **manifest)


async def run(paths: Paths, of: Service) -> str:
    await PythonPreparer(paths).prepare(of, print)
    program = PythonPreparer(paths).program(of)
    return (await anyio.run_process(program.argv, cwd=program.cwd)).stdout.decode().strip()


def locks(kind: str, hashes: dict[str, str], wheels: Path) -> dict[str, str]:
    return {
        "poetry": {"pyproject.toml": POETRY, "poetry.lock": poetry_lock(hashes)},
        "poetry 1": {"pyproject.toml": POETRY, "poetry.lock": poetry_lock(hashes, old=True)},
        "pdm": {"pyproject.toml": STANDARD, "pdm.lock": pdm_lock(hashes)},
        "pipenv": {"Pipfile": "", "Pipfile.lock": pipfile_lock(hashes)},
        "standard": {"pyproject.toml": STANDARD, "pylock.toml": standard_lock(hashes, wheels)},
    }[kind]


KINDS = ["poetry", "poetry 1", "pdm", "pipenv", "standard"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_locked_runs_and_not_what_is_newest(
    paths: Paths, hashes: dict[str, str], kind: str
) -> None:
    files = {"main.py": MAIN, "requirements.txt": "top==2.0\n", **locks(kind, hashes, paths.home / "wheels")}
    of = app(paths, files)
    assert await run(paths, of) == "1.0 1.0"
    # Nothing of how it was installed is left in the package.
    program = PythonPreparer(paths).program(of)
    assert {each.name for each in anyio.Path(program.cwd)._path.iterdir()} == {*files, ".venv"}


@pytest.mark.parametrize("kind", KINDS)
async def test_another_content_than_the_locked_one_is_refused(
    paths: Paths, hashes: dict[str, str], kind: str
) -> None:
    wrong = {**hashes, "below": "sha256:" + "0" * 64}
    with pytest.raises(RuntimeFailure) as caught:
        await run(paths, app(paths, {"main.py": MAIN, **locks(kind, wrong, paths.home / "wheels")}))
    assert caught.value.reason == "PrepareFailed"


async def test_without_a_lock_it_is_the_newest(paths: Paths, hashes: dict[str, str]) -> None:
    assert await run(paths, app(paths, {"main.py": MAIN, "requirements.txt": "top\n"})) == "2.0 2.0"


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"Pipfile": ""}, "pipenv lock"),
        ({"pixi.lock": ""}, "requirements.txt"),
        (
            {"pyproject.toml": STANDARD, "pdm.lock": '[metadata]\nstrategy = ["cross_platform"]\n'},
            "pdm lock -S",
        ),
        (
            {"pyproject.toml": STANDARD, "pdm.lock": '[metadata]\nstrategy = ["inherit_metadata"]\n'},
            "pdm lock",
        ),
        ({"pyproject.toml": POETRY, "poetry.lock": "[metadata]\n"}, "poetry lock"),
    ],
)
async def test_what_is_not_understood_is_named(paths: Paths, files: dict[str, str], hint: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        await run(paths, app(paths, {"main.py": "", **files}))
    assert caught.value.reason == "PrepareFailed"
    assert any(name in caught.value.message for name in files) and hint in caught.value.hint


@pytest.mark.parametrize("file", ["poetry.lock", "pdm.lock", "Pipfile.lock"])
async def test_a_broken_lock_is_permanent(paths: Paths, file: str) -> None:
    with pytest.raises(PermanentFailure, match=file):
        await run(paths, app(paths, {"main.py": "", "pyproject.toml": STANDARD, file: "= 1"}))


# Line by line


def test_poetry_takes_group_main_with_its_markers_and_sources() -> None:
    def package(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "version": "1.0", "groups": ["main"], "files": [], **more}

    git = {
        "type": "git",
        "url": "https://example.com/g.git",
        "reference": "main",
        "resolved_reference": "a" * 40,
    }
    found = from_poetry(
        {
            "package": [
                package(
                    "a", files=[{"file": "a.whl", "hash": "sha256:01"}, {"file": "b", "hash": "sha256:00"}]
                ),
                package("b", markers='sys_platform == "win32"'),
                package(
                    "c", optional=True, markers={"main": 'extra == "net"', "dev": 'python_version < "4"'}
                ),
                package("d", groups=["dev"]),
                package("e", source=git | {"subdirectory": "sub"}),
                package(
                    "f", source={"type": "legacy", "url": "https://own.example/simple", "reference": "o"}
                ),
                package("g", source={"type": "directory", "url": "lib/g"}),
                package("h", source={"type": "legacy", "url": "https://pypi.org/simple", "reference": "p"}),
            ]
        },
        {
            "tool": {
                "poetry": {
                    "dependencies": {"python": "^3.11", "A": "^1", "z": {"version": "1", "python": "<3"}}
                }
            }
        },
    )
    assert found.lines == (
        "--extra-index-url https://own.example/simple",
        "a==1.0 --hash=sha256:00 --hash=sha256:01",
        'b==1.0 ; sys_platform == "win32"',
        'c==1.0 ; extra == "net"',
        f"e @ git+https://example.com/g.git@{'a' * 40}#subdirectory=sub",
        "f==1.0",
        "g @ lib/g",
        "h==1.0",
    )
    assert (found.pins, found.local) == ((), True)


def test_an_old_poetry_lock_pins_what_the_project_asks_for() -> None:
    lock = {"package": [{"name": "a", "version": "1.0"}, {"name": "b", "version": "2.0"}]}
    dependencies = {
        "python": "^3.8",
        "a": {"version": "^1", "extras": ["x", "y"]},
        "c": {"version": "1", "python": "~3.7"},
        "d": {"version": "1", "markers": "os_name == 'nt'", "platform": "win32"},
        "e": {"version": "1", "optional": True, "python": ">=3"},
        "f": [{"version": "1", "python": ">=3.8,<4.0"}, {"version": "2", "python": "^2.7"}],
    }
    found = from_poetry(lock, {"tool": {"poetry": {"dependencies": dependencies}}})
    assert found.lines == (
        "a[x,y]",
        "c ; python_full_version >= '3.7' and python_full_version < '3.8'",
        "d ; (os_name == 'nt') and sys_platform == 'win32'",
        "f ; python_full_version >= '3.8' and python_full_version < '4.0'",
        "f ; python_full_version >= '2.7' and python_full_version < '3'",
    )
    assert found.pins == ("a==1.0", "b==2.0")
    with pytest.raises(BadLock, match="several versions of a"):
        from_poetry({"package": [*lock["package"], {"name": "a", "version": "3.0"}]}, {})


def test_pdm_takes_its_default_group_once() -> None:
    def package(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "version": "1.0",
            "groups": ["default"],
            "files": [{"hash": "sha256:00"}],
            **more,
        }

    lock = {
        "metadata": {"strategy": ["inherit_metadata"]},
        "package": [
            package("a"),
            package("a", extras=["x"]),
            package("b", marker='os_name == "nt"'),
            package("c", groups=["dev"]),
            package("d", path="./lib/d", files=[]),
            package("e", git="https://example.com/e.git", revision="b" * 40, files=[]),
        ],
    }
    found = from_pdm(
        lock, {"tool": {"pdm": {"source": [{"url": "https://own.example/simple/", "name": "o"}]}}}
    )
    assert found.lines == (
        "--extra-index-url https://own.example/simple",
        "a==1.0 --hash=sha256:00",
        'b==1.0 ; os_name == "nt" --hash=sha256:00',
        "d @ ./lib/d",
        f"e @ git+https://example.com/e.git@{'b' * 40}",
    )
    assert found.local


def test_pipenv_pins_nothing_of_what_its_machine_did_not_need() -> None:
    lock = {
        "_meta": {"sources": [{"url": "https://pypi.org/simple"}, {"url": "https://own.example/simple"}]},
        "default": {
            "a": {
                "version": "==1.0",
                "hashes": ["sha256:00"],
                "markers": "python_version >= '3.7'",
                "index": "pypi",
            },
            "b": {"version": "*", "markers": "sys_platform == 'win32'"},
            "range": {"version": "==>=0.4", "markers": "sys_platform == 'win32'"},
            "ranges": {"version": "==~=1.2, !=1.3", "markers": "sys_platform == 'win32'"},
            "c": {"git": "https://example.com/c.git", "ref": "c" * 40},
            "d": {"path": ".", "editable": True},
        },
        "develop": {"e": {"version": "==1.0"}},
    }
    found = from_pipenv(lock)
    assert found.lines == (
        "--extra-index-url https://own.example/simple",
        "a==1.0 ; python_version >= '3.7' --hash=sha256:00",
        "b ; sys_platform == 'win32'",
        "range>=0.4 ; sys_platform == 'win32'",
        "ranges~=1.2,!=1.3 ; sys_platform == 'win32'",
        f"c @ git+https://example.com/c.git@{'c' * 40}",
        "d @ .",
    )
    assert found.local


@pytest.mark.parametrize(
    "about",
    [
        {"version": "==1\n--index-url https://evil.example"},
        {"version": "==>=1 --pre"}, {"version": "==>=1,--pre"}, {"version": "==>="},
        {"version": "==1", "markers": "a\n-r /etc/passwd"}, [],
        {"version": "==1", "hashes": ["sha256:0 --pre"]}, {"git": "https://x\n", "ref": "a"},
    ],
)  # fmt: skip
def test_no_line_holds_more_than_its_package(about: Any) -> None:
    with pytest.raises(BadLock):
        from_pipenv({"default": {"a": about}})


#: As uv 0.9 writes it; no interpreter of this project needs tomli.
UV = {
    "version": 1,
    "package": [
        {"name": "idna", "version": "3.10"},
        {"name": "zope-interface", "version": "8.0"},
        {
            "name": "x",
            "source": {"virtual": "."},
            "metadata": {"requires-dist": [{"name": "idna"}, {"name": "tomli"}, {"name": "zope-interface"}]},
        },
    ],
}


@pytest.mark.parametrize(
    ("dependencies", "lacks"),
    [
        (["idna>=3", "Zope.Interface (>=5)", "tomli; python_version < '3.11'"], ""),
        ([], ""),
        (["idna", "tomli"], ""),
        (["idna", "six"], "six"),
        (["Six[extra] >= 1"], "Six"),
        (["six @ https://example.com/six.whl"], "six"),
    ],
)
def test_a_uv_lock_that_is_older_than_its_project_is_named(dependencies: list[str], lacks: str) -> None:
    project = {"project": {"name": "x", "dependencies": dependencies}}
    if not lacks:
        check_uv(UV, project)
        return
    with pytest.raises(BadLock) as caught:
        check_uv(UV, project)
    assert caught.value.message == f"uv.lock has no {lacks}, which pyproject.toml asks for"
    assert caught.value.hint == "run `uv lock`"


@pytest.mark.parametrize("package", [None, "x", [1], [{"name": 1, "metadata": {"requires-dist": [1]}}]])
def test_a_uv_lock_of_another_shape_lacks_what_is_asked_for(package: object) -> None:
    with pytest.raises(BadLock, match="has no idna"):
        check_uv({"package": package}, {"project": {"dependencies": ["idna"]}})


async def test_an_old_uv_lock_is_refused_before_anything_is_installed(
    paths: Paths, hashes: dict[str, str]
) -> None:
    files = {"pyproject.toml": STANDARD, "uv.lock": "version = 1\n", "main.py": MAIN}
    with pytest.raises(PermanentFailure, match=r"uv\.lock has no top") as caught:
        await PythonPreparer(paths).prepare(app(paths, files), lambda _: None)
    assert "uv lock" in caught.value.hint
