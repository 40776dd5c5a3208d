"""What the control socket may ask about this node from afar. Everything raises `UserError`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import ByteStream

    from reconciler.remote.pairing import State


@dataclass(frozen=True, slots=True)
class Shown:
    """A code as it is shown, and the seconds for which it is good."""

    code: str
    seconds: float


class Remote(Protocol):
    """This node from afar."""

    async def run(self, host: Any) -> None:
        """Lets paired devices in, until cancelled."""
        ...

    async def pair(self, person: str = "") -> Shown:
        """A new code, for a device of that person (by key); the one before is good no more."""
        ...

    def pairing(self) -> tuple[State, str]:
        """What became of the last code, and the name of the device that used it."""
        ...

    async def unpair(self, name: str) -> str:
        """Cuts a device off, by its name or key, and lets it in no more. Its name."""
        ...

    async def devices(self) -> Sequence[dict[str, Any]]:
        """Of each: name, key, person, connections, and when it was paired and last seen (Unix seconds)."""
        ...

    async def greet(self, stream: ByteStream) -> None:
        """Talks to somebody who came to the meeting of a pairing."""
        ...


class NoRemote:
    """A node that nobody reaches from afar."""

    async def run(self, host: Any) -> None:
        """Nothing to do."""

    async def pair(self, person: str = "") -> Shown:
        raise _off()

    def pairing(self) -> tuple[State, str]:
        raise _off()

    async def unpair(self, name: str) -> str:
        raise _off()

    async def devices(self) -> Sequence[dict[str, Any]]:
        raise _off()

    async def greet(self, stream: ByteStream) -> None:
        """Nobody comes."""


def _off() -> UserError:
    return UserError(
        "this node is not reached from afar",
        hint="`enabled = true` under [remote] in config.toml, and where to meet: see hyper/README.md",
    )
