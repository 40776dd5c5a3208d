"""The node dies at any instant: the next life finds one instance or none, never a second, never an orphan."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import orjson
import pytest

from runtimes.base import Running, RuntimeFailure
from runtimes.packages.native import NativePreparer
from runtimes.processes import recovery
from runtimes.processes.children import TABLE, Table
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.runtimes.factories import alive, launch, make_home, make_paths, marked, service
from tests.runtimes.processes.families import DEAF, family, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtimes.paths import Paths
    from runtimes.sandbox.machine import Facts

pytestmark = pytest.mark.anyio

#: A life of a node that dies by SIGKILL at a named point of a start.
DYING_NODE = """
import os, signal, sys
from pathlib import Path
import anyio
from runtimes.processes import process
from runtimes.paths import Paths
from runtimes.packages.native import NativePreparer
from runtimes.processes.records import Records
from tests.runtimes.processes.families import DEAF, family, program
from tests.runtimes.factories import launch, make_paths, service

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

home, point = Path(sys.argv[1]), sys.argv[2]
host = process.ProcessHost(make_paths(home), sandbox=sys.argv[3])
if point == "before":
    process._spawn = die
elif point == "spawned":
    host.limiter.apply = die
elif point == "torn":
    def tear(self, record):
        (home / "state/instances" / f"{record.instance}.json").write_bytes(b'{"instance": "i')
        die()
    Records.write = tear
elif point == "recorded":
    host.watch = die

async def main():
    runtime = process.ProcessRuntime("process", NativePreparer(host.paths), host)
    await runtime.start(launch(service(command=["sleep", "1000"])))

anyio.run(main)
"""


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = make_home()
    found = make_paths(home)
    yield found
    for pid in marked(found):
        # Who goes in a sandbox takes the others along.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["rm", "-rf", str(home), str(found.run)], check=True)


def die_at(point: str, home: Path, level: str = "none") -> None:
    words = [sys.executable, "-c", textwrap.dedent(DYING_NODE), str(home), point, level]
    code = subprocess.run(words).returncode
    assert code == -signal.SIGKILL


async def observe(paths: Paths) -> list[Running]:
    host = ProcessHost(paths, sandbox="none")
    try:
        return list(await ProcessRuntime("process", NativePreparer(paths), host).observe())
    finally:
        host.close()


@pytest.mark.parametrize("point", ["before", "spawned", "torn", "recorded"])
async def test_killed_during_a_start(point: str, paths: Paths) -> None:
    die_at(point, paths.home)
    assert len(marked(paths)) == (0 if point == "before" else 1)
    found = await observe(paths)
    assert len(found) == (1 if point == "recorded" else 0)
    assert marked(paths) == {running.pid for running in found}
    assert len(list((paths.home / "state/instances").iterdir())) == len(found)


@pytest.mark.parametrize("point", ["before", "spawned", "torn"])
async def test_killed_during_a_start_in_a_sandbox(
    point: str, paths: Paths, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first process heeds no SIGTERM, and may be about to begin the program."""
    monkeypatch.setattr(recovery, "GRACE", 0.2)
    die_at(point, paths.home, "private")
    host = ProcessHost(paths)
    try:
        assert await ProcessRuntime("process", NativePreparer(paths), host).observe() == []
        await host.strays.gone()
    finally:
        host.close()
    assert marked(paths) == set()
    assert not list((paths.home / "state/instances").iterdir()) and not paths.sockets("i1").exists()


#: A next life that waits at its first stray, which it has seen but not asked to end yet.
SLOW_NODE = """
import sys, time
from pathlib import Path
import anyio
from runtimes.packages.native import NativePreparer
from runtimes.processes import leftovers
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.runtimes.factories import make_paths

home, send = Path(sys.argv[1]), leftovers.send

def send_slowly(process, number):
    (home / "looked").touch()
    while not (home / "forked").exists():
        time.sleep(0.001)
    send(process, number)

leftovers.send = send_slowly
host = ProcessHost(make_paths(home))
anyio.run(ProcessRuntime("process", NativePreparer(host.paths), host).observe)
"""


