"""The node as its listeners see it: what health, control and metrics may ask of it.

`Node` in `node.py` is the real one. Nothing here knows how services are converged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from reconciler.decide.event import Events
    from reconciler.drive.granting import Granting
    from reconciler.drive.metrics import Metrics
    from reconciler.gitops.port import Git
    from reconciler.peers.port import Nodes
    from reconciler.people.port import People
    from reconciler.remote.port import Remote
    from runtimes.router.port import Router


class Notifications(Protocol):
    """Whom the node tells what; `reconciler.notify.notifier` is the real one."""

    async def run(self, node: NodeApi) -> None:
        """Tells people what happens, until cancelled."""
        ...

    def status(self) -> list[dict[str, Any]]:
        """Of each address: where it is, what it wants, what it is owed, and how it went last."""
        ...

    async def test(self) -> list[dict[str, Any]]:
        """Sends a message to each address at once; like `status`, with how that went."""
        ...


class NoNotifications:
    """Nobody wants to be told anything."""

    async def run(self, node: NodeApi) -> None:
        """Nothing to do."""

    def status(self) -> list[dict[str, Any]]:
        """Of no address."""
        return []

    async def test(self) -> list[dict[str, Any]]:
        """To no address."""
        return []


class Updates(Protocol):
    """Newer releases of services; `reconciler.drive.updates` is the real one."""

    async def run(self, host: Any) -> None:
        """Looks for them, and takes them as manifests say, until cancelled."""
        ...

    def waiting(self) -> list[dict[str, Any]]:
        """What is newer than what runs, and not taken: of which service, which, and why."""
        ...

    async def take(self, service_id: str) -> dict[str, Any]:
        """Moves a service to its newest release; from which to which. Raises UserError."""
        ...


class NoUpdates:
    """Nothing here has releases."""

    async def run(self, host: Any) -> None:
        """Nothing to do."""

    def waiting(self) -> list[dict[str, Any]]:
        """Of no service."""
        return []

    async def take(self, service_id: str) -> dict[str, Any]:
        """There is none."""
        raise UserError(f"{service_id} has no releases to choose from")


class Lan(Protocol):
    """Where else than on loopback the node is reached; `reconciler.lan.keeper` is the real one."""

    async def run(self, node: Any) -> None:
        """Opens and closes it as is wanted, until cancelled."""
        ...

    def problems(self) -> list[str]:
        """What a person should know of it."""
        ...

    def conditions(self, service_id: str) -> list[dict[str, Any]]:
        """Of a service's own port, as they are written down; nothing where it is as it should be."""
        ...

    def addresses(self, service_id: str) -> list[str]:
        """URLs of a service's own port."""
        ...

    def urls(self) -> list[str]:
        """Of the node itself, for other machines; the one for people first."""
        ...


class LoopbackOnly:
    """For a node that nobody else reaches."""

    async def run(self, node: Any) -> None:
        """Nothing to do."""

    def problems(self) -> list[str]:
        return []

    def conditions(self, service_id: str) -> list[dict[str, Any]]:
        return []

    def addresses(self, service_id: str) -> list[str]:
        return []

    def urls(self) -> list[str]:
        return []


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

    @property
    def git(self) -> Git:
        """Its Git sources."""
        ...

    @property
    def updates(self) -> Updates:
        """Newer releases of its services."""
        ...

    @property
    def notifications(self) -> Notifications:
        """Whom it tells what."""
        ...

    @property
    def people(self) -> People:
        """Who lives here, and where they are signed in."""
        ...

    @property
    def remote(self) -> Remote:
        """Which devices reach it from afar."""
        ...

    @property
    def granting(self) -> Granting:
        """What others' services ask of this machine for, and what a person granted them."""
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
