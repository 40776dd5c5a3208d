"""A client's connection, as the clocks see it and whatever ends many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Connection(Protocol):
    """`peer` is the client's address, empty on a Unix socket; `scheme` is https where it speaks TLS.

    `device` is the key of the one at a tunnel's other end, empty for anybody else. `used`: when it had its
    last answer.
    """

    peer: str
    device: str
    scheme: bytes
    used: float
    send: Callable[[bytes | memoryview], None]

    @property
    def waits(self) -> bool:
        """Whether nothing is in flight, not even half a request."""
        ...

    def close(self) -> None:
        """Ends it once it was sent what is on its way."""
        ...

    def abort_all(self) -> None:
        """Ends it, whatever it is doing."""
        ...

    def too_slow(self) -> None:
        """The head, or the rest of a body, did not come in time."""
        ...