def test_who_is_forked_by_a_stray_that_was_just_looked_at_ends_too(paths: Paths) -> None:
    die_at("spawned", paths.home)
    (stray,) = marked(paths)
    pairs = Path(f"/proc/{stray}/environ").read_bytes().split(b"\0")
    environment = dict(pair.split(b"=", 1) for pair in pairs if pair)
    with subprocess.Popen([sys.executable, "-c", SLOW_NODE, str(paths.home)]) as node:
        until((paths.home / "looked").exists)
        forked = subprocess.Popen(["sleep", "1000"], env=environment)
        until(lambda: forked.pid in marked(paths))
        (paths.home / "forked").touch()
        assert node.wait(30) == 0
    assert forked.wait(15) == -signal.SIGTERM
    assert marked(paths) == set()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"instance": 1}', b"\xff\xfe"])
async def test_a_damaged_record_costs_its_own_instance_only(damage: bytes, paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    good = await runtime.start(launch(service("good", command=["sleep", "1000"]), "good"))
    bad = await runtime.start(launch(service("bad", command=["sleep", "1000"]), "bad"))
    host.close()
    (paths.home / "state/instances/bad.json").write_bytes(damage)
    assert [running.pid for running in await observe(paths)] == [good.pid]
    assert not alive(bad.pid) or bad.pid not in marked(paths)


async def test_a_record_of_another_boot_or_process_is_not_believed(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    await runtime.start(launch(service("one", command=["sleep", "1000"]), "one"))
    await runtime.start(launch(service("two", command=["sleep", "1000"]), "two"))
    host.close()
    rewrite(paths, "one", boot="another")
    # A number that was given to somebody else since: this test's own process.
    rewrite(paths, "two", pid=os.getpid())
    assert await observe(paths) == []
    assert marked(paths) == set()


def rewrite(paths: Paths, instance: str, **changes: object) -> None:
    file = paths.home / "state/instances" / f"{instance}.json"
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), **changes}))


