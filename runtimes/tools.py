"""Runs the tools that prepare packages (npm, uv): in a session of their own, watched line by line.

Their output goes to the service's prepare.log and, the last line at a time, to whoever asks for progress. A
cancelled run leaves no process; a failed one raises with the tool's own last words.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anyio.abc import Process

    from runtimes.base import Progress

#: What of the node's own environment a tool may see: where packages come from, and how to reach it.
_PASSED_ON = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_PREFIXES = ("npm_config_", "uv_", "pip_", "node_extra_ca_certs", "requests_ca_bundle")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_LAST_WORDS = 6
_LONGEST_LINE = 400


def tool_environment(path: Sequence[str] = (), **more: str) -> dict[str, str]:
    """The node's settings for package registries and proxies, and little else."""
    passed = {name: value for name, value in os.environ.items() if _is_passed_on(name)}
    passed["PATH"] = os.pathsep.join([*path, passed.get("PATH", os.defpath)])
    return {**passed, **more}


def _is_passed_on(name: str) -> bool:
    small = name.lower()
    return name in _PASSED_ON or small in _PROXIES or small.startswith(_PASSED_PREFIXES)


async def run_tool(
    what: str,
    line: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    progress: Progress,
) -> None:
    """Runs to the end. Raises RuntimeFailure when it fails; `what` names the step for people."""
    progress(what)
    try:
        process = await anyio.open_process(
            line,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise RuntimeFailure("PrepareFailed", f"{what}: cannot run {line[0]}: {error.strerror}") from error
    words: deque[str] = deque(maxlen=_LAST_WORDS)
    try:
        await _read(process, log, words, f"{what}: ", progress)
        code = await process.wait()
    finally:
        await _end(process)
    if code != 0:
        said = " | ".join(words) or "it said nothing"
        raise RuntimeFailure(
            "PrepareFailed",
            f"{what} failed with status {code}: {said}",
            hint=f"the whole output: {log}",
        )


async def _read(process: Process, log: Path, words: deque[str], prefix: str, progress: Progress) -> None:
    assert process.stdout is not None
    rest = b""
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb", buffering=0) as file:
        async for chunk in process.stdout:
            file.write(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in [*lines, *([rest] if len(rest) > _LONGEST_LINE else [])]:
                if text := _printable(line):
                    words.append(text)
                    progress(prefix + text)
    if text := _printable(rest):
        words.append(text)


def _printable(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return "".join(character for character in text if character.isprintable())[:_LONGEST_LINE]


async def _end(process: Process) -> None:
    """Whatever the tool forked ends with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True):
        await process.aclose()
