"""Whose an installed service is, and the key it keeps under whatever id: `state/installed.json`.

Losing it would turn a user's service into the node's own, so it is written twice, and one copy is enough. A
service that is not in it (a manifest of a person's own) belongs to the node, and has the key of its id.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.files import read_json, set_aside, write_atomically
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Installed:
    """One service. `owner` is a user's key, or `system`.

    Without a `key` it is uninstalled: only its data folder may be left, and that is still the owner's.
    """

    key: str
    owner: str = SYSTEM
    desired_version: str = ""


@dataclass(frozen=True, slots=True)
class Renaming:
    """A change of id that has begun. `manifest` is what is to be declared under the new id.

    `recorded`: in this node's records, by whom (`by`), and whether it has been `written` there by now.
    `runs`: whether it is to run then.
    """

    old: str
    new: str
    manifest: Mapping[str, Any]
    recorded: bool = False
    written: bool = False
    runs: bool = True
    by: str = SYSTEM


@dataclass(frozen=True, slots=True)
class _Contents:
    services: Mapping[str, Installed]
    renaming: Renaming | None = None

    def to_json(self) -> dict[str, Any]:
        services = {service_id: asdict(each) for service_id, each in self.services.items()}
        return {"services": services, "renaming": self.renaming and asdict(self.renaming)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> _Contents:
        """Raises ValueError, KeyError, TypeError or AttributeError for what `to_json` did not make."""
        services = {service_id: Installed(**each) for service_id, each in value["services"].items()}
        if not all(isinstance(text, str) for each in services.values() for text in asdict(each).values()):
            raise ValueError("not what this node writes")
        return cls(services, Renaming(**value["renaming"]) if value["renaming"] else None)


class InstalledServices:
    """The file, read once. `problems` has a sentence for what could not be read."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.problems: list[str] = []
        self._files = (home / "state" / "installed.json", home / "state" / "installed.copy.json")
        self._lock = anyio.Lock()
        self._contents = self._read()

    @property
    def renaming(self) -> Renaming | None:
        """What an earlier life of the node did not finish."""
        return self._contents.renaming

    def get(self, service_id: str) -> Installed | None:
        found = self._contents.services.get(service_id)
        return found if found and found.key else None

    def owner(self, service_id: str) -> str:
        """A user's key, or `system`: who acts when the service calls others."""
        found = self.get(service_id)
        return found.owner if found else SYSTEM

    def data_owner(self, service_id: str) -> str:
        """Whose the data folder of that id is, also when the service is uninstalled."""
        found = self._contents.services.get(service_id)
        return found.owner if found else SYSTEM

    def identity(self, service_id: str, derived: Mapping[str, str]) -> dict[str, str]:
        """`derived`, the identity that comes from an id alone, with the key that it keeps, and its owner."""
        found = self.get(service_id)
        key = found.key if found else derived["key"]
        return {**derived, "key": key, "owner": self.owner(service_id)}

    async def put(self, service_id: str, installed: Installed) -> None:
        """Returns once it is on disk. Raises OSError with nothing changed."""
        await self._change({service_id: installed}, self._contents.renaming)

    async def uninstall(self, service_id: str) -> None:
        """Forgets the key for good; what is installed under that id later is another service."""
        if found := self._contents.services.get(service_id):
            await self._change({service_id: replace(found, key="")}, self._contents.renaming)

    async def begin_rename(self, renaming: Renaming, installed: Installed) -> None:
        """From now on both ids have the key; the next start finishes what this life does not."""
        await self._change({renaming.old: installed, renaming.new: installed}, renaming)

    async def note_written(self) -> None:
        """The record has the new id: what is not moved yet belongs to it. Raises OSError."""
        if self.renaming is not None:
            await self._change({}, replace(self.renaming, written=True))

    async def end_rename(self) -> None:
        """The service has its new id. Never raises: until that is on disk, a start finds nothing to do."""
        if self.renaming is not None:
            await self._settle(gone=self.renaming.old)

    async def take_back_rename(self) -> None:
        """The service has its old id again."""
        if self.renaming is not None:
            await self._settle(gone=self.renaming.new)

    async def _settle(self, *, gone: str) -> None:
        services = {
            service_id: each for service_id, each in self._contents.services.items() if service_id != gone
        }
        self._contents = _Contents(services)
        with suppress(OSError):
            await self._change({}, None)

    async def _change(self, services: Mapping[str, Installed | None], renaming: Renaming | None) -> None:
        async with self._lock:
            merged = {**self._contents.services, **services}
            present = {service_id: each for service_id, each in merged.items() if each is not None}
            contents = _Contents(present, renaming)
            await anyio.to_thread.run_sync(self._write, contents)
            self._contents = contents

    def _write(self, contents: _Contents) -> None:
        data = json.dumps(contents.to_json()).encode()
        for file in self._files:
            write_atomically(file, data)

    def _read(self) -> _Contents:
        damaged = []
        for file in self._files:
            try:
                value = read_json(file)
                if value is not None:
                    return _Contents.from_json(value)
            except (ValueError, KeyError, TypeError, AttributeError):
                damaged.append(file)
        for file in damaged:
            set_aside(file)
        if damaged:
            self.problems.append(
                f"{damaged[0]} and its copy are damaged: installed services count as the node's own"
            )
        return _Contents({})
