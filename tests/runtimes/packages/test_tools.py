"""Tools are heard, logged, and ended with all they started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.packages.environment import tool_environment
from runtimes.packages.tools import ToolLog, run_tool
from tests.runtimes.factories import alive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def run(folder: Path, script: str, log: ToolLog | None = None) -> list[str]:
    said: list[str] = []
    with anyio.fail_after(20):
        await run_tool(
            "sh", ["/bin/sh", "-c", script], cwd=folder, environment=tool_environment(),
            log=log or ToolLog(folder / "app"), progress=said.append,
        )  # fmt: skip
    return said


async def test_each_line_is_progress_and_all_of_it_is_logged(tmp_path: Path) -> None:
    assert await run(tmp_path, "echo one; echo two >&2; printf three") == ["sh", "sh: one", "sh: two"]
    log = tmp_path / "app" / "prepare.log"
    assert log.read_text() == "one\ntwo\nthree"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_the_log_has_all_steps_of_the_last_preparation_only(tmp_path: Path) -> None:
    await run(tmp_path, "echo earlier")
    log = ToolLog(tmp_path / "app")
    await run(tmp_path, "echo install", log)
    await run(tmp_path, "echo build", log)
    assert log.path.read_text() == "install\nbuild\n"


async def test_a_failure_repeats_the_errors_and_not_the_noise(tmp_path: Path) -> None:
    script = """
    echo 'npm warn old' ; echo 'cannot find gcc'
    echo 'npm error code 1'; echo 'npm error A complete log of this run can be found in: x'; exit 4
    """
    with pytest.raises(RuntimeFailure) as caught:
        await run(tmp_path, script)
    assert caught.value.message == "sh failed with status 4: cannot find gcc | npm error code 1"
    assert "atek logs app --prepare" in caught.value.hint


async def test_what_waiting_cannot_mend_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="code ETARGET"):
        await run(tmp_path, "echo npm error code ETARGET; exit 1")
    with pytest.raises(RuntimeFailure, match="code ECONNREFUSED") as caught:
        await run(tmp_path, "echo npm error code ECONNREFUSED; exit 1")
    assert not caught.value.permanent


async def test_a_tool_that_ran_out_of_space_says_so_in_passing(tmp_path: Path) -> None:
    script = "echo 'npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write'; exit 1"
    with pytest.raises(RuntimeFailure) as caught:
        await run(tmp_path, script)
    assert caught.value.reason == "DiskFull" and "app" in caught.value.message


async def test_a_tool_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="cannot run /no/such/tool"):
        await run_tool(
            "tool", ["/no/such/tool"], cwd=tmp_path, environment={}, log=ToolLog(tmp_path), progress=print
        )


async def test_an_endless_line_fills_the_log_and_not_the_memory(tmp_path: Path) -> None:
    said = await run(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert said[-1] == "sh: end" and max(map(len, said)) < 1000
    assert (tmp_path / "app" / "prepare.log").stat().st_size == 3_000_005


async def test_cancelling_ends_what_the_tool_forked(tmp_path: Path) -> None:
    told = anyio.Event()
    pids: list[int] = []

    def hear(line: str) -> None:
        if line.startswith("sh: "):
            pids.extend(map(int, line.removeprefix("sh: ").split()))
            told.set()

    async def work() -> None:
        script = "trap '' TERM; sleep 1000 & echo $$ $!; wait"
        await run_tool(
            "sh", ["/bin/sh", "-c", script], cwd=tmp_path, environment=tool_environment(),
            log=ToolLog(tmp_path), progress=hear,
        )  # fmt: skip

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await told.wait()
            tasks.cancel_scope.cancel()
        while any(alive(pid) for pid in pids):
            await anyio.sleep(0.005)
    assert len(pids) == 2


def test_tools_see_registries_and_proxies_but_no_other_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = {"HTTPS_PROXY": "p", "NPM_CONFIG_REGISTRY": "r", "PIP_INDEX_URL": "i", "SSL_CERT_FILE": "c"}
    for name, value in {**passed, "ATEK_TOKEN": "secret", "DATABASE_URL": "secret"}.items():
        monkeypatch.setenv(name, value)
    environment = tool_environment(["/first"], MORE="more")
    assert environment.items() >= {*passed.items(), ("MORE", "more"), ("HOME", os.environ["HOME"])}
    assert environment["PATH"].startswith("/first:")
    assert "secret" not in environment.values()
