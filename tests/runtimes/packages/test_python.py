"""Python packages: which interpreter, which way to install, and from where.

Whole preparations, from the index too, are in test_preparation; here nothing is fetched.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import Notice, PermanentFailure, RuntimeFailure
from runtimes.packages import python, python_newest, uv
from runtimes.packages.python import PythonPreparer, base_python
from runtimes.packages.uv import parse_pip_config, translate, uv_settings
from tests.runtimes.factories import make_paths, service
from tests.runtimes.packages.wheels import make_wheel, only_from

if TYPE_CHECKING:
    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

PROJECT = '[project]\nname = "x"\nversion = "1"\n'
BUILD = '[build-system]\nrequires = ["b"]\nbuild-backend = "b"\n'
ALONE = "pip install --no-deps ."
SYNC = "sync --frozen --no-dev --no-editable"
VIRTUAL, ITSELF = 'source = { virtual = "." }', 'source = { editable = "." }'


def quiet(_: str) -> None:
    """Nobody watches the progress."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_paths(tmp_path)


def app(paths: Paths, files: dict[str, Any], **manifest: Any) -> Service:
    source = paths.home / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (source / name).write_bytes(content)
        else:
            (source / name).write_text(content)
    return service(package=str(source), **manifest)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """uv's runs, without uv: the words of each."""
    runs: list[str] = []

    async def run(what: str, line: list[str], **_: object) -> None:
        if what == "uv venv":
            Path(line[-1]).mkdir(parents=True)
        elif what == "uv pip compile":
            raise RuntimeFailure("PrepareFailed", "nobody answers")
        elif what == "copying":
            await anyio.run_process(line)
        else:
            runs.append(" ".join(line[1:]))

    monkeypatch.setattr(python, "run_tool", run)
    monkeypatch.setattr(python, "uv_settings", dict)
    return runs


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, []),
        ({"requirements.txt": "a"}, ["pip install -r requirements.txt"]),
        ({"pyproject.toml": "[tool.x]\n"}, []),
        ({"pyproject.toml": "[tool.x]\n", "requirements.txt": "a"}, ["pip install -r requirements.txt"]),
        ({"pyproject.toml": PROJECT}, ["pip install -r pyproject.toml"]),
        ({"pyproject.toml": PROJECT, "requirements.txt": "a"}, ["pip install -r requirements.txt"]),
        ({"pyproject.toml": PROJECT + BUILD}, ["pip install -r pyproject.toml", ALONE]),
        ({"pyproject.toml": BUILD}, ["pip install ."]),
        ({"pyproject.toml": PROJECT + "dynamic = ['dependencies']\n" + BUILD}, ["pip install ."]),
        ({"setup.py": ""}, ["pip install ."]),
        ({"setup.py": "", "requirements.txt": "a"}, ["pip install -r requirements.txt"]),
        ({"pyproject.toml": PROJECT, "uv.lock": VIRTUAL}, [f"{SYNC} --no-install-project"]),
        ({"pyproject.toml": PROJECT + BUILD, "uv.lock": ITSELF}, [f"{SYNC} --no-install-project", SYNC]),
        ({"pylock.toml": "a"}, ["pip install -r pylock.toml"]),
    ],
)
async def test_what_uv_is_asked(
    paths: Paths, installed: list[str], files: dict[str, Any], words: list[str]
) -> None:
    await PythonPreparer(paths).prepare(app(paths, {"main.py": "", **files}), quiet)
    assert installed == words


@pytest.mark.parametrize(
    ("files", "change", "again"),
    [
        ({"requirements.txt": "a"}, {"main.py": "changed"}, False),
        ({"requirements.txt": "a"}, {"requirements.txt": "b"}, True),
        ({"requirements.txt": "a"}, {".python-version": "3.12"}, True),
        ({"requirements.txt": "-r more.txt", "more.txt": "a"}, {"more.txt": "b"}, True),
        ({"requirements.txt": "--find-links wheels"}, {"main.py": "changed"}, True),
        ({"requirements.txt": "lib/a.whl"}, {"main.py": "changed"}, True),
        ({"requirements.txt": "a @ file:lib"}, {"main.py": "changed"}, True),
        ({"requirements.txt": "a==1 \\\n  --hash=sha256:00"}, {"main.py": "changed"}, False),
        ({"pyproject.toml": PROJECT}, {"main.py": "changed"}, False),
        ({"pyproject.toml": BUILD}, {"main.py": "changed"}, True),
        ({"pyproject.toml": PROJECT + "dependencies = ['a @ file:lib']"}, {"main.py": "changed"}, True),
        ({"pyproject.toml": PROJECT, "uv.lock": VIRTUAL}, {"main.py": "x"}, False),
        ({"pyproject.toml": PROJECT, "uv.lock": 'source = { editable = "lib" }'}, {"main.py": "x"}, True),
    ],
)
async def test_environments_are_shared_until_what_decides_about_them_changes(
    paths: Paths, installed: list[str], files: dict[str, Any], change: dict[str, Any], again: bool
) -> None:
    before = app(paths, {"main.py": "", **files})
    await PythonPreparer(paths).prepare(before, quiet)
    after = app(paths, change)
    assert after.revision != before.revision
    await PythonPreparer(paths).prepare(after, quiet)
    assert len(installed) == (2 if again else 1)


