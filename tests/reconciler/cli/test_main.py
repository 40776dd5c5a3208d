"""The command line as a whole: its words, its errors, its output on odd terminals."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import as_user_error, main
from reconciler.cli.event_lines import EventLines
from reconciler.cli.output import clean, clean_log_line, cut, short_path, table, width_of
from reconciler.decide.event import EventRecord
from reconciler.errors import UserError
from reconciler.state import home
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode, service, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKER = """
import fcntl, signal, sys, time
file = open(sys.argv[1], "w+")
fcntl.flock(file, fcntl.LOCK_EX)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("held", flush=True)
signal.sigwait({signal.SIGTERM})
time.sleep(0.3)
"""


@pytest.fixture
def node(atek: Atek) -> Iterator[FakeNode]:
    fake = FakeNode()
    fake.add(service("notes"), service("wiki"))
    with running_node(atek.home, fake):
        yield fake


# Words


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    commands = "up down plan status logs events apply delete stop start restart doctor"
    for command in commands.split():
        assert f"    {command} " in text
    assert "examples:" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("atek 0.")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["stauts"],
        ["up", "--port", "70000"],
        ["up", "--port", "x"],
        ["logs"],
        ["logs", "notes", "-n", "-3"],
        ["stop", "notes", "--wait", "soon"],
        ["stop", "notes", "--wait", "3", "--no-wait"],
        ["status", "a", "b"],
        ["apply"],
    ],
)
def test_wrong_usage_exits_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 2
    assert "usage: atek" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["down"], ["status"], ["events"], ["stop", "x"], ["start", "x"]])
def test_without_a_node_a_person_is_told_how_to_start_one(atek: Atek, words: list[str]) -> None:
    result = atek(*words)
    assert result.status == 1
    assert result.out == ""
    first, second = result.err.splitlines()
    assert first == f"atek: no node runs on {atek.home}"
    assert second.startswith("hint: `atek up` starts one")


def test_a_dead_nodes_socket_is_no_node(atek: Atek) -> None:
    with running_node(atek.home, FakeNode()):
        os.link(atek.home / "run" / "control.sock", atek.home / "run" / "left.sock")
    (atek.home / "run" / "control.sock").unlink(missing_ok=True)
    (atek.home / "run" / "left.sock").rename(atek.home / "run" / "control.sock")
    assert "no node runs" in atek("status").err


def test_the_home_comes_from_the_environment(
    node: FakeNode, atek: Atek, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATEK_HOME", str(atek.home))
    assert main(["status"]) == 0
    monkeypatch.setenv("ATEK_HOME", str(atek.home / "other"))
    assert main(["status"]) == 1
    assert main(["--home", str(atek.home), "status"]) == 0


def test_faults_are_one_sentence_unless_asked_for(
    atek: Atek, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.status._text", lambda *_: 1 / 0)
    result = atek("status")
    assert result.status == 1
    assert result.err.startswith("atek: something unexpected went wrong (ZeroDivisionError")
    assert "Traceback" not in result.err
    monkeypatch.setenv("ATEK_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        atek("status")


def test_the_persons_error_is_found_in_a_group() -> None:
    asked = UserError("port 1 is in use", hint="choose another")
    group = BaseExceptionGroup("", [ValueError(), ExceptionGroup("", [asked])])
    assert as_user_error(BaseExceptionGroup("", [ExceptionGroup("", [asked])])) is asked
    assert as_user_error(group).message.startswith("something unexpected")


def test_a_closed_pipe_is_silent(node: FakeNode, atek: Atek) -> None:
    for number in range(1000):
        node.emit("notes", "Ready", f"{number} {'x' * 200}")
    command = [sys.executable, "-m", "reconciler.cli", "events", "-n", "1000", "--home", str(atek.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(20)
    assert process.returncode == 141


@pytest.mark.parametrize("words", [["status"], ["--help"], ["events"]])
def test_a_pipe_that_was_never_read_is_silent(node: FakeNode, atek: Atek, words: list[str]) -> None:
    node.emit("notes", "Ready")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "reconciler.cli", "--home", str(atek.home), *words]
    # Buffered, as for everyone: the pipe breaks only when the interpreter or `main` flushes.
    env = os.environ | {"PYTHONUNBUFFERED": ""}
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, timeout=20, check=False, env=env
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


# Down, events, stop, start, restart


def test_down_waits_until_the_home_is_free(atek: Atek, node: FakeNode) -> None:
    lock = atek.home / "state" / "lock"
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", LOCKER, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        node.process = holder
        result = atek("down")
        assert result.status == 0
        assert result.out == f"the node on {atek.home} has ended\n"
        assert home.holder(atek.home) is None
    assert node.shut_downs == 1


def test_a_node_that_is_gone_before_it_could_answer_is_down(atek: Atek) -> None:
    (atek.home / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(atek.home / "run" / "control.sock"))
        listener.listen()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(hang_up, listener)
            assert atek("down").status == 0


def hang_up(listener: socket.socket) -> None:
    """On the client's look whether anyone is there, and on its request."""
    for wanted in (b"", b"down"):
        connection, _ = listener.accept()
        with connection:
            received = connection.recv(65536)
            while wanted and wanted not in received:
                received += connection.recv(65536)


