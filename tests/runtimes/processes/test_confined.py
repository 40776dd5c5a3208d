"""Programs in sandboxes: found, signalled, ended and told of as any other, and kept from everything else."""

from __future__ import annotations

import json
import os
import signal
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.spec import Probe
from runtimes.base import Exit, PermanentFailure, RuntimeFailure, SecretFile, Secrets
from runtimes.probes import EndpointProber
from runtimes.processes.confined import exit_of, read_status
from runtimes.processes.proc import program_in_sandbox
from runtimes.sandbox.confinement import STARTED_BEFORE
from runtimes.sandbox.enclosure import Enclosed
from runtimes.sandbox.exit_status import Status, parse
from runtimes.sandbox.machine import Facts, Machine
from runtimes.sandbox.troubles import Trouble
from tests.runtimes.factories import alive, launch, marked, service
from tests.runtimes.processes.benches import LOOK, Bench
from tests.runtimes.processes.families import DAEMON, DEAF, WORKERS, family, program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtimes.base import Running

pytestmark = pytest.mark.anyio

#: Says that it is there, and ends with 7 when it is asked to.
POLITE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
open(os.environ["ATEK_DATA_DIR"] + "/ready", "w").close()
time.sleep(1000)
"""


async def ended(bench: Bench, running: Running) -> Exit:
    with anyio.fail_after(15):
        return await bench.runtime.wait(running)


async def look(bench: Bench, script: str, **manifest: Any) -> list[str]:
    """What a program prints that runs to its end."""
    running = await bench.start(sys.executable, "-c", script, **manifest)
    await bench.finish(running)
    return (bench.home / "logs/app/service.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(0)", Exit(code=0)),
        ("raise SystemExit(3)", Exit(code=3)),
        ("import os; os.kill(os.getpid(), 9)", Exit(signal=9)),
        ("import os, signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)", Exit(signal=15)),
    ],
)
async def test_how_it_ended_is_told(private: Bench, code: str, expected: Exit) -> None:
    running = await private.start(sys.executable, "-c", code)
    assert running.sandbox == "private"
    exit = await ended(private, running)
    assert (exit.code, exit.signal) == (expected.code, expected.signal)
    assert not list((private.home / "state/instances").iterdir())
    assert not (private.paths.run / "i1").exists()


@pytest.mark.parametrize("before", ["", "import os; os.setsid()\n"])
@pytest.mark.parametrize("adopted", [False, True])
async def test_a_stop_reaches_the_program_and_its_answer_is_told(
    private: Bench, before: str, adopted: bool
) -> None:
    running = await private.start(sys.executable, "-c", before + POLITE)
    await private.until("ready")
    if adopted:
        (running,) = await private.next_life().observe()
        assert running.sandbox == "private"
    await private.runtime.stop(running)
    assert (await ended(private, running)).code == 7
    assert not marked(private.paths)


async def test_one_that_was_stopped_before_it_was_executed_is_gone(private: Bench) -> None:
    running = await private.start("sleep", "1000")
    await private.runtime.stop(running)
    with anyio.fail_after(5):
        assert (await private.runtime.wait(running)).signal == signal.SIGTERM
    assert not marked(private.paths)


@pytest.mark.parametrize("forks", [DAEMON, WORKERS], ids=["daemon", "workers"])
@pytest.mark.parametrize("how", ["stop", "crash", "adopted stop", "adopted crash", "first process"])
async def test_nothing_that_it_forked_is_left(private: Bench, how: str, forks: str) -> None:
    running = await private.start(*program(forks))
    hidden = await family(private.paths)
    assert all(alive(pid) for pid in hidden)
    first = read_status(private.paths.exit_status("i1")).first
    assert first is not None
    if "adopted" in how:
        (running,) = await private.next_life().observe()
    if "stop" in how:
        await private.runtime.stop(running)
    else:
        os.kill(first if how == "first process" else running.pid, 9)
    await ended(private, running)
    assert not any(alive(pid) for pid in (*hidden, first)) and not marked(private.paths)


async def test_one_that_does_not_want_to_end_is_ended(private: Bench) -> None:
    running = await private.start(*program(DEAF))
    (deaf,) = await family(private.paths)
    await private.runtime.stop(running)
    assert alive(deaf)
    await private.runtime.stop(running, force=True)
    assert (await ended(private, running)).signal == signal.SIGKILL
    assert not alive(deaf)


async def test_a_node_that_is_killed_before_the_words_are_said_leaves_nothing(
    private: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Enclosed, "begin", Enclosed.close)
    running = await private.start("touch", "executed")
    assert (await ended(private, running)).why == "SandboxUnavailable"
    assert not (private.home / "data/app/executed").exists()


async def test_it_sees_its_own_and_nothing_of_the_node(private: Bench) -> None:
    control = private.paths.run / "control.sock"
    control.touch()
    (private.home / "state" / "admin.token").write_text("secret")
    other = await private.runtime.start(private.launch("other", "i2", sys.executable, "-c", LOOK))
    running = await private.start(sys.executable, "-c", LOOK)
    seen = json.loads((await private.until("seen.json")).read_text())
    assert seen["env"]["ATEK_ASSIGNED_SOCKET_FILE"] == f"{private.paths.run}/i1/sock"
    assert sorted(map(int, seen["fds"])) == [0, 1, 2, 3]
    await private.runtime.stop(running)
    await ended(private, running)
    (private.home / "logs/app/service.log").unlink()
    home = os.fspath(private.home)
    said = await look(
        private,
        f"import os\nfor folder in ({home!r}, {os.fspath(private.paths.run)!r}, {home + '/data'!r}):\n"
        "    print(sorted(os.listdir(folder)))\n"
        "print(len([each for each in os.listdir('/proc') if each.isdigit()]))\n"
        "print(os.listdir('/tmp'), os.listdir('/dev/shm'))",
    )
    run = Path(private.paths.run).relative_to(private.home).parts
    assert said[0] == str(sorted({"data", *run})) and said[1:3] == ["['i1']", "['app']"]
    assert int(said[3]) <= 3
    assert "'i2'" not in "".join(said) and alive(other.pid)


async def test_what_it_is_asked_to_do_with_files_below_tmp_it_does(private: Bench, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("there")
    read, written = os.fspath(there), os.fspath(tmp_path / "new")
    await private.finish(await private.start("sh", "-c", f"cat {read} >{written}; cat $FILE >>{written}",
                                             env={"FILE": read}))  # fmt: skip
    assert Path(written).read_text() == "therethere"


async def test_its_limits_are_there_before_it_is(private: Bench) -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    assert await look(private, code, resources={"memory": "300Mi"}) == [str(300 * 2**20)]


@pytest.mark.parametrize("level", ["private", "strict"])
@pytest.mark.parametrize("adopted", [False, True])
async def test_a_probe_is_in_the_same_sandbox(bench: Bench, facts: Facts, level: str, adopted: bool) -> None:
    (bench.home / "state/secret").touch()
    script = (
        f"test ! -e {bench.home}/state/secret && test $(ls -d /proc/[0-9]* | wc -l) -le 6 && "
        "grep -q 'NoNewPrivs:.*1' /proc/self/status && grep -q 'Seccomp:.*2' /proc/self/status && "
        "cat /proc/self/status | grep Cap >caps && pwd | grep -q data/app && ! kill -0 $NODE"
    )
    running = await bench.start(
        "sh", "-c", "cat /proc/self/status | grep Cap >caps.own; exec sleep 1000",
        sandbox=level, env={"NODE": str(os.getpid())},
    )  # fmt: skip
    await bench.until("caps.own")
    if adopted:
        (running,) = await bench.next_life().observe()
    prober = EndpointProber(bench.hosts[-1])

    async def check(*command: str) -> str | None:
        probe = Probe.model_validate({"exec": {"command": command}, "timeoutSeconds": 10})
        return await prober.check(probe, running)

    assert await check("sh", "-c", script) is None
    had, has = ((bench.home / "data/app" / name).read_text().splitlines() for name in ("caps.own", "caps"))
    assert [line for line in has if "Prm" in line or "Eff" in line] == [
        line for line in had if "Prm" in line or "Eff" in line
    ]
    assert await check("sh", "-c", "exit 3") == "sh exited with status 3"
    assert await check("sh", "-c", "kill -9 $$") == "sh was killed by signal 9"
    assert await check("no-such-program") == "no-such-program exited with status 127"


async def test_its_secret_files_are_its_own(private: Bench) -> None:
    secrets = Secrets(files=[SecretFile("KEY", b"the secret")])
    words = [sys.executable, "-c", "import os; print(open(os.environ['KEY_FILE']).read())"]
    of = private.service(*words)
    running = await private.runtime.start(
        type(launch(of))("i1", of, 0, {"key": "k", "token": "t"}, secrets=secrets)
    )
    exit = await ended(private, running)
    assert exit.success
    assert (private.home / "logs/app/service.log").read_text() == "the secret\n"


async def test_a_data_folder_that_became_a_link_to_anothers_is_refused(private: Bench) -> None:
    other = private.home / "data/other"
    other.mkdir()
    (private.home / "data/app").symlink_to(other)
    with pytest.raises(PermanentFailure) as caught:
        await private.start("touch", "mine")
    assert caught.value.reason == "FolderIsLink" and "bind mount" in caught.value.hint
    assert not list(other.iterdir())
    # The machine was tried, which takes a moment to be over.
    with anyio.fail_after(5):
        while marked(private.paths):
            await anyio.sleep(0.01)


async def test_a_python_in_an_environment_below_tmp_has_its_packages(private: Bench, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    (site,) = (tmp_path / "env/lib").glob("python3*/site-packages")
    (site / "only_there.py").touch()
    program = os.fspath(tmp_path / "env/bin/python")
    assert (await ended(private, await private.start(program, "-c", "import only_there"))).success


async def test_a_data_folder_on_another_disk_is_one(private: Bench, tmp_path: Path) -> None:
    (private.home / "data/app").symlink_to(tmp_path)
    assert (await ended(private, await private.start("touch", "mine"))).success
    assert (tmp_path / "mine").exists()


@pytest.fixture
def unable(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    trouble = Trouble("user.max_user_namespaces = 0 forbids user namespaces", "sudo sysctl …")
    monkeypatch.setattr(Machine, "facts", lambda self: Facts("/usr/bin/bwrap", trouble, trouble))
    return trouble


async def test_without_sandboxes_a_private_one_runs_and_it_is_said(bench: Bench, unable: Trouble) -> None:
    running = await bench.start("sleep", "1000", sandbox="private")
    assert (running.sandbox, running.unconfined) == ("none", str(unable))
    (adopted,) = await bench.next_life().observe()
    assert adopted.unconfined == str(unable)


async def test_its_program_is_told_and_never_the_sandbox_around_it(private: Bench) -> None:
    running = await private.start("sleep", "1000")
    with anyio.fail_after(20):
        while (program := program_in_sandbox(running.pid)) is None:
            await anyio.sleep(0.001)
    assert program != running.pid
    with anyio.fail_after(20):
        while Path(f"/proc/{program}/comm").read_text() != "sleep\n":
            await anyio.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    await private.runtime.wait(running)
    assert program_in_sandbox(running.pid) is None


async def test_silence_is_private_unless_the_nodes_owner_says_else(bench: Bench, facts: Facts) -> None:
    """What runs already goes on as it is."""
    silent = service(command=["sleep", "1000"])
    bench.hosts[-1].sandbox = "none"
    before = await bench.runtime.start(launch(silent, "before"))
    bench.next_life()
    (adopted,) = await bench.runtime.observe()
    assert (before.sandbox, before.unconfined) == ("none", "")
    assert (adopted.pid, adopted.sandbox, adopted.unconfined) == (before.pid, "none", STARTED_BEFORE)
    assert (await bench.runtime.start(launch(silent, "after"))).sandbox == "private"
    of_node = service("core.hyper", command=["sleep", "1000"])
    assert (await bench.runtime.start(launch(of_node, "own"))).sandbox == "none"


async def test_without_sandboxes_a_strict_one_does_not_run(bench: Bench, unable: Trouble) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start("sleep", "1000", sandbox="strict")
    assert caught.value.reason == "SandboxUnavailable" and not caught.value.permanent
    assert unable.message in caught.value.message and caught.value.hint == unable.hint
    assert not marked(bench.paths)


async def test_a_strict_one_reads_its_package_and_writes_its_data(bench: Bench, facts: Facts) -> None:
    package = bench.home / "package"
    package.mkdir()
    script = "cat file; touch own 2>/dev/null || echo refused; touch $ATEK_DATA_DIR/kept; ls ..; ls -A /home"
    (package / "main.sh").write_text(f"#!/bin/sh\n{script} /root 2>&1; whoami")
    (package / "main.sh").chmod(0o755)
    (package / "file").write_text("content\n")
    running = await bench.start("./main.sh", sandbox="strict", package=os.fspath(package))
    assert (await ended(bench, running)).code is not None
    said = (bench.home / "logs/app/service.log").read_text()
    assert said.startswith("content\nrefused\n") and (bench.home / "data/app/kept").exists()
    assert sorted(said.split()[2:5])[:2] == ["data", "package"]


async def test_a_strict_one_has_no_program_of_the_users(bench: Bench, facts: Facts, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start(os.fspath(script), sandbox="strict")
    assert caught.value.reason == "NotInSandbox" and "binds" in caught.value.hint
    running = await bench.start(os.fspath(script), sandbox="strict", binds=[os.fspath(tmp_path)])
    assert (await ended(bench, running)).success


@pytest.mark.parametrize(
    ("bind", "reason"), [("/no/such/folder", "BindNotFound"), ("{home}/state", "BindRefused")]
)
async def test_what_cannot_be_granted_is_told(bench: Bench, facts: Facts, bind: str, reason: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start("true", sandbox="strict", binds=[bind.format(home=bench.home)])
    assert caught.value.reason == reason and caught.value.hint


@pytest.mark.parametrize("through", ["{around}", "{link}"])
async def test_a_folder_around_the_home_shows_nothing_of_it(
    bench: Bench, facts: Facts, tmp_path: Path, through: str
) -> None:
    (bench.home / "state/admin.token").write_text("the node's")
    around, link = os.path.dirname(os.path.realpath(bench.home)), tmp_path / "link"
    link.symlink_to(around)
    shown = through.format(around=around, link=link)
    within = f"{shown}/{bench.home.name}"
    script = (
        f"ls {shown}; cat {within}/state/admin.token; ls -A {within}; touch {within}/x $ATEK_DATA_DIR/kept"
    )
    running = await bench.start("/bin/sh", "-c", script, sandbox="strict", binds=[f"{shown}:rw"])
    await bench.finish(running)
    said = (bench.home / "logs/app/service.log").read_text()
    assert bench.home.name in said.split()
    assert "the node's" not in said and "state" not in said.splitlines()
    assert (bench.home / "data/app/kept").exists() and not (bench.home / "x").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", Status()),
        (b'{ "child-pid": 5, "pid-namespace": 1 }\n', Status(5)),
        (b'{ "child-pid": 5 }\n{ "exit-code": 143 }\n', Status(5, 143)),
        (b'{ "child-pid": "x" }\nnonsense\n[]\n{ "exit-code": 0 }\n{ "exit-', Status(None, 0)),
    ],
)
def test_what_bubblewrap_wrote(text: bytes, expected: Status) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (Status(5, 0), 0, Exit(code=0)),
        (Status(5, 143), 143, Exit(signal=15)),
        # No program is ended by SIGCHLD (17), SIGSTOP (19) or SIGWINCH (28), and there is no signal 100.
        (Status(5, 145), 145, Exit(code=145)),
        (Status(5, 147), 147, Exit(code=147)),
        (Status(5, 156), 156, Exit(code=156)),
        (Status(5, 228), 228, Exit(code=228)),
        (Status(5, 255), 255, Exit(code=255)),
        (Status(5, 7), None, Exit(code=7)),
        (Status(5), None, Exit()),
        (Status(5), -9, Exit(signal=9)),
        (Status(), 1, Exit(code=1, why="SandboxUnavailable")),
    ],
)
def test_what_an_end_means(status: Status, code: int | None, expected: Exit) -> None:
    assert exit_of(status, code) == expected


def test_another_line_is_tried_as_this_node_would(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtimes.processes.confined import _try

    def line(*words: str) -> Sequence[str]:
        return ["sh", "-c", *words]

    assert _try(line("echo said; echo complained >&2; exit 3")) == (3, "said\ncomplained\n")
