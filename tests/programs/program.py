"""What there is to say about a program so that it can be taken through its life: a manifest, and requests."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tests.programs.trial import Trial

#: Asks the service with this id something; raises AssertionError for another answer than it should give.
Check: TypeAlias = Callable[["Trial", str], None]


@dataclass(frozen=True)
class Program:
    """One service. `files` are its package's; without any it is a command that a Debian package brings."""

    name: str
    version: str
    command: list[str]
    answers: Check
    files: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=lambda: {"port": "auto"})
    #: Puts something there, and finds it again; programs that keep nothing have neither.
    writes: Check | None = None
    reads: Check | None = None
    #: A command, and the Debian package that brings it; `version` is then left empty.
    debian: tuple[str, str] | None = None

    @property
    def id(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


def http(path: str, expected: str = "", *, method: str = "GET", body: str = "", **headers: str) -> Check:
    """Through the router: a status below 400, and an answer that contains what is expected."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def check(trial: Trial, service_id: str) -> None:
        status, text = trial.ask(service_id, path, method=method, body=body or None, headers=named)
        assert status < 400 and expected in text, f"{method} {path}: {status} {text[:1000]}"

    return check


def after(*checks: Check) -> Check:
    """One after another."""

    def check(trial: Trial, service_id: str) -> None:
        for each in checks:
            each(trial, service_id)

    return check


def tcp(said: str, expected: str) -> Check:
    """At the program's own port, until it has answered and closed the connection."""

    def check(trial: Trial, service_id: str) -> None:
        with socket.create_connection(("127.0.0.1", trial.port(service_id)), timeout=30) as connection:
            connection.sendall(said.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        assert expected in answer, answer

    return check


def command(*words: str, expected: str = "", input: str | None = None) -> Check:
    """A command with PORT for the program's own port: its output contains what is expected."""

    def check(trial: Trial, service_id: str) -> None:
        port = str(trial.port(service_id))
        filled = [word.replace("PORT", port) for word in words]
        done = subprocess.run(filled, capture_output=True, text=True, input=input, timeout=30, check=False)
        assert done.returncode == 0 and expected in done.stdout, f"{done.stdout} {done.stderr}"

    return check
