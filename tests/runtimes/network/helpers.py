"""A network namespace with nothing in it, and what a test does inside of that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Runs what it is sent, a text of Python that is one line of JSON; answers with what that prints.
_AGENT = """
import contextlib, io, json, socket, sys, traceback
socket.setdefaulttimeout(10)
for line in sys.stdin:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(json.loads(line), {})
    except BaseException as error:
        out.write(f"{type(error).__name__}: {error}")
    print(json.dumps(out.getvalue()), flush=True)
"""


class Inside:
    """Somebody in an empty network; `pid` is the first process there."""

    def __init__(self, process: subprocess.Popen[str], pid: int) -> None:
        self._process = process
        self.pid = pid

    async def run(self, code: str) -> str:
        """What this prints inside; an exception's name and text where it raises one."""
        return await anyio.to_thread.run_sync(self._run, code, abandon_on_cancel=True)

    def _run(self, code: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        said: str = json.loads(self._process.stdout.readline())
        return said.strip()


def _python(user: int | None) -> str:
    """Ours may lie where another user cannot look."""
    return "/usr/bin/python3" if user else sys.executable


@contextmanager
def empty_network(
    *words: str, user: int | None = None, hosts: str = "", resolver: str = ""
) -> Iterator[Inside]:
    """Bubblewrap makes it. `user` is who it belongs to, where the test is root."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.fail("the package bubblewrap is missing")
    status, told = os.pipe()
    files = []
    for text, path in ((hosts, "/etc/hosts"), (resolver, "/etc/resolv.conf")):
        if text:
            source, into = os.pipe()
            os.write(into, text.encode())
            os.close(into)
            files += [(source, path)]
    line = [
        *(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []),
        bwrap, "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-user", "--unshare-pid", "--unshare-net",
        *(word for source, path in files for word in ("--ro-bind-data", str(source), path)),
        "--die-with-parent", "--info-fd", str(told), *words, _python(user), "-I", "-c", _AGENT,
    ]  # fmt: skip
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        pass_fds=[told, *(source for source, _ in files)],
    )  # fmt: skip
    for source, _ in files:
        os.close(source)
    os.close(told)
    try:
        said = b""
        while b"}" not in said:
            piece = os.read(status, 4096)
            assert piece, "bubblewrap ended"
            said += piece
        yield Inside(process, json.loads(said)["child-pid"])
    finally:
        os.close(status)
        process.kill()
        process.communicate()
