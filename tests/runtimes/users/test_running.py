"""Programs run as users of their own: what is theirs works, and what is not they do not get.

Each attempt is made by a real program, and shown to succeed where its guard is taken out.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.spec import Probe
from runtimes.base import PermanentFailure, SecretFile
from runtimes.probes import EndpointProber
from runtimes.processes.children import TABLE
from runtimes.processes.marks import seal_of
from runtimes.processes.sampling import Sampler
from runtimes.users.ending import processes_of
from runtimes.users.service_users import ServiceUsers
from tests.runtimes.factories import alive
from tests.runtimes.users.conftest import PYTHON, USERS, Machine, root_only

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, root_only]

#: Says what it is, and what it found.
SAY = """
import os, sys, time
def say(name, value):
    with open(os.environ["ATEK_DATA_DIR"] + "/" + name, "w") as file:
        print(value, file=file)
"""
WHO = (
    SAY
    + """
status = open("/proc/self/status").read()
fields = dict(line.split(":", 1) for line in status.splitlines())
say("who", [os.getuid(), os.getgid(), os.getgroups(), int(fields["NoNewPrivs"]), os.environ.get("USER")])
import socket
server = socket.socket(socket.AF_UNIX); server.bind(os.environ["ATEK_ASSIGNED_SOCKET_FILE"]); server.listen()
time.sleep(1000)
"""
)


def attempt(code: str) -> str:
    """A program that tries something, and says what came of it."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    end = (
        "    say('came', 'done')\nexcept OSError as error:\n    say('came', error.strerror)\ntime.sleep(1000)"
    )
    return f"{SAY}\ntry:\n{body}\n{end}"


async def came(machine: Machine, code: str, **more: Any) -> str:
    running = await machine.start(PYTHON, "-c", attempt(code), **more)
    try:
        return await machine.until("came")
    finally:
        await machine.finish(running)


async def test_each_service_runs_as_its_own_user_with_its_folders_and_no_more_rights(
    machine: Machine,
) -> None:
    one = await machine.start(PYTHON, "-c", WHO)
    two = await machine.start(PYTHON, "-c", WHO, id="other", instance="i2")
    first, second = USERS.first, USERS.first + 1
    assert await machine.until("who") == f"[{first}, {first}, [{USERS.passing}], 1, 'app']"
    assert await machine.until("who", "other") == f"[{second}, {second}, [{USERS.passing}], 1, 'other']"
    prober = EndpointProber(machine.hosts[-1])
    with anyio.fail_after(10):
        while await prober.check(None, one) is not None:
            await anyio.sleep(0.01)
    for path, mode, user in (
        ("data/app", 0o700, first), ("data/other", 0o700, second), ("run/i1", 0o700, first),
        ("data", 0o710, 0), ("state", 0o700, 0), ("logs", 0o700, 0), ("", 0o710, 0),
    ):  # fmt: skip
        found = (machine.home / path).stat()
        assert (path, stat.S_IMODE(found.st_mode), found.st_uid) == (path, mode, user)
    await machine.finish(one)
    await machine.finish(two)
    assert not (machine.paths.run / "i1").exists()


async def test_its_secrets_its_log_and_its_probes_are_its_own(machine: Machine) -> None:
    code = (
        SAY
        + """
say("secret", open(os.environ["KEY_FILE"]).read())
print("hello", file=open("/dev/stdout", "a"))
time.sleep(1000)
"""
    )
    secret = SecretFile("KEY", b"the secret")
    running = await machine.start(
        PYTHON, "-c", code, secret=secret, secrets={"KEY": {"text": "x", "as": "file"}}
    )
    assert await machine.until("secret") == "the secret"
    log = machine.home / "logs/app/service.log"
    with anyio.fail_after(10):
        while log.read_text() != "hello\n":
            await anyio.sleep(0.01)
    probe = Probe.model_validate({"exec": {"command": ["sh", "-c", f"test $(id -u) = {USERS.first}"]}})
    assert await EndpointProber(machine.hosts[-1]).check(probe, running) is None
    assert seal_of(running.pid) > 0
    await machine.finish(running)


