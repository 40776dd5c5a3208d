"""The node as its listeners see it: what health, control and metrics may ask of it.

`Node` in `node.py` is the real one. Nothing here knows how services are converged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from reconciler.drive.metrics import Metrics
    from reconciler.peers.port import Nodes
    from runtimes.router.port import Router


class UserError(Exception):
    """What a person asked for cannot be done: one sentence, and a hint."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One thing that happened. `time` is wall-clock seconds, `service` empty for the node itself."""

    time: float
    service: str
    reason: str
    message: str
    instance: str = ""
    warning: bool = False


class Events(Protocol):
    """The last events, and those to come."""

    def recent(self, limit: int = 200) -> Sequence[EventRecord]: ...

    def subscribe(self) -> AbstractContextManager[AsyncIterator[EventRecord]]:
        """Events from now on; a reader that is too slow loses the oldest, never delays the node."""
        ...


class NodeApi(Protocol):
    """A running node."""

    @property
    def events(self) -> Events: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def router(self) -> Router: ...

    @property
    def nodes(self) -> Nodes:
        """Its databases, and the other nodes that it follows."""
        ...

    def status(self) -> dict[str, Any]:
        """The value of `atek status --json`."""
        ...

    async def look_at_kept(self, service_id: str) -> None:
        """What `status` says about what the service has kept is true once this returns."""
        ...

    def unready(self) -> dict[str, str]:
        """Id → why, for each service that should be Ready and is not; empty when all is well.

        The key "" stands for the node itself (its sources are not read yet).
        """
        ...

    async def stop_service(self, service_id: str) -> None:
        """A person's stop, kept across restarts once this returns. Raises UserError."""
        ...

    async def start_service(self, service_id: str) -> None:
        """Undoes a stop, and tries again at once what was given up. Raises UserError."""
        ...

    async def restart_service(self, service_id: str) -> None:
        """Replaces the running instances as a new revision would. Raises UserError."""
        ...

    async def adopt_data(self, service_id: str) -> None:
        """Lets a service have the data that one of another owner left under its id. Raises UserError."""
        ...

    def shut_down(self) -> None:
        """Asks the node to stop its services and end; `atek down`, Ctrl-C and SIGTERM.

        Called again it does not wait for grace periods any longer: services that are left are killed.
        """
        ...


if TYPE_CHECKING:
    #: What `atek up` runs beside the node: begun once the listeners are open, cancelled with the node.
    Console = Callable[[NodeApi], Coroutine[Any, Any, None]]
