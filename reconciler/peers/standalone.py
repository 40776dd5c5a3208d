"""A node without a Hypercore daemon: it has no databases, follows nobody, and says so to who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import UserError
from reconciler.peers.port import FOLLOW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from hyper.port import Hyper
    from manifests.model.snapshot import Source
    from reconciler.peers.port import Change, Follow, Followed, Host, Keys, ServiceRecord


class NoServiceRecords:
    """Implements `port.ServiceRecords`."""

    async def read(self) -> Mapping[str, ServiceRecord]:
        return {}

    async def declare(
        self, manifest: Mapping[str, Any], change: Change, *, owner: str = "system", **more: Any
    ) -> int:
        _refuse()

    async def suspend(self, service_id: str, change: Change, *, suspended: bool) -> int:
        _refuse()

    async def rename(self, service_id: str, manifest: Mapping[str, Any], change: Change) -> int:
        _refuse()

    async def remove(self, service_id: str, change: Change) -> int:
        _refuse()

    async def write(self, values: Mapping[str, Mapping[str, Any] | None], change: Change) -> int:
        _refuse()


class Standalone:
    """Implements `port.Member`."""

    configured = False

    def __init__(self) -> None:
        self.services = NoServiceRecords()

    @property
    def hyper(self) -> Hyper:
        _refuse()

    async def keys(self) -> Keys:
        _refuse()

    def follows(self) -> Sequence[Follow]:
        return ()

    async def followed(self, name: str) -> Followed:
        _refuse()

    async def follow(self, follow: Follow) -> None:
        _refuse()

    async def unfollow(self, name: str) -> None:
        _refuse()

    def sources(self) -> Sequence[Source]:
        return ()

    async def run(self, host: Host) -> None:
        return

    def owner_of(self, source: str) -> str:
        return f"{FOLLOW}{source}"

    def source_status(self, name: str) -> Mapping[str, Any]:
        return {}


def _refuse() -> NoReturn:
    raise UserError(
        "this node runs without Hypercore",
        hint="leave coreServices out of config.toml, or add core.hyper to it",
    )
