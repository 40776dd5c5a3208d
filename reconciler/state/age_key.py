"""The node's age identity: `state/age.key`, made once, for this user alone.

The file is as age-keygen writes it, so that `SOPS_AGE_KEY_FILE` and `age -i` take it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "state/age.key"


def read_identity(home: Path) -> str | None:
    """The secret key; None where no node has made one yet. Raises UserError."""
    file = home / FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, encoding="ascii", errors="replace") as opened:
            if os.fstat(descriptor).st_mode & 0o077:
                raise UserError(f"{file} can be read by others", hint=f"chmod 600 {file}, if nobody did")
            lines = [line.strip() for line in opened]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}", hint="use the node's own account"
        ) from error
    found = next((line for line in lines if line.startswith("AGE-SECRET-KEY-")), None)
    if found is None:
        raise UserError(
            f"{file} has no age identity: what is encrypted for this node cannot be read",
            hint="restore it from a backup; or delete it for a new one, and encrypt the files again",
        )
    return found


def ensure_identity(home: Path) -> str:
    """The same, made the first time. Raises UserError."""
    if (found := read_identity(home)) is not None:
        return found
    from manifests.sops import age

    identity = age.new_identity()
    try:
        _make(home / FILE, f"# public key: {age.recipient_of(identity)}\n{identity}\n")
    except OSError as error:
        raise UserError(f"{home / FILE} cannot be written: {error.strerror or error}") from error
    # Another process may have been first.
    return read_identity(home) or identity


def recipient(home: Path) -> str:
    """For whom files are encrypted that this node is to read. Raises UserError."""
    from manifests.sops import age

    return age.recipient_of(ensure_identity(home))


def _make(file: Path, text: str) -> None:
    """Whole or not at all, and never in the place of one that is there."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(new, file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        new.unlink(missing_ok=True)
