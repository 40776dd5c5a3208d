"""Programs of this machine: what they see, what they leave behind, and what they may not do."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import time
from dataclasses import replace

import anyio
import pytest

from manifests.model.spec import Probe, Resources
from runtimes.base import Endpoint, RuntimeFailure
from runtimes.probes import EndpointProber
from runtimes.processes import process
from runtimes.processes.children import TABLE
from tests.runtimes.factories import alive, launch, marked
from tests.runtimes.processes.benches import LOOK, Bench
from tests.runtimes.processes.families import DAEMON, family, program

pytestmark = pytest.mark.anyio

#: Forks one helper in its own session, and a daemon that escapes into another; says their numbers.
FORK = """
import os, time
helper = os.fork()
if helper == 0:
    time.sleep(1000)
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.waitpid(middle, 0)
open(os.environ["ATEK_DATA_DIR"] + "/ready", "w").close()
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("command", "reason"),
    [("no-such-program", "CommandNotFound"), ("/etc/passwd", "NotExecutable"), ("/etc", "NotExecutable")],
)
async def test_what_cannot_be_executed_is_told(bench: Bench, command: str, reason: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start(command)
    assert caught.value.reason == reason and caught.value.hint


async def test_a_program_that_a_python_package_would_bring_is_told(bench: Bench) -> None:
    package = bench.home / "package"
    package.mkdir()
    (package / "Pipfile.lock").touch()
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start("gunicorn-of-nobody", package=str(package))
    assert "write runtime: python" in caught.value.hint and "Pipfile.lock" in caught.value.hint


async def test_a_script_without_interpreter_is_told(bench: Bench) -> None:
    script = bench.home / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start(str(script))
    assert "#!/bin/sh" in caught.value.hint and caught.value.permanent
    assert list((bench.home / "state/instances").iterdir()) == []


async def test_a_stale_socket_is_removed_before_the_start(bench: Bench) -> None:
    stale = bench.paths.run / "i1.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    await bench.start("sleep", "1000")
    assert not stale.exists()


async def test_output_goes_to_a_private_log_and_survives(bench: Bench) -> None:
    running = await bench.start("sh", "-c", "echo out; echo err >&2")
    await bench.finish(running)
    log = bench.home / "logs/app/service.log"
    assert log.read_text() == "out\nerr\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for file in (bench.home / "state/instances").parent.rglob("*"):
        assert not file.is_file() or stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_port_in_use_names_its_holder(bench: Bench) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(RuntimeFailure) as caught:
            await bench.start("sleep", "1000", port=port)
    assert caught.value.reason == "PortInUse"
    assert str(port) in caught.value.message and f"pid {os.getpid()}" in caught.value.message


async def test_an_automatic_port_is_told_and_free(bench: Bench) -> None:
    running = await bench.start(sys.executable, "-c", LOOK, port="auto")
    seen = json.loads((await bench.until("seen.json")).read_text())
    assert running.endpoint == Endpoint(port=int(seen["env"]["PORT"]))


@pytest.mark.parametrize("how", ["stop", "crash", "adopted stop", "adopted crash"])
async def test_nothing_that_a_service_forked_is_left(bench: Bench, how: str) -> None:
    running = await bench.start(sys.executable, "-c", FORK)
    await bench.until("ready")
    family = marked(bench.paths)
    assert len(family) == 3
    if "adopted" in how:
        (running,) = await bench.next_life().observe()
    if "stop" in how:
        await bench.runtime.stop(running)
    else:
        os.kill(running.pid, 9)
    await bench.finish(running)
    assert not any(alive(pid) for pid in family)


async def test_a_tool_keeps_its_exit_status_beside_a_subreaper(bench: Bench) -> None:
    async with await anyio.open_process(["sh", "-c", "sleep 0.3; exit 3"]) as tool:
        for number in range(5):
            running = await bench.runtime.start(launch(bench.service("sh", "-c", "exit 1"), f"i{number}"))
            await bench.finish(running)
        assert await tool.wait() == 3


async def test_memory_is_limited_and_the_rest_is_told(bench: Bench) -> None:
    eats = "x = bytearray(400 * 2**20); open(__import__('os').environ['ATEK_DATA_DIR'] + '/ate', 'w')"
    code = f"import time; time.sleep(0.2); {eats}"
    running = await bench.start(
        sys.executable, "-c", code, resources={"memory": "200Mi", "cpu": 0.5, "pids": 10}
    )
    with anyio.fail_after(15):
        exit = await bench.runtime.wait(running)
    assert exit.code == 1 and not (bench.home / "data/app/ate").exists()
    assert any("cpu 0.5" in note for note in running.unenforced)
    assert "memory and pids by sampling" in running.sampled
    (log,) = (bench.home / "logs/app").iterdir()
    assert "MemoryError" in log.read_text()


@pytest.mark.parametrize("where", ["limits", "stat", "record", "pidfd", "cancelled"])
async def test_whatever_goes_wrong_after_the_spawn_nothing_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    host = bench.hosts[-1]
    error: BaseException = (
        OverflowError("too much") if where != "pidfd" else OSError(24, "Too many open files")
    )
    if where == "cancelled":
        error = anyio.get_cancelled_exc_class()()

    def fail(*of: object, **more: object) -> None:
        # It has had the time to hide what it forked.
        while not (bench.home / "data/app/family").exists():
            time.sleep(0.01)
        monkeypatch.undo()
        raise error

    places = {"stat": (process, "read_stat"), "record": (host.records, "write"), "pidfd": (host, "watch")}
    monkeypatch.setattr(*places.get(where, (host.limiter, "apply")), fail)
    with pytest.raises(RuntimeFailure if where != "cancelled" else type(error)):
        await bench.start(*program(DAEMON))
    (hidden,) = await family(bench.paths)
    assert not alive(hidden) and not marked(bench.paths)
    assert not host.handles and not list((bench.home / "state/instances").iterdir())
    assert await bench.runtime.observe() == []


@pytest.mark.parametrize("memory", [10**30, 2**64])
async def test_a_limit_beyond_all_numbers_leaves_no_stray(bench: Bench, memory: int) -> None:
    """The model bounds them; a record of another version may not."""
    resources = Resources.model_construct(memory=memory, cpu=None, pids=None)
    of = bench.service("sleep", "1000")
    manifest = of.manifest.model_copy(update={"resources": resources})
    with pytest.raises(RuntimeFailure):
        await bench.runtime.start(launch(replace(of, manifest=manifest)))
    assert not marked(bench.paths)


async def test_signals_that_the_nodes_shell_ignored_have_their_usual_effect(bench: Bench) -> None:
    """nohup, `&` in a script and `trap ''` leave them ignored in the node and all that it starts."""
    numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU, signal.SIGCHLD, signal.SIGUSR1]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        bench.next_life()
        code = "import os, shutil; shutil.copy('/proc/self/status', 'new'); os.rename('new', 'status')"
        await bench.start(sys.executable, "-c", code)
        lines = dict(line.split(":\t") for line in (await bench.until("status")).read_text().splitlines())
        # The two that the C library has for its threads (nptl(7)) are nobody else's to change.
        ignored = int(lines["SigIgn"], 16) & ~(0b11 << 32 - 1)
        # Python itself ignores SIGPIPE and SIGXFSZ.
        assert ignored == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
        assert int(lines["SigBlk"], 16) == 0
        os.kill(os.getpid(), signal.SIGHUP)  # The node still ignores it.
        os.kill(os.getpid(), signal.SIGTTOU)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        TABLE.become("nobody")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "import nothing_of_that_name"],
         "exited with status 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (["-c", "import os; print('I am', os.environ['ATEK_HOST_BEARER_TOKEN']); os._exit(3)"],
         "exited with status 3: I am ***"),
        (["-c", "print('fine')"], "exited with status 0"),
        (["-c", "import os; print('last'); os.kill(os.getpid(), 6)"], "killed by signal 6 (SIGABRT): last"),
        (["-c", "import os; print('last'); os.kill(os.getpid(), 9)"], "killed by signal 9 (SIGKILL)"),
    ],
)  # fmt: skip
async def test_what_it_said_last_is_in_the_message(bench: Bench, words: list[str], message: str) -> None:
    log = bench.home / "logs/app/service.log"
    log.parent.mkdir(parents=True)
    log.write_text("Error: of an earlier life\n")
    running = await bench.start(sys.executable, *words)
    with anyio.fail_after(15):
        assert str(await bench.runtime.wait(running)) == message


async def test_an_adopted_instance_has_a_termination_message_as_well(bench: Bench) -> None:
    code = "import time; print('Error: of this life', flush=True); open('said', 'w'); time.sleep(1000)"
    running = await bench.start(sys.executable, "-c", code)
    await bench.until("said")
    (adopted,) = await bench.next_life().observe()
    os.kill(running.pid, 6)
    with anyio.fail_after(15):
        assert (await bench.runtime.wait(adopted)).said == "Error: of this life"


async def test_a_probe_has_the_limits_of_its_service(bench: Bench) -> None:
    code = "import resource; open('limit', 'w').write(str(resource.getrlimit(resource.RLIMIT_DATA)[0]))"
    probe = Probe.model_validate(
        {"exec": {"command": [sys.executable, "-c", f"import time; time.sleep(0.2); {code}"]}}
    )
    running = await bench.start("sleep", "1000", resources={"memory": "300Mi"})
    assert await EndpointProber(bench.hosts[-1]).check(probe, running) is None
    assert (bench.home / "data/app/limit").read_text() == str(300 * 2**20)
