"""Where the manifest of an installed service is kept: in a file of the node's own, or in a record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread

from manifests.documents.document import BrokenText
from manifests.documents.scalars import coerce
from manifests.documents.text import read_documents
from manifests.model.manifest import Manifest
from reconciler.errors import UserError
from reconciler.peers.port import RECORDS, Change
from reconciler.peers.records import spec_of
from reconciler.state.own_manifests import file_of, require_own, write_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.snapshot import Declared
    from reconciler.peers.port import ServiceRecords

_HINT = "edit that file: the node notices when you save it"
_RECORD_HINT = "change it on the node that it belongs to"


class ManifestStore(Protocol):
    """One kind of place. Everything raises UserError with nothing changed, or OSError."""

    def file(self, service_id: str) -> str:
        """How the place is named in status."""
        ...

    def require_own(self, service_id: str, declared: Mapping[str, Declared]) -> None:
        """Raises UserError where somebody else declares the service."""
        ...

    async def read(self, service_id: str) -> dict[str, Any]:
        """The plain manifest."""
        ...

    async def write(self, service_id: str, value: Mapping[str, Any], change: Change, owner: str) -> None: ...

    async def remove(self, service_id: str, change: Change) -> None: ...


class ManifestFiles:
    """A file for each service, `manifests/<id>.yaml` in the home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def file(self, service_id: str) -> str:
        return str(file_of(self._home, service_id))

    def require_own(self, service_id: str, declared: Mapping[str, Declared]) -> None:
        """Also when its file declares other services beside it."""
        files = {each: [Path(found.file)] for each, found in declared.items()}
        elsewhere = declared.get(service_id)
        hint = _HINT if elsewhere is None or os.path.isabs(elsewhere.file) else _RECORD_HINT
        require_own(self._home, service_id, files, hint=hint)

    async def read(self, service_id: str) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(_read, file_of(self._home, service_id))

    async def write(self, service_id: str, value: Mapping[str, Any], change: Change, owner: str) -> None:
        await anyio.to_thread.run_sync(write_manifest, self._home, service_id, value)

    async def remove(self, service_id: str, change: Change) -> None:
        await anyio.to_thread.run_sync(file_of(self._home, service_id).unlink, True)


class ManifestRecords:
    """A record for each service, in this node's own records."""

    def __init__(self, services: ServiceRecords) -> None:
        self._services = services

    def file(self, service_id: str) -> str:
        return record_file(service_id)

    def require_own(self, service_id: str, declared: Mapping[str, Declared]) -> None:
        found = declared.get(service_id)
        if found is not None and found.file != record_file(service_id):
            raise UserError(f"{service_id} is declared in {found.file}", hint=_HINT)

    async def read(self, service_id: str) -> dict[str, Any]:
        record = (await self._services.read()).get(service_id)
        if record is None:
            raise UserError(f"this node's records have no service {service_id}")
        return spec_of(record)

    async def write(self, service_id: str, value: Mapping[str, Any], change: Change, owner: str) -> None:
        await self._services.declare(value, change, owner=owner)

    async def remove(self, service_id: str, change: Change) -> None:
        await self._services.remove(service_id, change)


def record_file(service_id: str) -> str:
    """What stands for a file where a record of this node declares the service."""
    return f"{RECORDS}:{service_id}"


def _read(file: Path) -> dict[str, Any]:
    try:
        documents = read_documents(file.read_text("utf-8"), file.suffix, spelled=True)
    except (BrokenText, UnicodeDecodeError, FileNotFoundError) as error:
        raise UserError(f"{file} cannot be read: {error}", hint="mend it first") from error
    if not documents or not isinstance(documents[0].value, dict):
        raise UserError(f"{file} declares no service", hint="mend it first")
    value: dict[str, Any] = coerce(documents[0].value, Manifest)
    return value
