"""Where services have users, a package is built as a user that does nothing else."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import RuntimeFailure
from runtimes.packages.uv import find_uv
from runtimes.paths import Paths, Way, make_run_directory
from runtimes.users.ending import processes_of
from runtimes.users.ranges import UserRange
from runtimes.users.service_users import ServiceUsers
from tests.runtimes.factories import FOLDERS, service
from tests.runtimes.packages.test_workshop import BACKEND, PYTHON, machinery

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Nobody else's, nor those of tests beside these: whoever is of such a user may be ended.
_FIRST = 1_800_000_000 + 100 * (os.getpid() % 100_000)
USERS = UserRange(_FIRST, _FIRST + 99)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as other users"),
]

#: Tells who runs it, and leaves behind what a tool should not: a daemon, a setuid program, links out.
HOOK = """
import json, os, pathlib, shutil, subprocess, sys
here = pathlib.Path.cwd()
def tried(what):
    try:
        return bool(what()) or True
    except OSError as error:
        return type(error).__name__
secrets = json.loads(pathlib.Path("secrets.json").read_text())
came = {
    "uid": os.getuid(), "groups": os.getgroups(), "home": os.environ["HOME"],
    "npmrc": (pathlib.Path.home() / ".npmrc").read_text(),
    "reads": {name: tried(lambda: os.stat(name) and open(name).read()) for name in secrets},
    "writes": {name: tried(lambda: open(name + "/x", "w")) for name in secrets if os.path.isdir(name)},
}
shutil.copy("/bin/sh", "setuid"); os.chmod("setuid", 0o6755)
if not os.path.lexists("link"): os.symlink("/etc/shadow", "link")
subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=-3, stderr=-3)
pathlib.Path("came.json").write_text(json.dumps(came))
"""
SCRIPT = "exec " + PYTHON + " hook.py"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = Path(tempfile.mkdtemp(prefix="atek-builders-"))
    for folder in FOLDERS:
        (home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / "state" / "admin.token").write_text("the-admins")
    way = Way(USERS.passing)
    yield Paths(home, make_run_directory(home, way), 2835, way)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def person(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="atek-person-"))
    (home / ".npmrc").write_text("//registry.npmjs.org/:_authToken=the-token\n")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text("the-key")
    monkeypatch.setenv("HOME", os.fspath(home))
    yield home
    shutil.rmtree(home)


def files(paths: Paths, person: Path) -> dict[str, Any]:
    data = paths.data("app")
    data.mkdir(mode=0o700, exist_ok=True)
    secrets = [
        paths.home / "state",
        paths.home / "state" / "admin.token",
        person / ".ssh" / "id_ed25519",
        data,
    ]
    return {
        "hook.py": HOOK,
        "secrets.json": [os.fspath(each) for each in secrets],
        "index.js": "",
        "package.json": {
            "name": "app",
            "version": "1.0.0",
            "scripts": {"preinstall": SCRIPT, "build": SCRIPT},
        },
    }


async def test_hooks_of_npm_run_as_a_user_that_only_builds(paths: Paths, person: Path) -> None:
    users = ServiceUsers(paths, USERS)
    async with machinery(paths, users=users) as found:
        copy = await found.prepare(files(paths, person))
    builder = users.number("app/build")
    came = json.loads((copy / "came.json").read_text())
    assert builder is not None and builder in USERS
    assert came["uid"] == builder and 0 not in came["groups"]
    assert set(came["reads"].values()) == {"PermissionError"}, came["reads"]
    assert set(came["writes"].values()) == {"PermissionError"}, came["writes"]
    # It installs from where the owner does, and finds nothing else of hers.
    assert "the-token" in came["npmrc"] and came["home"] != os.fspath(person)
    assert not os.path.lexists(came["home"])
    # Nobody is left, and all of it is the node's, without rights that it could have given itself.
    assert builder is not None and processes_of(builder) == []
    for entry in (copy, *copy.iterdir()):
        assert entry.lstat().st_uid == 0, entry
    assert not (copy / "setuid").stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert Path("/etc/shadow").stat().st_uid == 0


@pytest.fixture
def reachable_uv(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that the tests run in may lie in root's own folder."""
    folder = tempfile.mkdtemp(prefix="atek-uv-")
    os.chmod(folder, 0o755)
    copy = shutil.copy(find_uv(), folder)
    monkeypatch.setattr("runtimes.packages.python.find_uv", lambda: copy)
    yield
    shutil.rmtree(folder)


