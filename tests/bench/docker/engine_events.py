"""What the engine announces, with its own clock: the same stop-watch for everybody who starts containers."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that anything may take on a busy machine.
PATIENCE = 300.0
_NANO = 1e9


@dataclass(frozen=True)
class Event:
    """`at` is seconds since 1970. `attributes` are the container's labels, and what the event says."""

    action: str
    container: str
    attributes: dict[str, str]
    at: float


class EngineEvents:
    """All events of containers since it was made."""

    def __init__(self, path: str) -> None:
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._connection = _UnixConnection(path)
        self._connection.request("GET", "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D")
        self._answer = self._connection.getresponse()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def close(self) -> None:
        """Nothing more is heard."""
        with suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._listening.join()
        self._answer.close()
        self._connection.close()

    def forget(self) -> None:
        """What happened up to now."""
        with self._changed:
            self._events.clear()

    def first(self, action: str, **attributes: str) -> Event:
        """The first of these that is not forgotten; waits for it. Names are written with `_` for `.`."""
        return self.all(1, action, **attributes)[0]

    def all(self, count: int, action: str, **attributes: str) -> list[Event]:
        """Waits until there are so many."""
        wanted = {name.replace("_", "."): value for name, value in attributes.items()}
        found: list[Event] = []

        def enough() -> bool:
            found[:] = [each for each in self._events if _is(each, action, wanted)]
            return len(found) >= count

        self._wait(enough, f"{count} times {action} of {attributes or 'containers'}")
        return found

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(holds, PATIENCE):
                raise SystemExit(f"the engine did not announce {what} within {PATIENCE:g} s")

    def _listen(self) -> None:
        while line := self._answer.readline():
            said = json.loads(line)
            actor: dict[str, Any] = said["Actor"]
            event = Event(said["Action"], actor["ID"], actor["Attributes"], said["timeNano"] / _NANO)
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()


def now() -> float:
    """On the clock that the engine uses, too."""
    return time.time_ns() / _NANO


def _is(event: Event, action: str, wanted: dict[str, str]) -> bool:
    return event.action == action and wanted.items() <= event.attributes.items()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)
