"""The networks of a node's containers. On none of them does a container reach another one.

`private` leads nowhere but to this machine; `published` lets in what is published, and nothing comes back
from other machines for what a container begins itself (its address is not translated); `egress` leads out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.labels import NODE, of_node

if TYPE_CHECKING:
    from runtimes.docker.engine import Engine

KINDS = ("private", "published", "egress")
_BRIDGE = "com.docker.network.bridge"


class Networks:
    """Made when the first container needs them."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._node = node
        self._made: set[str] = set()
        self.names = {kind: f"atek-{node[:8]}-{kind}" for kind in KINDS}

    async def ensure(self, kind: str) -> None:
        """Raises RuntimeFailure or RuntimeUnavailable."""
        if kind in self._made:
            return
        try:
            await self._engine.call("POST", "/networks/create", body=network(self._node, kind))
        except EngineAnswer as answer:
            if not answer.conflict:
                raise other_failure(answer, f"the network for {kind} services cannot be made") from answer
        self._made.add(kind)

    def forget(self) -> None:
        """They may have been removed meanwhile."""
        self._made.clear()

    async def remove(self) -> None:
        """Those that no container is on any more. What else the engine has is not looked at."""
        self.forget()
        found = await self._engine.call("GET", "/networks", query={"filters": of_node(self._node)})
        for each in found:
            try:
                await self._engine.call("DELETE", f"/networks/{each['Id']}")
            except EngineAnswer as answer:
                if answer.status not in (403, 404, 409):
                    raise


def network(node: str, kind: str) -> dict[str, Any]:
    """The body of `POST /networks/create`."""
    return {
        "Name": f"atek-{node[:8]}-{kind}",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": kind == "private",
        "Labels": {NODE: node},
        "Options": {
            f"{_BRIDGE}.enable_icc": "false",
            f"{_BRIDGE}.enable_ip_masquerade": "true" if kind == "egress" else "false",
        },
    }
