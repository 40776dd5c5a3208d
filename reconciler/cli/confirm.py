"""Asks a person at a terminal before something is done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


def ask(lines: Sequence[str], question: str, *, hint: str) -> None:
    """Shows what it is about, and returns after a yes.

    Raises UserError after anything else, and where nobody sits at a terminal.
    """
    if not sys.stdin.isatty():
        raise UserError("nobody is there to say yes, so nothing was done", hint=hint)
    for line in lines:
        print(line)
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise UserError("nothing was done", hint=hint)
