"""A source that lives in memory, for nodes of fakes: what it says is set, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from manifests.model.snapshot import Declared, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import SourceKind


class MemorySource:
    """Implements `manifests.model.snapshot.Source`. Two lives of a node may share one."""

    def __init__(self, name: str = "memory", kind: SourceKind = "file", *, known: bool = True) -> None:
        self._name = name
        self._kind = kind
        self._known = known
        self._declared: dict[str, Declared] = {}
        self._changed: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        return self._name

    @property
    def snapshot(self) -> Snapshot:
        """An unknown source says nothing, whatever was declared."""
        declared = tuple(self._declared.values()) if self._known else ()
        return Snapshot(self._name, self._kind, services=declared, known=self._known)

    def declare(self, *manifests: Manifest) -> None:
        """Adds or replaces manifests by their id."""
        for manifest in manifests:
            self._declared[manifest.id] = Declared(manifest, "/", f"/{manifest.id}.yaml")
        self._changed()

    def undeclare(self, *service_ids: str) -> None:
        for service_id in service_ids:
            self._declared.pop(service_id, None)
        self._changed()

    def set_known(self, known: bool) -> None:
        """Whether the source was ever read."""
        self._known = known
        self._changed()

    async def scan(self) -> None:
        """There is nothing to look at."""

    async def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        await anyio.sleep_forever()