@pytest.mark.parametrize(
    "text",
    [
        "= 1", "project = 3", "[project]\nscripts = 3", "a = " + "[" * 20_000, "a" + ".a" * 20_000 + " = 1",
        b"\xff\xfe",
    ],
)  # fmt: skip
async def test_a_broken_project_is_permanent(paths: Paths, installed: list[str], text: str | bytes) -> None:
    with pytest.raises(PermanentFailure) as caught:
        await PythonPreparer(paths).prepare(app(paths, {"pyproject.toml": text}), quiet)
    assert caught.value.reason == "InvalidPackage" and installed == []


async def test_a_member_of_a_workspace_is_told(paths: Paths, installed: list[str]) -> None:
    (paths.home / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["source"]\n')
    said: list[str] = []
    await PythonPreparer(paths).prepare(app(paths, {"main.py": "", "pyproject.toml": PROJECT}), said.append)
    assert [each.reason for each in said if isinstance(each, Notice)] == ["InstalledAlone"]


@pytest.mark.parametrize("change", ["main.py", "pyproject.toml"])
async def test_of_a_project_that_is_built_only_itself_is_built_again(
    paths: Paths, installed: list[str], change: str
) -> None:
    await PythonPreparer(paths).prepare(app(paths, {"main.py": "", "pyproject.toml": PROJECT + BUILD}), quiet)
    del installed[:]
    changed = app(paths, {"main.py": "x", change: PROJECT + BUILD + "# x"})
    await PythonPreparer(paths).prepare(changed, quiet)
    assert installed == [ALONE] if change == "main.py" else ["pip install -r pyproject.toml", ALONE]


async def test_two_scripts_are_no_entry_point(paths: Paths, installed: list[str]) -> None:
    text = PROJECT + '[project.scripts]\na = "x:a"\nb = "x:b"\n'
    with pytest.raises(PermanentFailure) as caught:
        await PythonPreparer(paths).prepare(app(paths, {"pyproject.toml": text}), quiet)
    assert caught.value.reason == "NoEntryPoint"


@pytest.mark.parametrize(
    "files",
    [{".python-version": "3.99\n"}, {"pyproject.toml": PROJECT + 'requires-python = ">=3.99"\n'}],
)
async def test_an_interpreter_that_is_not_there_is_told_and_not_downloaded(
    paths: Paths, files: dict[str, Any]
) -> None:
    with pytest.raises(RuntimeFailure, match=r"asks for Python (>=)?3\.99") as caught:
        await PythonPreparer(paths).prepare(app(paths, {"main.py": "", **files}), quiet)
    assert caught.value.reason == "NoInterpreter" and not caught.value.permanent


async def test_a_requirement_that_the_nodes_own_interpreter_meets_gets_that_one(paths: Paths) -> None:
    text = PROJECT + 'requires-python = ">=3.11"\n'
    of = app(paths, {"pyproject.toml": text, "main.py": "import sys; print(sys.version_info[:3])"})
    await PythonPreparer(paths).prepare(of, quiet)
    program = PythonPreparer(paths).program(of)
    done = await anyio.run_process(program.argv, cwd=program.cwd)
    assert done.stdout.decode().strip() == str(tuple(sys.version_info[:3]))


def wheel(name: str, code: str) -> dict[str, str]:
    """The files of the smallest wheel there can be."""
    info = f"{name}-1.0.dist-info"
    return {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }


FLAT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "x"
version = "1"
dependencies = ["top"]
"""


@pytest.mark.parametrize("main", ["main.py", ""])
async def test_what_cannot_be_built_is_an_application_where_it_can_be_run(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, main: str
) -> None:
    only_from(paths.home / "wheels", monkeypatch)
    make_wheel(paths.home / "wheels", "top", "1.0")
    backend = "def build_wheel(*_): raise SystemExit('several top-level packages')"
    files = {"pyproject.toml": FLAT, "backend.py": backend, "other.py": ""}
    of = app(paths, {**files, **({main: "import top; print(top.VERSION)"} if main else {})})
    preparer, said = PythonPreparer(paths), list[str]()
    if not main:
        with pytest.raises(RuntimeFailure, match="build backend returned an error"):
            await preparer.prepare(of, said.append)
        return
    await preparer.prepare(of, said.append)
    assert [line.reason for line in said if isinstance(line, Notice)] == ["RunsAsItIs"]
    program = preparer.program(of)
    assert (await anyio.run_process(program.argv, cwd=program.cwd)).stdout == b"1.0\n"


async def test_an_older_release_because_of_this_python_is_told(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_newest, "NEWEST", "3.99")
    only_from(paths.home / "wheels", monkeypatch)
    make_wheel(paths.home / "wheels", "top", "1.9")
    make_wheel(paths.home / "wheels", "top", "1.10", python=">=3.90")
    make_wheel(paths.home / "wheels", "other", "2.0")
    said: list[str] = []
    of = app(paths, {"requirements.txt": "top\nother\n", "main.py": ""})
    await PythonPreparer(paths).prepare(of, said.append)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    told = f"top 1.9 instead of 1.10, which wants a newer Python than {here}"
    notices = [line for line in said if isinstance(line, Notice)]
    assert [(str(line), line.reason) for line in notices] == [(told, "OlderRelease")]
    assert told in (paths.logs("app") / "prepare.log").read_text()
    assert not list(Path(PythonPreparer(paths).program(of).cwd).glob(".atek-*"))


async def test_what_pip_would_find_is_installed(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = paths.home / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "atek_probe_only_here-1.0-py3-none-any.whl", "w") as archive:
        for name, content in wheel("atek_probe_only_here", "WORD = 'found'").items():
            archive.writestr(name, content)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    of = app(paths, {"requirements.txt": "atek_probe_only_here\n",
                     "main.py": "import atek_probe_only_here as a; print(a.WORD)"})  # fmt: skip
    await PythonPreparer(paths).prepare(of, quiet)
    program = PythonPreparer(paths).program(of)
    done = await anyio.run_process(program.argv, cwd=program.cwd)
    assert done.stdout == b"found\n"


def test_pips_listing_is_read_with_its_precedence() -> None:
    listing = "\n".join([
        "WARNING: something else", ":env:.index-url='https://env.example/simple'",
        "global.index-url='https://file.example/simple'", "install.find-links='/a\\n/b'",
        "global.find-links='/c'", "global.broken=unquoted", "download.index-url='https://no.example'",
    ])  # fmt: skip
    assert parse_pip_config(listing) == {
        "index-url": "https://env.example/simple", "find-links": "/a\n/b",
    }  # fmt: skip


def test_pips_options_become_uvs() -> None:
    pip = {"index-url": "https://i", "extra-index-url": "https://e\nhttps://f", "find-links": "/a /b"}
    assert translate(pip, {}) == {
        "UV_DEFAULT_INDEX": "https://i", "UV_INDEX": "https://e https://f",
        "UV_FIND_LINKS": "/a,/b", "UV_INDEX_STRATEGY": "unsafe-best-match",
    }  # fmt: skip
    assert translate({"cert": "/c"}, {"SSL_CERT_FILE": "/own"}) == {}
    assert translate({}, {}) == {}


def test_uvs_own_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "_ask_pip", lambda: "global.index-url='https://pip.example'")
    monkeypatch.setenv("UV_INDEX_URL", "https://uv.example")
    assert uv_settings() == {}
    monkeypatch.delenv("UV_INDEX_URL")
    assert uv_settings() == {"UV_DEFAULT_INDEX": "https://pip.example"}


def test_without_a_package_the_data_folder_is_where_it_runs(paths: Paths) -> None:
    program = PythonPreparer(paths).program(service(command=["python3", "-c", "1"]))
    assert program.cwd == str(paths.data("app")) and base_python().startswith(program.path[0])


def test_what_the_node_writes_into_a_copy_follows_no_link(tmp_path: Path) -> None:
    """A build of before may have left one there, and what the node's user may write is not its own."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    place = tmp_path / ".atek-requirements.txt"
    place.symlink_to(theirs)
    python._put(place, "ours")
    assert (theirs.read_text(), place.read_text(), place.is_symlink()) == ("theirs", "ours", False)
