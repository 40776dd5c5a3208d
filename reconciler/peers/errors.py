"""What Hypercore could not do, as one sentence for a person and a hint."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyper.port import HyperError
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyper.port import Code

_HINTS: dict[Code, str] = {
    "AWAY": "`atek status core.hyper` says why; it is started again by itself",
    "CONFLICT": "this key wrote in two places; the README tells how to repair it",
    "HELD": "after a crash, writes wait a moment for a node that follows this one; try again",
    "NO_SPACE": "free some space on the disk of the home and try again",
    "NOT_SYNCED": "nothing of that node has arrived yet; is it connected?",
    "NOT_WRITABLE": "only the node that it belongs to can change it",
    "TIMEOUT": "is the node that has it connected?",
}


@contextmanager
def for_people() -> Iterator[None]:
    """Translates a `HyperError` that is raised within into a `UserError`."""
    try:
        yield
    except HyperError as error:
        raise as_user_error(error) from error


def as_user_error(error: HyperError) -> UserError:
    message = "the Hypercore daemon is away" if error.code == "AWAY" else error.message
    return UserError(message, hint=error.hint or _HINTS.get(error.code, ""))