@pytest.mark.parametrize(
    "code",
    [
        "open('{home}/state/node.secret').read()",
        "os.listdir('{home}')",
        "open('{home}/config.toml').read()",
        "os.listdir('{home}/data')",
        "os.listdir('{home}/data/other')",
        "open('{home}/data/other/came').read()",
        "os.rename('{home}/data/app', '{home}/data/mine')",
        "os.symlink('{home}/state', '{home}/data/planted')",
        "os.link('{home}/config.toml', os.environ['ATEK_DATA_DIR'] + '/linked')",
        "open('{home}/logs/app/service.log').read()",
        "os.listdir('{run}')",
        "import socket; socket.socket(socket.AF_UNIX).connect('{run}/control.sock')",
        "import socket; socket.socket(socket.AF_UNIX).bind('{run}/planted.sock')",
        "os.unlink('{run}/control.sock')",
        "os.kill({node}, 0)",
        "open('/proc/{node}/environ').read()",
        "os.listdir('/proc/{other}/fd')",
        "open('/proc/{other}/environ').read()",
        "os.kill({other}, 9)",
        "os.setuid(0)",
        "os.chown(os.environ['ATEK_DATA_DIR'], {uid} + 5, -1)",
        "os.listdir('{home}/packages/other')",
    ],
)
async def test_what_is_not_its_own_it_does_not_get(machine: Machine, code: str) -> None:
    (machine.home / "state/node.secret").write_text("secret")
    (machine.home / "config.toml").write_text("port = 1")
    (machine.home / "packages/other").mkdir()
    control = machine.paths.run / "control.sock"
    os.mknod(control, stat.S_IFSOCK | 0o600)
    other = await machine.start(PYTHON, "-c", WHO, id="other", instance="i2")
    await machine.until("who", "other")
    # As at each start of a node: what was written into the home by hand is closed.
    machine.hosts[-1].users = ServiceUsers(machine.paths, USERS)
    tried = code.format(
        home=machine.home, run=machine.paths.run, node=os.getpid(), other=other.pid, uid=USERS.first
    )
    assert await came(machine, tried) in ("Permission denied", "Operation not permitted")
    assert alive(other.pid) and control.exists()
    await machine.finish(other)


async def test_without_users_of_their_own_all_of_that_is_theirs(home: Path) -> None:
    machine = Machine(home, users=None)
    (home / "state/node.secret").write_text("secret")
    other = await machine.start(PYTHON, "-c", WHO, id="other", instance="i2")
    await machine.until("who", "other")
    for code in (
        f"open('{home}/state/node.secret').read()", f"open('{home}/data/other/who').read()",
        f"open('/proc/{other.pid}/environ').read()", f"os.kill({other.pid}, 0)",
        f"os.symlink('{home}/state', '{home}/data/planted')",
    ):  # fmt: skip
        assert await came(machine, code) == "done"
        (home / "data/app/came").unlink()
    await machine.finish(other)
    machine.hosts[-1].close()


