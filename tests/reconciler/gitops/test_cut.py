"""A fetch that stops halfway: the cable is cut, git is killed, the server hangs up."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.gitops.troubles import GitTrouble
from tests.e2e.netns import Switch, unavailable
from tests.reconciler.gitops.servers import git_daemon
from tests.reconciler.gitops.test_repository import laid_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.gitops.repository import Repository as Mirror
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio
_CLONE_NEWNET = 0x40000000
_HOOK = """\
#!/bin/sh
"$@" | {{ head -c 20000; touch {gate}.begun; while [ ! -e {gate} ]; do sleep 0.05; done; cat; }}
"""


@pytest.fixture
def gate(tmp_path: Path, origin: Repository) -> Path:
    """While it is not there, servers send the first bytes of a pack and then nothing."""
    hook = tmp_path / "hook"
    hook.write_text(_HOOK.format(gate=tmp_path / "gate"))
    hook.chmod(0o755)
    origin.commit({"a": os.urandom(100_000).hex()})
    return tmp_path / "gate"


def slow(gate: Path) -> dict[str, str]:
    """For a server's environment."""
    settings = {"safe.directory": "*", "uploadpack.packObjectsHook": str(gate.with_name("hook"))}
    named = {f"GIT_CONFIG_KEY_{index}": name for index, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{index}": value for index, value in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **named, **values}


async def interrupted(mirror: Mirror, gate: Path, interrupt: Callable[[], None]) -> GitTrouble:
    """Interrupts a fetch that is half done; says what became of it."""
    troubles: list[GitTrouble] = []

    async def fetch() -> None:
        with pytest.raises(GitTrouble) as caught:
            await laid_out(mirror)
        troubles.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetch)
        while not gate.with_name("gate.begun").exists():
            await anyio.sleep(0.01)
        interrupt()
    assert not list(mirror.mirror.glob("objects/**/tmp_*")), "nothing half fetched"
    return troubles[0]


@contextmanager
def inside(network: str) -> Iterator[None]:
    """What this thread starts is in that network."""
    with open("/proc/thread-self/ns/net") as before, open(network) as there:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), _CLONE_NEWNET) == 0


@pytest.mark.skipif(bool(unavailable()) and "CI" not in os.environ, reason=unavailable())
async def test_a_cable_that_is_cut(
    origin: Repository, opened: Callable[..., Mirror], gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Switch() as switch:
        on_server, _ = switch.machine("server"), switch.machine("node")
        url = f"git://{switch.address('server')}:9418/work.git"
        line = ["git", "daemon", "--export-all", f"--base-path={origin.path.parent}", "--reuseaddr"]
        with started([*on_server, *line, "--port=9418"], slow(gate)), inside(switch.path("node")):
            mirror = opened(url)
            await reachable(mirror)
            monkeypatch.setattr("reconciler.gitops.mirror.FETCH", 5.0)

            def cut() -> None:
                switch.cut("node")
                gate.touch()

            assert (await interrupted(mirror, gate, cut)).reason == "TakesTooLong"
            monkeypatch.undo()
            switch.heal("node")
            assert len((await laid_out(mirror))["a"]) == 200_000


async def test_a_git_that_is_killed(origin: Repository, opened: Callable[..., Mirror], gate: Path) -> None:
    with git_daemon(origin.path.parent, slow(gate)) as url:
        mirror = opened(f"{url}/work.git")

        def kill() -> None:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if f"GIT_DIR={mirror.mirror}".encode() in (process / "environ").read_bytes():
                        os.kill(int(process.name), signal.SIGKILL)
                except OSError:
                    continue
            gate.touch()

        assert (await interrupted(mirror, gate, kill)).reason in {"GitFailed", "ServerUnreachable"}
        assert len((await laid_out(mirror))["a"]) == 200_000


async def test_a_server_that_hangs_up(origin: Repository, opened: Callable[..., Mirror], gate: Path) -> None:
    with git_daemon(origin.path.parent, slow(gate)) as url:
        mirror = opened(f"{url}/work.git")

        def kill() -> None:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    serves = b"upload-pack" in (process / "cmdline").read_bytes()
                    if serves and os.path.samefile(process / "cwd", origin.path):
                        os.kill(int(process.name), signal.SIGKILL)
                except OSError:
                    continue
            gate.touch()

        assert (await interrupted(mirror, gate, kill)).reason == "ServerUnreachable"
        assert len((await laid_out(mirror))["a"]) == 200_000


@contextmanager
def started(line: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(line, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def reachable(mirror: Mirror) -> None:
    while True:
        try:
            await mirror.look(mirror.source.ref)
            return
        except GitTrouble as trouble:
            assert trouble.reason == "ServerUnreachable", trouble
            await anyio.sleep(0.05)
