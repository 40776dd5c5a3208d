"""`atek token`: an administrator's bearer token, for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.output import short_path
from reconciler.errors import UserError
from reconciler.state.tokens import read_tokens

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Works without a running node too. Raises UserError when none has run here yet."""
    print(admin_token(arguments.home))
    return 0


def admin_token(home: Path) -> str:
    """The first token of the home. Raises UserError."""
    tokens = read_tokens(home)
    if not tokens:
        raise UserError(
            f"{short_path(home)} has no administrator's token yet",
            hint="the first `atek up` makes one; --home names another home",
        )
    return tokens[0]
