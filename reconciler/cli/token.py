"""`atek token`: an administrator's bearer token, for scripts; `--read-only`: one for monitoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.output import short_path
from reconciler.errors import UserError
from reconciler.state.tokens import ADMIN, READ_ONLY, read_tokens

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Works without a running node too. Raises UserError when none has run here yet."""
    print(
        _first(arguments.home, READ_ONLY, "read-only") if arguments.read_only else admin_token(arguments.home)
    )
    return 0


def admin_token(home: Path) -> str:
    """The first token of the home. Raises UserError."""
    return _first(home, ADMIN, "administrator's")


def _first(home: Path, name: str, what: str) -> str:
    tokens = read_tokens(home, name)
    if not tokens:
        raise UserError(
            f"{short_path(home)} has no {what} token yet",
            hint="the next `atek up` makes one; --home names another home",
        )
    return tokens[0]
