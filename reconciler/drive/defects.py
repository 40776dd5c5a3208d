"""What nobody thought of, as a condition of the one service that it concerns; the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from manifests.model.base import printable
from manifests.model.snapshot import INTERNAL_ERROR
from reconciler.decide.conditions import Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Seconds until that is tried again which failed for a reason that nobody thought of.
AGAIN = 5.0
_LONGEST = 500


def defect(error: Exception) -> Verdict:
    """The reason and the message of an exception that should not have come."""
    return Verdict(INTERNAL_ERROR, printable(f"{type(error).__name__}: {error}", _LONGEST))


def innermost(error: Exception) -> Exception:
    """What failed, where it failed in one of several tasks."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def keep_going(run: Callable[[], Awaitable[None]], failed: Callable[[Exception], object]) -> None:
    """Runs it, and after a defect again, until it returns or is cancelled."""
    while True:
        try:
            await run()
            return
        except Exception as error:
            failed(innermost(error))
        await anyio.sleep(AGAIN)
