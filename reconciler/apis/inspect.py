"""`atek.cloud/inspect-api`: is the node up, and what does it run with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.apis.caller import require_admin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from reconciler.apis.caller import Caller
    from reconciler.apis.params import Params
    from reconciler.port import NodeApi
    from reconciler.state.settings import Settings

    Method = Callable[[Caller, Params], Awaitable[object]]

API = "atek.cloud/inspect-api"
# Of a core service only what says which it is: its env may hold passwords.
_CORE_SERVICE_KEYS = ("id", "source", "runtime")


class InspectApi:
    """The methods by their names. `config` is what `public_config` makes."""

    def __init__(self, node: NodeApi, config: Mapping[str, Any]) -> None:
        self._node = node
        self._config = config
        self.methods: dict[str, Method] = {"isReady": self._is_ready, "getConfig": self._get_config}

    async def _is_ready(self, caller: Caller, params: Params) -> object:
        """Whether the node has read its sources and does its work; services may still be starting."""
        return "" not in self._node.unready()

    async def _get_config(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        return dict(self._config)


def public_config(
    settings: Settings, core_services: Sequence[Any], *, port: int, version: str
) -> dict[str, Any]:
    """The settings without a secret in them: each key is named here, so that a new one is not told by chance.

    `core_services` are those that the node has by its config or without, `port` the one that it listens on.
    """
    return {
        "name": settings.name,
        "version": version,
        "domain": settings.domain,
        "port": port,
        "keepServices": settings.keep_services,
        "coreServices": [
            {key: each[key] for key in _CORE_SERVICE_KEYS if key in each}
            for each in core_services
            if isinstance(each, dict)
        ],
        "sources": {"files": list(settings.sources.files)},
    }
