"""`atek logs` and `atek doctor`: what they say; reading logs and checking machines is tested elsewhere."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from runtimes import doctor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek


@dataclass
class Check:
    name: str
    ok: bool
    message: str
    hint: str = ""
    necessary: bool = True


def log(home: Path, service_id: str, name: str = "service.log") -> None:
    folder = home / "logs" / service_id
    folder.mkdir(parents=True)
    (folder / name).write_text("one\ntwo\n")


def test_a_service_without_a_log(atek: Atek) -> None:
    assert "no service of this home was started yet" in atek("logs", "notes").err
    log(atek.home, "notes", "prepare.log")
    assert atek("logs", "note").err == "atek: note has no log here\nhint: did you mean notes?\n"
    unstarted = atek("logs", "notes").err
    assert unstarted.startswith("atek: notes has not been started yet\n")
    assert "--prepare" in unstarted
    log(atek.home, "wiki")
    assert atek("logs", "wiki", "--prepare").err.startswith("atek: wiki was never prepared\n")


@pytest.mark.parametrize("odd", ["..", ".", "", "../logs/notes", "notes/../notes"])
def test_no_other_file_can_be_read(atek: Atek, odd: str) -> None:
    log(atek.home, "notes")
    assert atek("logs", odd).status == 1


def test_no_escape_reaches_a_pipe(atek: Atek) -> None:
    log(atek.home, "notes")
    text = "\x1b[31mred\x1b[0m\ttab\x1b]52;c;aGk=\x07\x1b[2J\x9b5A\rback\x08\u202e\n"
    (atek.home / "logs/notes/service.log").write_text(text)
    assert atek("logs", "notes").out == "red\ttab back\n"


def test_doctor_says_what_is_wrong_and_how_to_mend_it(atek: Atek, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Check("uv", True, "0.6", hint="never shown"),
        Check("bubblewrap", False, "not found", hint="apt install bubblewrap", necessary=False),
    ]
    monkeypatch.setattr(doctor, "check", lambda *_: found)
    result = atek("doctor")
    assert result.status == 0
    assert [line.split() for line in result.out.splitlines()] == [
        ["✓", "uv", "0.6"],
        ["!", "bubblewrap", "not", "found"],
        ["hint:", "apt", "install", "bubblewrap"],
    ]
    found.append(Check("node", False, "no Node 20 or later", hint="install one"))
    result = atek("doctor")
    assert result.status == 1
    assert "✗ node" in result.out


def test_doctor_looks_at_the_port_that_the_node_is_to_have(
    atek: Atek, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        atek.home.mkdir()
        (atek.home / "config.toml").write_text(f"port = {port}\n")
        assert f"port {port} is in use by " in atek("doctor").out
        monkeypatch.setenv("ATEK_PORT", "0")
        assert "any that is free" in atek("doctor").out
        monkeypatch.setenv("ATEK_PORT", str(port))
        (atek.home / "config.toml").write_text("port = 0\n")
        assert f"port {port} is in use by " in atek("doctor").out
    (atek.home / "config.toml").write_text("prot = 1\n")
    result = atek("doctor")
    assert result.status == 1 and "✗ settings" in result.out and "prot" in result.out and "uv" in result.out
    assert "is free" not in result.out, "that would be the default port"
