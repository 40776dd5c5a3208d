"""The networks of a node's containers. On none but a project's does a container reach another one.

`private` leads nowhere but to this machine; `published` lets in what is published, and nothing comes back
from other machines for what a container begins itself (its address is not translated); `egress` leads out,
and so does the network of each project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.labels import NODE, of_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.docker.engine import Engine

KINDS = ("private", "published", "egress")
#: Begins the kind of a project's network; no other kind has a `_`.
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
        self.names = {kind: network_name(node, kind) for kind in KINDS}

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
            if not answer.conflict:
                raise other_failure(answer, f"the network for {kind} services cannot be made") from answer

    def forget(self) -> None:
        """They may have been removed meanwhile."""
        self._made.clear()

    async def remove(self, is_starting: Callable[[], object] = lambda: False) -> None:
        """Those that no container is on any more. What else the engine has is not looked at.

        A container that `is_starting` needs one that the engine would still give away.
        """
        async with self._one_at_a_time:
            self.forget()
            found = await self._engine.call("GET", "/networks", query={"filters": of_node(self._node)})
            for each in found:
                if not is_starting():
                    await self._remove(each["Id"])

    async def _remove(self, network_id: str) -> None:
        try:
            await self._engine.call("DELETE", f"/networks/{network_id}")
        except EngineAnswer as answer:
            if answer.status not in (403, 404, 409):
                raise


def network_name(node: str, kind: str) -> str:
    """The engine's name of a network, unique among all nodes of an engine."""
    return f"atek-{node[:8]}-{kind}"


def network(node: str, kind: str) -> dict[str, Any]:
    """The body of `POST /networks/create`."""
    leads_out = kind == "egress" or kind.startswith(PROJECT)
    return {
        "Name": network_name(node, kind),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": kind == "private",
        "Labels": {NODE: node},
        "Options": {
            f"{_BRIDGE}.enable_icc": "true" if kind.startswith(PROJECT) else "false",
            f"{_BRIDGE}.enable_ip_masquerade": "true" if leads_out else "false",
        },
    }
