"""Tunnels over the daemon's socket. They end with the connection that asked for them: ask again then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyper.encoding.wire import given, understand
from hyper.port import Tunnel, TunnelCaller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyper.client import HyperClient


class DaemonTunnels:
    """Implements `port.Tunnels`."""

    def __init__(self, client: HyperClient) -> None:
        self._call = client.call

    async def key(self) -> str:
        return understand(lambda status: str(status["tunnelKey"]), await self._call("hello", {}))

    async def listen(
        self, socket: str, *, allow: Sequence[str] | None, secret: str, seed: str = ""
    ) -> Tunnel:
        allowed = None if allow is None else list(allow)
        params = {"socket": socket, "allow": allowed, "secret": secret, **given(seed=seed or None)}
        return understand(_tunnel, await self._call("tunnel.listen", params))

    async def allow(self, tunnel: Tunnel, keys: Sequence[str]) -> None:
        await self._call("tunnel.allow", {"id": tunnel.id, "allow": list(keys)})

    async def callers(self, tunnel: Tunnel) -> Sequence[TunnelCaller]:
        return understand(_callers, await self._call("tunnel.info", {"id": tunnel.id}))

    async def connect(
        self, *, key: str = "", seed: str = "", socket: str = "", port: int | None = None
    ) -> Tunnel:
        params = given(noiseKey=key or None, seed=seed or None, socket=socket or None, port=port)
        return understand(_tunnel, await self._call("tunnel.connect", params))

    async def is_up(self, tunnel: Tunnel) -> bool:
        return understand(lambda info: bool(info["isUp"]), await self._call("tunnel.info", {"id": tunnel.id}))

    async def close(self, tunnel: Tunnel) -> None:
        await self._call("tunnel.close", {"id": tunnel.id})


def _tunnel(value: Any) -> Tunnel:
    return Tunnel(value["id"], value.get("key", ""), value.get("port", 0))


def _callers(value: Any) -> list[TunnelCaller]:
    return [
        TunnelCaller(each["noiseKey"], each["streams"], each["seenMs"] / 1000) for each in value["callers"]
    ]
