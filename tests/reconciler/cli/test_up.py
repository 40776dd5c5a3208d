"""`atek up` in its terminal: what it prints, what Ctrl-C does, and that no terminal can hold it up."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def up(
    *words: str, stdout: int = subprocess.PIPE, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.reconciler.fake_up", "up", *words]
    env = os.environ | (environment or {})
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stream(of: IO[str] | None) -> IO[str]:
    assert of is not None
    return of


def test_it_says_who_it_is_and_what_happens(tmp_path: Path) -> None:
    with up("--port", "4000", str(tmp_path), "x.yaml") as process:
        out = stream(process.stdout)
        assert out.readline() == "atek 0.1.0: node pi on http://localhost:2835, home /home/pi/.atek\n"
        ready = out.readline()
        assert re.match(r"\d\d:\d\d:\d\d notes     Ready  +4000 ", ready)
        assert f"['{tmp_path}', '{os.path.abspath('x.yaml')}']" in ready


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    with up() as process:
        out = stream(process.stdout)
        assert "Ready" in out.readline() + out.readline()
        process.send_signal(number)
        asked = out.readline() + (out.readline() if number == signal.SIGINT else "")
        assert "request 1" in asked
        process.send_signal(number)
        assert process.wait(10) == 0
        assert "request 2" in out.read() or number == signal.SIGINT
        assert stream(process.stderr).read() == ""


def test_what_keeps_it_from_starting_is_one_sentence() -> None:
    with up(environment={"REFUSE": "1"}) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err == "atek: port 2835 is in use\nhint: choose another with --port\n"


def test_a_terminal_that_stands_still_does_not_hold_up_the_node() -> None:
    with up(environment={"CROWD": "2000"}) as process:
        # Nobody reads stdout: two megabytes do not fit into a pipe.
        assert stream(process.stderr).readline().startswith("told in ")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_reader_that_leaves_does_not_end_the_node() -> None:
    with up() as process:
        stream(process.stdout).readline()
        stream(process.stdout).close()
        process.stdout = None
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert stream(process.stderr).read() == ""


def test_colour_only_on_a_terminal() -> None:
    for environment, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        try:
            with up(stdout=theirs, environment={"NO_COLOR": ""} | environment):
                text = b""
                while b"Ready" not in text or not text.endswith(b"\n"):
                    text += os.read(ours, 4096)
            assert (b"\x1b[32mReady" in text) is coloured
        finally:
            os.close(ours)
            os.close(theirs)
