"""People who sign: with SSH keys, and with GPG keys of a home of their own."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runtimes.packages.git_server import Repository


@dataclass(frozen=True)
class SshSigner:
    name: str
    key: Path

    @property
    def public(self) -> str:
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def allowed(self, options: str = "") -> str:
        """A line for a file of allowed signers."""
        return f"{self.name} {options}{' ' if options else ''}{self.public}\n"

    def sign(self, origin: Repository) -> None:
        """From now on each commit and tag of that work tree is signed with this key."""
        for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(self.key)), *_ON):
            origin.git("config", name, value)


_ON = (("commit.gpgSign", "true"), ("tag.gpgSign", "true"))


def ssh_signer(folder: Path, name: str) -> SshSigner:
    key = folder / f"key-{name}"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key))
    return SshSigner(f"{name}@example.com", key)


def sign_nothing(origin: Repository) -> None:
    for name, _ in _ON:
        origin.git("config", name, "false")


@dataclass(frozen=True)
class GpgSigner:
    home: Path
    fingerprint: str

    def exported(self) -> str:
        return self.gpg("--armor", "--export", self.fingerprint)

    def sign(self, origin: Repository) -> None:
        # The time of a test, not of the machine, may be another than the key's.
        program = self.home / "gpg"
        program.write_text(f'#!/bin/sh\nGNUPGHOME={self.home} exec gpg --batch "$@"\n')
        program.chmod(0o700)
        settings = (("gpg.format", "openpgp"), ("gpg.program", str(program)))
        for name, value in (*settings, ("user.signingKey", self.fingerprint), *_ON):
            origin.git("config", name, value)

    def gpg(self, *arguments: str) -> str:
        return run("gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments)


@contextmanager
def gpg_signer(home: Path, name: str, expires: str = "never", *more: str) -> Iterator[GpgSigner]:
    home.mkdir(mode=0o700)
    signer = GpgSigner(home, "")
    try:
        signer.gpg("--passphrase", "", *more, "--quick-gen-key", name, "ed25519", "sign", expires)
        listed = signer.gpg("--with-colons", "--list-keys")
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        yield GpgSigner(home, fingerprint)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


def run(*line: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
