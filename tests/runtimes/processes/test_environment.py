"""What programs see: exactly their own variables and the node's; and no secret in a command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from manifests.model.spec import Probe
from runtimes.base import RuntimeFailure
from runtimes.probes import EndpointProber
from tests.runtimes.processes.benches import LOOK, Bench

pytestmark = pytest.mark.anyio


async def test_a_service_sees_exactly_its_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_NODE", "must not be seen")
    await bench.start(sys.executable, "-c", LOOK, env={"LOG_LEVEL": "debug", "HOME": "/elsewhere"})
    seen = json.loads((await bench.until("seen.json")).read_text())
    data = str(bench.home / "data/app")
    assert {key: value for key, value in seen["env"].items() if key != "LC_CTYPE"} == {
        "LOG_LEVEL": "debug",
        "HOME": "/elsewhere",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TMPDIR": f"{data}/tmp",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "ATEK_ASSIGNED_SOCKET_FILE": str(bench.paths.run / "i1.sock"),
        "ATEK_ASSIGNED_SERVICE_KEY": "the-key",
        "ATEK_HOST_PORT": "2835",
        "ATEK_HOST_BEARER_TOKEN": "the-token",
        "ATEK_ROUTER_TOKEN": "the-routers",
        "ATEK_DATA_DIR": data,
    }
    assert seen["cwd"] == data


async def test_no_descriptor_of_the_node_is_inherited(bench: Bench) -> None:
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        bench.next_life()
        await bench.start(sys.executable, "-c", LOOK)
        seen = json.loads((await bench.until("seen.json")).read_text())
        assert set(seen["fds"]) <= {"0", "1", "2", "3"}
    finally:
        os.close(inheritable)


async def test_arguments_are_expanded_and_secrets_stay_out_of_them(bench: Bench) -> None:
    running = await bench.start(
        sys.executable, "-c", LOOK, "$LOG_LEVEL", "${LOG_LEVEL}!", "$$5", env={"LOG_LEVEL": "debug"}
    )
    seen = json.loads((await bench.until("seen.json")).read_text())
    assert seen["argv"][1:] == ["debug", "debug!", "$5"]
    assert b"the-token" not in Path(f"/proc/{running.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("name", ["ATEK_HOST_BEARER_TOKEN", "ATEK_ROUTER_TOKEN"])
@pytest.mark.parametrize("word", ["${}", "--token=${{{}}}"])
async def test_no_token_gets_into_a_command_line(bench: Bench, name: str, word: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start("echo", word.format(name))
    assert caught.value.permanent and caught.value.reason == "SecretInCommand"
    assert f"$${name}" in caught.value.hint
    assert "the-token" not in str(caught.value) and "the-routers" not in str(caught.value)


async def test_a_shell_reads_the_token_by_itself(bench: Bench) -> None:
    running = await bench.start("sh", "-c", "echo $$ATEK_HOST_BEARER_TOKEN > token; exec sleep 1000")
    written = await bench.until("token")
    while written.read_text() != "the-token\n":
        await anyio.sleep(0.01)
    assert b"the-token" not in Path(f"/proc/{running.pid}/cmdline").read_bytes()


async def test_an_unknown_variable_is_an_error(bench: Bench) -> None:
    with pytest.raises(RuntimeFailure, match=r"\$NOWHERE, \$NEITHER, which") as caught:
        await bench.start("echo", "$NOWHERE", "$$X ${NEITHER}/x", "$NOWHERE")
    assert caught.value.permanent and "env:" in caught.value.hint


async def test_the_nodes_variables_are_put_into_the_environment(bench: Bench) -> None:
    env = {"PATH": "/opt/x:$PATH", "DB": "${ATEK_DATA_DIR}/db", "HASH": "$2b$12$x", "PASSWORD": "pa$$word"}
    await bench.start(sys.executable, "-c", LOOK, "$DB", env=env)
    seen = json.loads((await bench.until("seen.json")).read_text())
    data = str(bench.paths.data("app"))
    assert seen["env"]["PATH"].startswith("/opt/x:/usr/local/sbin:")
    assert (seen["env"]["DB"], seen["argv"][1]) == (f"{data}/db", f"{data}/db")
    assert (seen["env"]["HASH"], seen["env"]["PASSWORD"]) == ("$2b$12$x", "pa$$word")


async def test_a_variable_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(RuntimeFailure, match=r"env.A refers to \$ATEK_NONE") as caught:
        await bench.start("echo", env={"A": "$ATEK_NONE"})
    assert caught.value.permanent and caught.value.reason == "UnknownVariable"


@pytest.mark.parametrize("name", ["ATEK_HOST_BEARER_TOKEN", "ATEK_ROUTER_TOKEN"])
async def test_a_token_in_another_variable_does_not_get_into_a_command_line_either(
    bench: Bench, name: str
) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await bench.start("echo", "$API", env={"API": f"http://x:${name}@localhost"})
    assert caught.value.permanent and caught.value.reason == "SecretInCommand"
    assert "the-token" not in str(caught.value) and "the-routers" not in str(caught.value)


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_probe_has_the_environment_that_its_service_has_overwritten(
    bench: Bench, adopted: bool
) -> None:
    """As nginx does, to change its title."""
    code = "open('begun', 'w'); import os; os.execve('/bin/sleep', ['sleep', '1000'], {'PATH': '/nowhere'})"
    running = await bench.start(sys.executable, "-c", code, env={"MARK": "here"})
    await bench.until("begun")
    if adopted:
        (running,) = await bench.next_life().observe()
    probe = Probe.model_validate(
        {"exec": {"command": ["sh", "-c", "test $MARK = here && test -d $ATEK_DATA_DIR"]}}
    )
    assert await EndpointProber(bench.hosts[-1]).check(probe, running) is None
