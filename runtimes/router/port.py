"""What the node may ask of its router, whatever it runs as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.router.decide.table import ServiceRoute, Session


class Router(Protocol):
    """Told at once, without waiting: a router that is away is told everything when it is back."""

    def publish(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        """Replaces the routes of these services; None for one that is gone."""
        ...

    def update_sessions(self, sessions: Mapping[str, Session | None]) -> None:
        """Replaces these sessions of people, by the SHA-256 of the cookie's value in hex (`session_id`).

        None for one that ended: whatever goes on by it, at any host, ends with it. The others stay.
        """
        ...

    def set_private(self, private: bool) -> None:
        """Whether there are people: from then on what is there is for those who are signed in."""
        ...

    async def told(self) -> None:
        """Returns once the router acts by all that it was told; at once while it is away."""
        ...

    async def seen(self) -> list[str]:
        """The sessions by which somebody asked for something since the last call, by their ids."""
        ...

    def set_devices(self, devices: Mapping[str, Session | None]) -> None:
        """Replaces the devices that may come by a tunnel, by their keys, with the session of whose they are.

        Who is not among them any more is cut off.
        """
        ...

    async def drained(self, instance: str, *, hurry: bool = False, restart: bool = False) -> None:
        """Returns once nothing is in flight to an instance that is published no more.

        `hurry`: for a node that ends; WebSockets and event streams, which may never end, do not count and
        are closed. `restart`: another instance serves in its place, or will, so they are closed in the way
        that tells their clients to come again.
        """
        ...

    async def metrics(self) -> str:
        """The router's own metrics in Prometheus' text format; empty while it is away."""
        ...

    async def end(self) -> None:
        """The node ends: every connection closes after its answer, and what might never end is cut off.

        Returns once all that was in flight at the call is answered. Services that still run may go on
        calling each other.
        """
        ...


class NoRouter:
    """For a node that routes nothing: nobody is ever in flight."""

    def publish(self, routes: Mapping[str, ServiceRoute | None]) -> None: ...

    def update_sessions(self, sessions: Mapping[str, Session | None]) -> None: ...

    def set_private(self, private: bool) -> None: ...

    async def told(self) -> None: ...

    async def seen(self) -> list[str]:
        return []

    def set_devices(self, devices: Mapping[str, Session | None]) -> None: ...

    async def drained(self, instance: str, *, hurry: bool = False, restart: bool = False) -> None: ...

    async def metrics(self) -> str:
        return ""

    async def end(self) -> None: ...