async def test_nothing_that_it_executes_gives_it_more_rights(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program with its owner's rights, as sudo and su are."""
    tool = machine.home / "data" / "tool"
    shutil.copy(shutil.which("id") or "", tool)
    tool.chmod(0o4755)
    code = f"{SAY}\nimport subprocess\nsay('is', subprocess.check_output(['{tool}', '-u'], text=True))"
    running = await machine.start(PYTHON, "-c", code)
    assert await machine.until("is") == str(USERS.first)
    await machine.finish(running)
    (machine.home / "data/app/is").unlink()
    spawn = TABLE.spawn

    def with_new_rights(*args: Any, unprivileged: bool = False, **options: Any) -> Any:
        return spawn(*args, **options)

    monkeypatch.setattr(TABLE, "spawn", with_new_rights)
    running = await machine.start(PYTHON, "-c", code, instance="i2")
    assert await machine.until("is") == "0"
    await machine.finish(running)


#: Hides from everything that tells whose a process is, and never stays the same one for long.
_RUNAWAY = (
    SAY
    + """
import resource
resource.setrlimit(10, (0, resource.getrlimit(10)[1]))
if os.fork() == 0:
    os.setsid()
    for number in range(20_000):
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        if number == 10: say("came", "away")
        time.sleep(0.001)
    os._exit(0)
time.sleep(1000)
"""
)


async def test_what_runs_away_ends_with_it(machine: Machine) -> None:
    running = await machine.start(
        "env", "-i", f"ATEK_DATA_DIR={machine.home}/data/app", PYTHON, "-c", _RUNAWAY
    )
    await machine.until("came")
    await machine.finish(running)
    assert processes_of(USERS.first) == []


async def test_what_hides_counts_as_its_services(machine: Machine) -> None:
    """No seal, no environment, no session and no parents: whose it is, its user says."""
    code = (
        SAY
        + """
import resource
resource.setrlimit(10, (0, resource.getrlimit(10)[1]))
for number in range(30):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for descriptor in (0, 1, 2): os.close(descriptor)
            time.sleep(1000)
        os._exit(0)
say("came", "hidden")
time.sleep(1000)
"""
    )
    running = await machine.start(
        "env",
        "-i",
        f"ATEK_DATA_DIR={machine.home}/data/app",
        PYTHON,
        "-c",
        code,
        resources={"pids": 20},
        replicas=5,
    )
    host = machine.hosts[-1]
    await machine.until("came")
    with anyio.fail_after(10):
        while len(host.everybody(["i1"])["i1"]) != 31:
            await anyio.sleep(0.05)
    Sampler(host).look(10_000)
    with anyio.fail_after(15):
        exit = await machine.runtime.wait(running)
    assert exit.why == "PidsExceeded" and processes_of(USERS.first) == []


async def test_a_fork_bomb_finds_no_more_room_than_its_user_has(machine: Machine) -> None:
    code = (
        SAY
        + """
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
except OSError as error:
    say("came", f"{made} {error.strerror}")
time.sleep(1000)
"""
    )
    running = await machine.start(PYTHON, "-c", code, resources={"pids": 20})
    number, why = (await machine.until("came")).split(" ", 1)
    assert int(number) < 40 and why == "Resource temporarily unavailable"
    await machine.finish(running)
    assert processes_of(USERS.first) == []


async def test_what_ran_as_root_goes_on_and_is_its_own_users_from_the_next_start_on(home: Path) -> None:
    machine = Machine(home, users=None)
    before = await machine.start(PYTHON, "-c", WHO)
    assert (await machine.until("who")).startswith("[0, 0, ")
    (home / "data/app/notes").write_text("kept")
    machine.next_life(USERS)
    (adopted,) = await machine.runtime.observe()
    assert adopted.pid == before.pid and alive(before.pid) and adopted.awaits_user
    assert (home / "data/app").stat().st_uid == 0
    new = await machine.start(
        PYTHON, "-c", SAY + "say('came', open('notes').read())\ntime.sleep(1000)", instance="i2"
    )
    assert await machine.until("came") == "kept"
    # What the old one writes beside it is given away with the next start.
    (home / "data/app/late").write_text("late")
    await machine.finish(adopted)
    await machine.finish(new)
    last = await machine.start(PYTHON, "-c", "import time; time.sleep(1000)", instance="i3")
    assert (home / "data/app/late").stat().st_uid == USERS.first
    machine.next_life(USERS)
    (adopted,) = await machine.runtime.observe()
    assert not adopted.awaits_user
    last = adopted
    await machine.finish(last)
    machine.hosts[-1].close()


async def test_who_runs_it_may_be_said(machine: Machine) -> None:
    running = await machine.start(PYTHON, "-c", WHO, runAs="nobody")
    assert (await machine.until("who")).startswith(f"[65534, 65534, [65534, {USERS.passing}]")
    await machine.finish(running)
    running = await machine.start("sleep", "1000", runAs="root", id="as-root", instance="i2")
    assert os.stat(f"/proc/{running.pid}").st_uid == 0
    await machine.finish(running)
    with pytest.raises(PermanentFailure, match="no user of-nobody"):
        await machine.start("sleep", "1000", runAs="of-nobody", id="wrong", instance="i3")


@pytest.fixture
def outside() -> Iterator[Path]:
    """Not in /tmp, which a sandbox has its own of."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("level", ["none", "private", "strict"])
@pytest.mark.parametrize("way", ["program", "link", "script"])
async def test_what_runs_it_may_lie_where_its_user_cannot_get_to(
    machine: Machine, outside: Path, level: str, way: str
) -> None:
    closed = outside / "closed"
    (closed / "bin").mkdir(parents=True)
    interpreter = closed / "bin" / "python3"
    shutil.copy(os.path.realpath(PYTHON), interpreter)
    program = {"program": interpreter, "link": outside / "python3", "script": outside / "script"}[way]
    if way == "link":
        program.symlink_to(interpreter)
    if way == "script":
        program.write_text(f"#!{interpreter}\nimport time; time.sleep(1000)\n")
        program.chmod(0o755)
    closed.chmod(0o700)
    words: list[str] = [
        os.fspath(program),
        *(() if way == "script" else ("-c", "import time; time.sleep(1000)")),
    ]
    more: dict[str, Any] = {"binds": [os.fspath(outside)]} if level == "strict" else {}
    with pytest.raises(PermanentFailure, match="cannot get to") as failure:
        await machine.start(*words, sandbox=level, **more)
    assert failure.value.reason == "ProgramUnreachable"
    assert f"{closed} lets nobody else pass" in str(failure.value) and "/opt" in failure.value.hint
    closed.chmod(0o711)
    running = await machine.start(*words, sandbox=level, instance="i2", **more)
    await machine.finish(running)
