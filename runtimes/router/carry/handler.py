"""What is done with one request, as its client's connection sees it."""

from __future__ import annotations

from typing import Protocol

#: Bytes of a request's body that wait here before its client has to.
MOST_WAITING = 64 * 1024
#: A body up to this length, in bytes, is read and lost for the sake of the connection.
LONGEST_AWAITED = 64 * 1024


class Handler(Protocol):
    """Told about the client; answers through `Client.send`, then `Client.next` or `Client.finish`."""

    def whole(self, payload: bytes) -> None:
        """The request, with all of its body."""
        ...

    def begin(self) -> None:
        """The request, whose body follows."""
        ...

    def body(self, payload: bytes, *, done: bool) -> None:
        """The next piece of the body, the last time with `done`."""
        ...

    def client_ahead(self, data: bytes) -> None:
        """Bytes after the request, for a handler that took the connection over."""
        ...

    def client_ended(self) -> None:
        """The client will send nothing more: it has left, or it waits for the answer."""
        ...

    def client_lost(self) -> None:
        """Nobody waits for the answer any more."""
        ...

    def client_paused(self) -> None:
        """The client takes no more at the moment."""
        ...

    def client_resumed(self) -> None: ...
