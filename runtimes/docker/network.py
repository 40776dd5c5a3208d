"""The networks of a node's containers. On none but a project's does a container reach another one.

`private` leads nowhere but to this machine; `published` lets in what is published, and nothing comes back
from other machines for what a container begins itself (its address is not translated); `egress` leads out,
and so does the network of each project.

Podman separates networks, and not the containers on one: there each service has networks of its own. What is
published has a way out there, so it has to be asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import PermanentFailure
from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.labels import NODE, of_node

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from manifests.model.manifest import Manifest
    from runtimes.docker.engine import Engine

#: Begins the kind of a project's network.
PROJECT = "project_"
_BRIDGE = "com.docker.network.bridge"


class Networks:
    """Made when the first container needs them."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._node = node
        self._made: set[str] = set()
        # Engines check for a name and take it in two steps: asked twice at a time they make two of it.
        self._one_at_a_time = anyio.Lock()

    async def kind(self, manifest: Manifest) -> str:
        """Which of the node's networks a service is on; "" for none. Raises RuntimeFailure."""
        if manifest.network != "bridge":
            return ""
        kind = network_kind(manifest)
        if kind.startswith(PROJECT) or not await self._engine.is_podman():
            return kind
        if kind == "published":
            raise PermanentFailure(
                "EgressUnavoidable",
                "Podman gives what publishes a port a way out to other machines",
                hint="write egress: true if that is all right, or leave publish out and use the router",
            )
        return f"{kind}_{manifest.id}"

    async def ensure(self, kind: str) -> None:
        """Raises RuntimeFailure or RuntimeUnavailable."""
        async with self._one_at_a_time:
            if kind not in self._made:
                await self._make(kind)
                self._made.add(kind)

    async def _make(self, kind: str) -> None:
        try:
            await self._engine.call("POST", "/networks/create", body=network(self._node, kind))
        except EngineAnswer as answer:
            # Podman has no status of its own for it.
            if not (answer.conflict or "already" in answer.message):
                raise other_failure(answer, f"the network for {kind} services cannot be made") from answer

    def forget(self) -> None:
        """They may have been removed meanwhile."""
        self._made.clear()

    async def remove(self, needed: Callable[[], Collection[str] | None] = lambda: ()) -> None:
        """Those that no container is on any more. What else the engine has is not looked at.

        `needed`: their names, None when that cannot be known now. Docker refuses to remove a network that is
        used, but gives away the one of a container that is about to start; Podman removes any.
        """
        async with self._one_at_a_time:
            self.forget()
            found = await self._engine.call("GET", "/networks", query={"filters": of_node(self._node)})
            for each in found:
                names = needed()
                if names is not None and each["Name"] not in names:
                    await self._remove(each["Id"])

    async def _remove(self, network_id: str) -> None:
        try:
            await self._engine.call("DELETE", f"/networks/{network_id}")
        except EngineAnswer as answer:
            if answer.status not in (403, 404, 409):
                raise


def network_kind(manifest: Manifest) -> str:
    """`private`, `published`, `egress`, or that of its project."""
    if manifest.project is not None:
        return f"{PROJECT}{manifest.project.name}"
    if manifest.egress:
        return "egress"
    return "published" if manifest.publish else "private"


def network_name(node: str, kind: str) -> str:
    """The engine's name of a network, unique among all nodes of an engine."""
    return f"atek-{node[:8]}-{kind}"


def network(node: str, kind: str) -> dict[str, Any]:
    """The body of `POST /networks/create`."""
    leads_out = kind.startswith(("egress", PROJECT))
    return {
        "Name": network_name(node, kind),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": kind.startswith("private"),
        "Labels": {NODE: node},
        "Options": {
            f"{_BRIDGE}.enable_icc": "true" if kind.startswith(PROJECT) else "false",
            f"{_BRIDGE}.enable_ip_masquerade": "true" if leads_out else "false",
        },
    }