@pytest.mark.usefixtures("reachable_uv")
async def test_so_does_what_builds_for_python(paths: Paths, person: Path) -> None:
    users = ServiceUsers(paths, USERS)
    package = files(paths, person)
    del package["package.json"]
    package["pyproject.toml"] = (
        '[project]\nname = "app"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    package["backend.py"] = BACKEND
    package[".python-version"] = PYTHON
    async with machinery(paths, users=users) as found:
        copy = await found.prepare(package, "python", command=["true"])
    assert json.loads((copy / "came.json").read_text())["uid"] == users.number("app/build")
    assert copy.stat().st_uid == 0 and (copy / ".venv").stat().st_uid == 0


@pytest.mark.parametrize("kind", ["repository", "working tree"])
async def test_a_build_that_asks_git_has_its_history(paths: Paths, person: Path, kind: str) -> None:
    """Nobody but root may read the repository, and git takes none that is another's."""
    users = ServiceUsers(paths, USERS)
    asks = "git describe --tags > version.txt"
    package = {
        "package.json": {"name": "app", "version": "1.0.0", "scripts": {"build": asks}},
        "index.js": "",
    }
    async with machinery(paths, users=users) as found:
        place = found.source if kind == "repository" else person / "main"
        place.mkdir(parents=True)
        git = ["git", "-C", os.fspath(place), "-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"], ["tag", "v1.5.0"]):
            await anyio.run_process([*git, *words])
        if kind == "working tree":
            await anyio.run_process([*git, "commit", "-q", "--allow-empty", "-m", "two"])
            await anyio.run_process([*git, "worktree", "add", "-q", os.fspath(found.source), "v1.5.0"])
        copy = await found.prepare(package)
    assert (copy / "version.txt").read_text().strip() == "v1.5.0"
    assert not (copy / ".git").exists()


async def test_one_that_fails_leaves_nobody_and_the_next_one_goes_on(paths: Paths, person: Path) -> None:
    users = ServiceUsers(paths, USERS)
    package = files(paths, person)
    async with machinery(paths, users=users) as found:
        with pytest.raises(RuntimeFailure, match="npm install failed with status 1"):
            await found.prepare({**package, "hook.py": HOOK + "\nsys.exit(1)\n"})
        builder = users.number("app/build")
        assert builder is not None and processes_of(builder) == []
        copy = await found.prepare(package)
        assert (copy / "came.json").exists()
        await found.node.collect("app", [])
    assert not (paths.cache / "builds" / "app").exists()


async def test_one_that_is_given_up_leaves_nobody(paths: Paths, person: Path) -> None:
    users = ServiceUsers(paths, USERS)
    package = {**files(paths, person), "hook.py": HOOK + "\nimport time; time.sleep(1000)\n"}
    async with machinery(paths, users=users) as found, anyio.create_task_group() as tasks:
        tasks.start_soon(found.prepare, package)
        place = paths.packages("app")
        with anyio.fail_after(60):
            while not any(place.glob("*/came.json")):
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    builder = users.number("app/build")
    assert builder is not None and processes_of(builder) == []


@contextmanager
def _as(uid: int, gid: int, groups: list[int]) -> Iterator[None]:
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


async def test_who_runs_it_cannot_change_what_is_being_built_and_keeps_its_way(
    paths: Paths, person: Path
) -> None:
    """Neither does the running revision lose its own copy meanwhile."""
    users = ServiceUsers(paths, USERS)
    package = files(paths, person)
    async with machinery(paths, users=users) as found:
        copy = await found.prepare(package)
        of = service(runtime="node", package=os.fspath(found.source))
        user = users.of(of)
        assert user is not None
        await users.take(of, user, copy, beside=False)
        newer = await found.prepare({**package, "index.js": "//"})
    assert newer != copy and newer.stat().st_uid == 0
    with _as(user.uid, user.gid, list(user.groups)):
        assert (copy / "index.js").read_text() == ""
        with pytest.raises(PermissionError):
            (newer / "planted").write_text("")


@pytest.mark.usefixtures("reachable_uv")
async def test_tools_that_nobody_else_gets_to_are_told(
    paths: Paths, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a Python in root's home."""
    hidden = person / "python3"
    hidden.symlink_to(PYTHON)
    person.chmod(0o700)
    monkeypatch.setattr("runtimes.packages.python.base_python", lambda: os.fspath(hidden))
    users = ServiceUsers(paths, USERS)
    package = {"requirements.txt": "x\n", "main.py": ""}
    async with machinery(paths, users=users) as found:
        with pytest.raises(RuntimeFailure) as raised:
            await found.prepare(package, "python")
    assert raised.value.reason == "ProgramUnreachable" and os.fspath(person) in raised.value.message


async def test_fetched_tools_can_be_run_and_caches_stay_closed(paths: Paths) -> None:
    for name in ("node/node@20/bin", "tools/pnpm@9/bin", "npm/content", "uv/archive"):
        (paths.cache / name).mkdir(parents=True, mode=0o755)
        for folder in ("node/node@20", "node", "tools/pnpm@9", "tools", "npm", "uv"):
            if (paths.cache / folder).is_dir():
                (paths.cache / folder).chmod(0o700 if folder.startswith(("node", "tools")) else 0o755)
        (paths.cache / name / "x").write_text("x")
    users = ServiceUsers(paths, USERS)
    user = users.of(service("app", command=["true"]))
    assert user is not None
    with _as(user.uid, user.gid, list(user.groups)):
        assert (paths.cache / "node/node@20/bin/x").read_text() == "x"
        assert (paths.cache / "tools/pnpm@9/bin/x").read_text() == "x"
        for closed in ("npm", "uv"):
            with pytest.raises(PermissionError):
                os.listdir(paths.cache / closed)
        with pytest.raises(PermissionError):
            os.listdir(paths.cache)
