"""Tasks that are needed as long as the node runs, and go on after what nobody thought of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from reconciler.decide.internal_error import innermost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Seconds until that is tried again which failed for a reason that nobody thought of.
AGAIN = 5.0


async def keep_going(run: Callable[[], Awaitable[None]], failed: Callable[[Exception], object]) -> None:
    """Runs it, and after an internal error again, until it returns or is cancelled."""
    while True:
        try:
            await run()
            return
        except Exception as error:
            failed(innermost(error))
        await anyio.sleep(AGAIN)
