"""What others wrote is built shut in: what its hooks get to, and what they do not.

Each attempt is made by a hook of npm and by a back end of PEP 517, shut in and as the owner's own packages
are built, where it succeeds.
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import Notice, PermanentFailure, RuntimeFailure
from runtimes.network.networks import Networks
from runtimes.packages import workshop
from runtimes.packages.node import NodePreparer
from runtimes.packages.python import PythonPreparer
from runtimes.packages.workshop import FOREIGN, Workshops
from runtimes.sandbox.machine import Facts, Machine
from runtimes.sandbox.troubles import Trouble
from runtimes.users.service_users import ServiceUsers
from tests.runtimes.factories import make_paths, service
from tests.runtimes.packages.npm_packages import tarball
from tests.runtimes.packages.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

#: Runs each attempt, and writes what came of it beside itself: true where it succeeded.
HOOK = """
import json, os, pathlib, socket, subprocess, sys
attempts = json.loads({attempts!r})
came = {{}}
for name, code in attempts.items():
    try:
        exec(code)
        came[name] = True
    except BaseException as error:
        came[name] = f"{{type(error).__name__}}: {{error}}"
pathlib.Path("came.json").write_text(json.dumps(came))
"""
BACKEND = """
import base64, hashlib, pathlib, zipfile
exec(pathlib.Path("hook.py").read_text())
def build_wheel(folder, settings=None, metadata=None):
    name = "app-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as archive:
        archive.write("came.json", "app_came.json")
        archive.writestr("app-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: app\\nVersion: 1\\n")
        archive.writestr("app-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr("app-1.dist-info/RECORD", "")
    return name
def get_requires_for_build_wheel(settings=None): return []
"""
PYTHON = "/usr/bin/python3"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Machinery:
    """A node as far as it prepares packages."""

    def __init__(
        self, paths: Paths, networks: Networks, machine: Machine, users: ServiceUsers | None = None
    ) -> None:
        self.paths = paths
        self.source = paths.home / "source"
        workshops = Workshops(paths, networks, machine, users or ServiceUsers(paths))
        self.node = NodePreparer(paths, workshops)
        self.python = PythonPreparer(paths, workshops)
        self.said: list[str] = []

    async def prepare(self, files: dict[str, Any], runtime: str = "node", **manifest: Any) -> Path:
        """The copy that was prepared."""
        for name, content in files.items():
            place = self.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content if isinstance(content, str) else json.dumps(content))
        of = service(runtime=runtime, package=os.fspath(self.source), **manifest)
        preparer = self.node if runtime == "node" else self.python
        self.said = []
        with anyio.fail_after(100):
            await preparer.prepare(of, self.said.append)
        copy = preparer.copy(of)
        assert copy is not None
        return copy


@asynccontextmanager
async def machinery(
    paths: Paths, machine: Machine | None = None, users: ServiceUsers | None = None
) -> AsyncIterator[Machinery]:
    networks = Networks(2835)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(networks.run)
        try:
            yield Machinery(paths, networks, machine or Machine(), users)
        finally:
            networks.close_all()
            tasks.cancel_scope.cancel()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    home = tmp_path / "node"
    (home / "state").mkdir(parents=True)
    (home / "state" / "admin.token").write_text("the-admins")
    return make_paths(home)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of whoever runs the node, and what stands in her environment."""
    home = tmp_path / "person"
    (home / ".ssh").mkdir(parents=True)
    (home / ".npmrc").write_text("//registry.npmjs.org/:_authToken=the-token\n")
    (home / ".ssh" / "id_ed25519").write_text("the-key")
    (home / ".netrc").write_text("machine example.com login x password the-word\n")
    monkeypatch.setenv("HOME", os.fspath(home))
    monkeypatch.setenv("npm_config_//registry.npmjs.org/:_authToken", "the-login")
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", "the-login")
    return home


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def attempts(paths: Paths, person: Path, port: int) -> dict[str, str]:
    """Each a text of Python that raises where it does not succeed."""
    home = os.fspath(paths.home)
    return {
        "reads what npm logs in with": f"open({os.fspath(person / '.npmrc')!r}).read()",
        "reads a key": f"open({os.fspath(person / '.ssh/id_ed25519')!r}).read()",
        "reads what others log in with": f"open({os.fspath(person / '.netrc')!r}).read()",
        "knows whose home it is": f"assert os.path.expanduser('~') == {os.fspath(person)!r}",
        "finds a login in its environment": "assert 'the-login' in os.environ.values()",
        "reads the administrator's token": f"open({home!r} + '/state/admin.token').read()",
        "lists the node's home": f"os.listdir({home!r} + '/state')",
        "writes into the node's home": f"open({home!r} + '/state/written', 'w')",
        "writes into everybody's cache": f"open({home!r} + '/packages/.cache/npm-written', 'w')",
        "sees the node": f"os.kill({os.getpid()}, 0)",
        "sees the node's command": f"open('/proc/{os.getpid()}/cmdline').read()",
        "reads the node's environment": f"open('/proc/{os.getpid()}/environ').read()",
        "reaches a port of this machine": f"socket.create_connection(('127.0.0.1', {port}), 2)",
        "reaches the control socket": "socket.socket(socket.AF_UNIX)"
        f".connect({home!r} + '/run/control.sock')",
        "reaches an abstract socket": f"socket.socket(socket.AF_UNIX).connect('\\0atek-build-{os.getpid()}')",
    }


@contextmanager
def surroundings(paths: Paths) -> Iterator[int]:
    """What the attempts are about, besides files. A port that somebody listens on."""
    with (
        listening() as port,
        socket.socket(socket.AF_UNIX) as control,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        control.bind(os.fspath(paths.run / "control.sock"))
        control.listen()
        abstract.bind(f"\0atek-build-{os.getpid()}")
        abstract.listen()
        paths.cache.mkdir(parents=True, exist_ok=True)
        yield port


def successes(paths: Paths, came: dict[str, Any]) -> set[str]:
    """By name. What was written counts where it is on this machine."""
    written = {
        "writes into the node's home": paths.home / "state/written",
        "writes into everybody's cache": paths.cache / "npm-written",
    }
    succeeded = {name for name, result in came.items() if result is True and name not in written}
    return succeeded | {name for name, place in written.items() if place.exists()}


@pytest.mark.parametrize("sandbox", ["none", "strict"])
async def test_what_a_hook_of_npm_gets_to(paths: Paths, person: Path, sandbox: str) -> None:
    with surroundings(paths) as port:
        tried = attempts(paths, person, port)
        files = {
            "package.json": {
                "name": "app",
                "main": "index.js",
                "scripts": {"postinstall": f"{PYTHON} hook.py"},
            },
            "index.js": "",
            "hook.py": HOOK.format(attempts=json.dumps(tried)),
        }
        async with machinery(paths) as made:
            copy = await made.prepare(files, sandbox=sandbox)
    came = json.loads((copy / "came.json").read_text())
    assert came.keys() == tried.keys()
    assert successes(paths, came) == (set() if sandbox == "strict" else set(tried)), came


@pytest.mark.parametrize("sandbox", ["none", "strict"])
async def test_what_a_back_end_gets_to(
    paths: Paths, person: Path, sandbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with surroundings(paths) as port:
        tried = attempts(paths, person, port)
        files = {
            "pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": BACKEND,
            "main.py": "",
            "hook.py": HOOK.format(attempts=json.dumps(tried)),
        }
        async with machinery(paths) as made:
            copy = await made.prepare(files, "python", sandbox=sandbox)
    (found,) = copy.glob(".venv/lib/*/site-packages/app_came.json")
    came = json.loads(found.read_text())
    assert successes(paths, came) == (set() if sandbox == "strict" else set(tried)), came


# -- where it may go


class Registry(http.server.ThreadingHTTPServer):
    """npm's: one package, `dep`. `asked` are the paths, `logins` what came with them."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.file = folder / "dep-1.0.0.tgz"
        tarball(folder, "dep", files={"index.js": "module.exports = 'dep'"})
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                registry.logins += filter(None, [self.headers.get("Authorization")])
                base = f"http://{self.headers['Host']}"
                dist = {"tarball": f"{base}/dep/-/dep-1.0.0.tgz"}
                one = {"name": "dep", "version": "1.0.0", "dist": dist}
                about = {"name": "dep", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": one}}
                data = (
                    registry.file.read_bytes() if self.path.endswith(".tgz") else json.dumps(about).encode()
                )
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry") as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def app(**scripts: str) -> dict[str, Any]:
    return {
        "package.json": {"name": "app", "main": "index.js", "dependencies": {"dep": "1"}, "scripts": scripts},
        "index.js": "console.log(require('dep'))",
    }


async def test_packages_come_from_the_registry_of_this_machine(
    paths: Paths, person: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", registry.url.replace("//", "//me:word@"))
    async with machinery(paths) as made:
        copy = await made.prepare(app(), sandbox="strict")
    assert (copy / "node_modules/dep/index.js").exists()
    assert registry.asked
    assert registry.logins == []
    # What came is for this service alone.
    assert list((paths.cache / FOREIGN / "app").iterdir())
    assert not (paths.cache / "npm" / "_cacache").exists()


async def test_wheels_come_from_the_folder_of_this_machine(
    paths: Paths, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "dep", "1.0")
    monkeypatch.setenv("UV_FIND_LINKS", os.fspath(wheels))
    monkeypatch.setenv("UV_DEFAULT_INDEX", wheels.as_uri())
    async with machinery(paths) as made:
        copy = await made.prepare({"requirements.txt": "dep\n", "main.py": ""}, "python", sandbox="strict")
    assert list(copy.glob(".venv/lib/*/site-packages/dep"))


@pytest.mark.parametrize(
    "hook",
    [
        "require('http').get('http://elsewhere.example/x').on('error', () => process.exit(1))",
        "require('https').get('https://elsewhere.example/x').on('error', () => process.exit(1))",
        "fetch('https://elsewhere.example/x').catch(() => process.exit(1))",
        "require('child_process').execSync('curl -sS https://elsewhere.example/x')",
    ],
    ids=["http", "https", "fetch", "curl"],
)
async def test_a_hook_that_goes_elsewhere_fails_and_says_where(
    paths: Paths, person: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setenv("npm_config_registry", registry.url)
    files = {**app(postinstall="node hook.js"), "hook.js": hook}
    async with machinery(paths) as made:
        with pytest.raises(PermanentFailure) as caught:
            await made.prepare(files, sandbox="strict")
    assert caught.value.reason == "BuildBlocked"
    assert "elsewhere.example" in caught.value.message
    assert "elsewhere.example:443]`" in caught.value.hint or "elsewhere.example:80]`" in caught.value.hint


async def test_a_hook_that_does_without_is_told_about(
    paths: Paths, person: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", registry.url)
    hook = "require('https').get('https://elsewhere.example/x').on('error', () => {})"
    async with machinery(paths) as made:
        await made.prepare({**app(postinstall="node hook.js"), "hook.js": hook}, sandbox="strict")
    told = [each for each in made.said if isinstance(each, Notice) and each.reason == "EgressRefused"]
    assert any("elsewhere.example" in each for each in told)


async def test_egress_lets_a_hook_go_elsewhere(
    paths: Paths, person: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    hook = f"require('http').get('{registry.url}elsewhere', r => require('fs').writeFileSync('got', ''))"
    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": "node hook.js"}},
        "index.js": "", "hook.js": hook,
    }  # fmt: skip
    async with machinery(paths) as made:
        copy = await made.prepare(files, sandbox="strict", egress=[f"127.0.0.1:{registry.server_port}"])
    assert (copy / "got").exists()
    assert "/elsewhere" in registry.asked


# -- what it may take, and leave


async def test_what_a_hook_leaves_behind_has_ended(paths: Paths, person: Path) -> None:
    hook = (
        "const c = require('child_process')"
        ".spawn('sleep', ['98765.4321'], {detached: true, stdio: 'ignore'}); c.unref()"
    )
    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": "node hook.js"}},
        "index.js": "", "hook.js": hook,
    }  # fmt: skip
    async with machinery(paths) as made:
        await made.prepare(files, sandbox="strict")
    assert not any(b"98765.4321" in line for line in commands())


def commands() -> Iterator[bytes]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                yield file.read()
        except OSError:
            continue


async def test_what_takes_too_long_is_ended(
    paths: Paths, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "DEADLINE", 3.0)
    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": "sleep 98766.4321"}},
        "index.js": "",
    }
    async with machinery(paths) as made:
        with pytest.raises(RuntimeFailure, match="longer than") as caught:
            await made.prepare(files, sandbox="strict")
    assert caught.value.reason == "BuildTooLong"
    assert not any(b"98766.4321" in line for line in commands())


async def test_a_hook_has_limits(paths: Paths, person: Path) -> None:
    hook = "import json, resource, pathlib\n" + (
        "pathlib.Path('limits.json').write_text(json.dumps([resource.getrlimit(getattr(resource, name))[1]"
        " for name in ('RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_CORE', 'RLIMIT_NPROC')]))"
    )
    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": f"{PYTHON} hook.py"}},
        "index.js": "", "hook.py": hook,
    }  # fmt: skip
    async with machinery(paths) as made:
        copy = await made.prepare(files, sandbox="strict")
    assert json.loads((copy / "limits.json").read_text()) == [1800, 8 << 30, 0, 4096]


async def test_without_a_sandbox_nothing_of_others_is_built(paths: Paths, person: Path) -> None:
    class Without(Machine):
        def facts(self) -> Facts:
            return Facts("", Trouble("there is none", "x"), Trouble("there is none", "install it"))

    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": "touch ran"}},
        "index.js": "",
    }
    async with machinery(paths, Without()) as made:
        with pytest.raises(RuntimeFailure) as caught:
            await made.prepare(files, sandbox="strict")
    assert caught.value.reason == "SandboxUnavailable"
    assert caught.value.hint == "install it"
    with pytest.raises(RuntimeFailure):
        await NodePreparer(paths).prepare(
            service(runtime="node", package=os.fspath(made.source), sandbox="strict"), print
        )


async def test_a_service_that_is_gone_leaves_no_cache(paths: Paths, person: Path) -> None:
    files = {
        "package.json": {"name": "app", "main": "index.js", "scripts": {"postinstall": "true"}},
        "index.js": "",
    }
    async with machinery(paths) as made:
        await made.prepare(files, sandbox="strict")
        assert (paths.cache / FOREIGN / "app").exists()
        await made.node.collect("app", [])
    assert not (paths.cache / FOREIGN / "app").exists()
