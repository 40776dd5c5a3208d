"""Waiting for a state of the node: woken by its events, never by a blind loop.

A thread reads the events, so that a caller can wait with a deadline and many events in a row cost one look.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.client import Client

T = TypeVar("T")

# Also look once in a while without an event: not every change of status is told as one.
_LOOK_ANYWAY = 0.5


class Changes:
    """Says when something happened. Begins at once: what happens after the constructor is not missed."""

    def __init__(self, client: Client) -> None:
        self._happened = threading.Event()
        self._connected = threading.Event()
        self.error: Exception | None = None
        threading.Thread(target=self._read, args=(client,), daemon=True, name="events").start()
        self._connected.wait()

    def wait(self, seconds: float) -> bool:
        """Whether something happened since the last call, waiting up to `seconds` for it."""
        happened = self._happened.wait(seconds)
        self._happened.clear()
        return happened

    def _read(self, client: Client) -> None:
        try:
            for _ in client.events():
                self._connected.set()
                self._happened.set()
        except Exception as error:
            self.error = error
        self._connected.set()
        self._happened.set()


def wait_for(
    client: Client,
    look: Callable[[dict[str, Any]], T | None],
    *,
    seconds: float,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> T | None:
    """What `look` makes of the first status it accepts; None when none came in time."""
    changes = Changes(client)
    deadline = time.monotonic() + seconds
    while True:
        status = client.status()
        if (result := look(status)) is not None:
            return result
        if progress is not None:
            progress(status)
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        changes.wait(min(left, _LOOK_ANYWAY))