async def test_an_adopted_instance_keeps_its_token(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    started = await runtime.start(launch(service(command=["sleep", "1000"])))
    host.close()
    assert started.token == "the-token" and "the-token" not in repr(started)
    assert started.router_token == "the-routers" and "the-routers" not in repr(started)
    (adopted,) = await observe(paths)
    assert adopted == started


@pytest.mark.parametrize(("program", "token"), [("exec", "the-token"), ("exec env -i", "")])
async def test_a_record_of_an_older_version_has_no_token_and_the_process_may_still(
    program: str, token: str, paths: Paths
) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    started = await runtime.start(launch(service(command=["sh", "-c", f"{program} sleep 1000"])))
    while b"sleep" not in Path(f"/proc/{started.pid}/cmdline").read_bytes()[:6]:
        await anyio.sleep(0.01)
    host.close()
    file = paths.home / "state/instances/i1.json"
    record = orjson.loads(file.read_bytes())
    del record["token"], record["routerToken"]
    file.write_bytes(orjson.dumps(record))
    (adopted,) = await observe(paths)
    assert (adopted.pid, adopted.token, adopted.router_token) == (started.pid, token, "")


async def test_nobody_else_may_read_a_record_and_no_token_shows_by_accident(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    made = launch(service(command=["sleep", "1000"]))
    await runtime.start(made)
    host.close()
    (record,) = host.records.read()
    assert (record.token, record.router_token) == ("the-token", "the-routers")
    assert not {"the-token", "the-routers"} & set(re.findall(r"[\w-]+", f"{made!r} {record!r}"))
    assert (paths.home / "state/instances/i1.json").stat().st_mode & 0o077 == 0


async def test_a_program_that_overwrites_its_environment_is_known_by_its_log(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    hidden = await runtime.start(launch(service(command=["env", "-i", "sleep", "1000"])))
    host.close()
    (paths.home / "state/instances/i1.json").unlink()
    assert await observe(paths) == []
    assert not alive(hidden.pid)


async def test_without_a_record_the_disk_was_full_and_the_service_started_all_the_same(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ProcessHost(paths, sandbox="none")

    def full(record: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(host.records, "write", full)
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    running = await runtime.start(launch(service(command=["sleep", "1000"])))
    host.close()
    assert alive(running.pid)
    assert "No space left" in running.unenforced[0]
    assert await observe(paths) == []
    assert marked(paths) == set()


async def test_what_cannot_be_seen_is_unknown_not_absent(paths: Paths) -> None:
    (paths.home / "state/instances").rmdir()
    with pytest.raises(RuntimeFailure) as caught:
        await observe(paths)
    assert caught.value.reason == "Unobservable"


async def test_a_stray_that_does_not_want_to_end_holds_up_its_own_service_only(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    deaf = await runtime.start(launch(service("deaf", command=program(DEAF)), "deaf"))
    kept = await runtime.start(launch(service("kept", command=["sleep", "1000"]), "kept"))
    await family(paths, "deaf")
    host.close()
    # Of its leader nothing is known any more.
    rewrite(paths, "deaf", start=1)

    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    assert [running.pid for running in await runtime.observe()] == [kept.pid]
    await runtime.start(launch(service("other", command=["sleep", "1000"]), "other"))
    assert alive(deaf.pid), "nothing waited for it"
    with anyio.fail_after(20):
        await runtime.start(launch(service("deaf", command=["sleep", "1000"]), "again"))
    assert not alive(deaf.pid)
    host.close()


async def test_a_tool_of_a_node_that_was_killed_is_ended(paths: Paths) -> None:
    host = ProcessHost(paths, sandbox="none")
    tool = TABLE.spawn(TABLE.new_name(), ["sleep", "1000"])
    assert await observe(paths) == []
    assert alive(tool.pid), "this life waits for it"
    TABLE.forget(tool.pid)
    assert await observe(paths) == []
    assert tool.wait() == -signal.SIGTERM
    host.close()


#: A life of a node that starts a program and dies when it has hidden what it forks.
KILLED_NODE = """
import os, signal, sys, time
from pathlib import Path
import anyio
from runtimes.packages.native import NativePreparer
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.runtimes.processes import families
from tests.runtimes.factories import launch, make_paths, service

async def main():
    host = ProcessHost(make_paths(Path(sys.argv[1])), sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(host.paths), host)
    body = "".join(getattr(families, name) for name in sys.argv[2].split("+"))
    await runtime.start(launch(service(command=families.program(body))))
    await families.family(host.paths)
    os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


def kill_a_node(paths: Paths, body: str) -> None:
    code = subprocess.run([sys.executable, "-c", KILLED_NODE, str(paths.home), body]).returncode
    assert code == -signal.SIGKILL


@pytest.mark.parametrize("body", ["DAEMON", "WORKERS", "LOGGER", "UNSEALED+WORKERS", "UNSEALED+LOGGER"])
async def test_what_hides_is_adopted_with_its_service_and_ends_with_it(
    paths: Paths, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node was their subreaper; killed, it leaves them to somebody else, who is not this test."""
    monkeypatch.setattr(Table, "knows_orphans", False)
    kill_a_node(paths, body)
    hidden = await family(paths)
    host = ProcessHost(paths, sandbox="none")
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    (adopted,) = await runtime.observe()
    assert hidden and all(alive(pid) for pid in hidden)
    os.kill(adopted.pid, signal.SIGKILL)
    with anyio.fail_after(15):
        await runtime.wait(adopted)
    assert not any(alive(pid) for pid in hidden)


@pytest.mark.parametrize("body", ["DAEMON", "WORKERS", "LOGGER"])
async def test_what_hides_is_a_stray_when_its_service_is_gone(paths: Paths, body: str) -> None:
    kill_a_node(paths, body)
    hidden = await family(paths)
    (record,) = (paths.home / "state/instances").iterdir()
    leader = orjson.loads(record.read_bytes())["pid"]
    os.kill(leader, signal.SIGKILL)
    with anyio.fail_after(15):
        while alive(leader):
            await anyio.sleep(0.01)
    assert await observe(paths) == []
    assert hidden and not any(alive(pid) for pid in hidden)
