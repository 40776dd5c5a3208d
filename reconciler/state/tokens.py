"""Bearer tokens: those of instances, the administrators', and those that only read how the node does.

An instance's token is made when it is started, known to it and to the router alone, and good for nothing once
it has ended. The administrators' are in `state/admin.token` in the node's home, one a line, and those for
monitoring in `state/read-only.token`.

The node makes the first one by itself; a person may add lines, and take some away again. Who has a line of
the former may do everything, so the files are their owner's alone: one that others can read is refused,
because whoever could read it may have done so.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

from manifests.files import write_atomically
from reconciler.errors import UserError
from runtimes.router.decide.table import INSTANCE_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

#: The administrators' tokens, and those of who may read.
ADMIN, READ_ONLY = "admin.token", "read-only.token"
_TOKEN_BYTES = 32
# What can be sent in a header as it is, and is too long to be guessed.
_TOKEN = re.compile(r"[\x21-\x7e]{16,}")


def new_token() -> str:
    """An instance's. Its form says what it is, so that nobody passes it on who does not know whose it is."""
    return INSTANCE_PREFIX + secrets.token_hex(_TOKEN_BYTES)


def token_file(home: Path, name: str = ADMIN) -> Path:
    return home / "state" / name


def ensure_tokens(home: Path, name: str = ADMIN) -> tuple[str, ...]:
    """All tokens; makes the first one. Call it only while holding the home. Raises UserError."""
    tokens = read_tokens(home, name)
    if not tokens:
        tokens = (secrets.token_hex(_TOKEN_BYTES),)
        write_atomically(token_file(home, name), f"{tokens[0]}\n".encode())
    return tokens


def read_tokens(home: Path, name: str = ADMIN) -> tuple[str, ...]:
    """All tokens, the oldest first; empty where no node has run yet. Raises UserError."""
    file = token_file(home, name)
    text = _read(file)
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not _TOKEN.fullmatch(line):
            raise UserError(
                f"{file}:{number}: a token has at least 16 characters, ASCII without spaces",
                hint="`openssl rand -hex 32` makes one",
            )
    return tuple(line for line in lines if line)


def _read(file: Path) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except PermissionError as error:
        hint = "use the account that started the node, or root"
        raise UserError(f"{file} belongs to another user", hint=hint) from error
    with open(descriptor, encoding="ascii", errors="replace") as opened:
        if os.fstat(descriptor).st_mode & 0o077:
            raise UserError(
                f"{file} can be read by others",
                hint="delete it: the next start of the node makes a new token. Or, if nobody else can have "
                f"read it, chmod 600 {file}",
            )
        return opened.read()