def test_events(atek: Atek, node: FakeNode) -> None:
    for number in range(3):
        node.emit("notes", "Ready", f"number {number}\x1b[2J\nmore")
    node.emit("", "Listening", "on port 2835")
    lines = atek("events", "-n", "2").out.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("notes     Ready             number 2 more")
    assert lines[1].endswith("node      Listening         on port 2835")


def test_events_are_followed_until_the_node_ends(atek: Atek) -> None:
    fake = FakeNode()
    command = [sys.executable, "-m", "reconciler.cli", "events", "-f", "--home", str(atek.home)]
    with running_node(atek.home, fake):
        fake.emit("notes", "Started", "before")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert "before" in process.stdout.readline()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("atek: the node ended")


def test_stop_waits_for_the_end(atek: Atek, node: FakeNode) -> None:
    result = atek("stop", "notes")
    assert (result.status, result.out) == (0, "notes is stopped\n")
    node.stop_takes = 1
    late = atek("stop", "wiki", "--wait", "0.1")
    assert late.status == 1
    assert late.err.startswith("atek: wiki is not stopped after 0.1 s")
    asked = atek("stop", "wiki", "--no-wait")
    assert (asked.status, asked.out) == (0, "wiki is asked to stop\n")


def test_start_waits_until_ready_and_gives_up_when_the_node_does(atek: Atek, node: FakeNode) -> None:
    node.add(stopped(service("notes")))
    assert atek("start", "notes").out == "notes is ready\n"
    stalled = service("wiki", ready=False)
    stalled["conditions"][2] |= {"status": "True", "reason": "HealthyDeadlineExceeded", "message": "60 s"}
    node.after_start["wiki"] = stalled
    result = atek("start", "wiki")
    assert result.status == 1
    assert result.err.startswith("atek: wiki: HealthyDeadlineExceeded: 60 s")


def test_restart_waits_for_other_instances(atek: Atek, node: FakeNode) -> None:
    assert atek("restart", "notes").out == "notes is ready\n"
    assert node.services["notes"]["instances"][0]["instance"] == "new.2"
    node.stop_takes = 1
    late = atek("restart", "wiki", "--wait", "0.1")
    assert late.status == 1
    assert late.err.startswith("atek: wiki is not restarted after 0.1 s")


def test_an_unknown_id_gets_the_nearest(atek: Atek, node: FakeNode) -> None:
    for words in (["status", "note"], ["stop", "note"], ["restart", "note"]):
        result = atek(*words)
        assert result.status == 1
        assert result.err == "atek: there is no service note\nhint: did you mean notes?\n"


# Text


@given(st.text())
def test_nothing_can_command_the_terminal(text: str) -> None:
    for cleaned in (clean(text), clean_log_line(text).replace("\t", "")):
        assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in cleaned.replace("\x1b[0m", ""))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jc1", "c1"),
        ("two\r\nlines", "two  lines"),
        ("\u202egnirts", "gnirts"),
        ("\x1b", ""),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_log_lines_keep_their_colours_and_nothing_else() -> None:
    assert clean_log_line("\x1b[31mred\x1b[2J\tx") == "\x1b[31mred\tx\x1b[0m"
    assert clean_log_line("a\x1b]52;c;aGk=\x07b") == "ab"


def test_tables_are_aligned_also_with_wide_letters() -> None:
    lines = table(("A", "B"), [("日本", "x"), ("abcde", "y" * 50)], width=20)
    assert lines == ["A      B", "日本   x", "abcde  yyyyyyyyyyyy…"]
    assert [width_of(line) for line in lines] == [8, 8, 20]
    assert cut("abc", 3) == "abc"


def test_paths_are_shortened() -> None:
    own = os.path.expanduser("~").rstrip("/")
    assert short_path(f"{own}/.atek") == "~/.atek"
    assert short_path(f"{own}-other/x") == f"{own}-other/x"


def test_event_lines_with_colour() -> None:
    lines = EventLines(colour=True)
    assert "\x1b[32mReady" in lines.line(EventRecord(0, "a", "Ready", ""))
    assert "\x1b[31mFailed" in lines.line(EventRecord(0, "a", "Failed", "x", warning=True))
