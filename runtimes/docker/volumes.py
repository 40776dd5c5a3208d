"""What containers keep outside of themselves: named volumes, and what an image declares as a VOLUME.

An engine gives each container nameless volumes for the latter, which nobody finds again. Here they have
names and labels, are made before the container is, and are mounted where the image wants them; so the next
container of the slot has them, whatever revision it is of, and whoever died meanwhile. Volumes stay when the
service goes, as its data folder does; they are removed once both are gone.
"""

from __future__ import annotations

from contextlib import suppress
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from manifests.model.containers import parse_volume
from runtimes.base import RuntimeFailure
from runtimes.docker import labels
from runtimes.docker.failures import EngineAnswer
from runtimes.docker.spec import image_volumes, volume_name
from runtimes.docker.volume_names import VolumeNames, image_volume_name, key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from manifests.model.manifest import Manifest
    from runtimes.base import Launch
    from runtimes.docker.engine import Engine
    from runtimes.docker.labels import Labelled
    from runtimes.docker.spec import Image

#: Of an engine's `Mounts` of a container, those that nobody but it can have.
_VOLUME = "volume"


class Volumes:
    """The volumes of one node's containers."""

    def __init__(self, engine: Engine, home: Path, node: str) -> None:
        self._engine = engine
        self._names = VolumeNames(home)
        self._node = node

    async def ensure(self, launch: Launch, image: Image) -> dict[str, str]:
        """Where they are mounted, or what the manifest calls them → the engine's name; all are there.

        Raises RuntimeFailure, RuntimeUnavailable or EngineAnswer.
        """
        service, slot = launch.service, launch.slot
        paths = image_volumes(service.manifest, image)
        wanted = {key_of(slot, path): self._image_volume(service.id, slot, path) for path in paths}
        wanted |= _named(self._node, service.manifest)
        if not wanted:
            return {}
        try:
            names = self._names.choose(service.id, wanted)
        except OSError as error:
            message = f"{service.id} cannot be started: {error.filename}: {error.strerror}"
            raise RuntimeFailure("StartFailed", message) from error
        for key, name in names.items():
            path = _target(slot, key)
            of_slot = {labels.SLOT: str(slot), labels.PATH: path} if path in paths else {}
            await self._make(name, {labels.NODE: self._node, labels.SERVICE: service.id, **of_slot})
        return {_target(slot, key): name for key, name in names.items()}

    def take_over(self, found: Iterable[tuple[Labelled, Mapping[str, Any]]]) -> None:
        """What containers have that an earlier life of this node started; the last one in a slot counts.

        Raises OSError.
        """
        notes: dict[str, dict[str, str]] = {}
        for said, container in sorted(found, key=lambda each: str(each[1].get("Created", ""))):
            notes.setdefault(said.service.id, {}).update(_mounted(said, container))
        for service_id, names in notes.items():
            # A note that is damaged is told of when its service starts.
            with suppress(RuntimeFailure):
                self._names.note(service_id, names)

    def kept(self, service_id: str) -> str:
        """One of the places where the service's image keeps something, in a few words; empty without any."""
        try:
            keys = self._names.of(service_id)
        except RuntimeFailure as failure:
            return failure.message
        path = next((path for _, colon, path in (key.partition(":") for key in keys) if colon), "")
        return f"it has a volume at {path}" if path else ""

    async def collect(self, service_ids: Collection[str] | None = None) -> None:
        """Removes the volumes of those whose data folders a person has removed; else, another time."""
        for service_id in self._names.ids() if service_ids is None else service_ids:
            if self._names.is_orphan(service_id):
                with suppress(EngineAnswer, RuntimeFailure, OSError):
                    await self._remove(service_id)

    async def _make(self, name: str, told: Mapping[str, str]) -> None:
        """One that is there stays as it is, also where somebody gave it a driver of its own."""
        try:
            await self._engine.call("POST", "/volumes/create", body={"Name": name, "Labels": told})
        except EngineAnswer as answer:
            if not answer.conflict:
                raise

    async def _remove(self, service_id: str) -> None:
        for name in self._names.of(service_id).values():
            try:
                await self._engine.call("DELETE", f"/volumes/{name}")
            except EngineAnswer as answer:
                # One that a container has is in conflict, and keeps the note.
                if not answer.missing:
                    raise
        self._names.forget(service_id)

    def _image_volume(self, service_id: str, slot: int, path: str) -> str:
        return image_volume_name(self._node, service_id, slot, path)


def _named(node: str, manifest: Manifest) -> dict[str, str]:
    """Those of a project are the project's."""
    if manifest.project is not None:
        return {}
    named = [each for each in map(parse_volume, manifest.volumes) if each.named]
    return {each.source: volume_name(node, manifest.id, each) for each in named}


def _target(slot: int, key: str) -> str:
    return key.removeprefix(key_of(slot, ""))


def _mounted(said: Labelled, container: Mapping[str, Any]) -> dict[str, str]:
    """Key → name of all volumes that a container has for itself."""
    manifest = said.service.manifest
    by_target = {normpath(each.target): each for each in map(parse_volume, manifest.volumes)}
    found: dict[str, str] = {}
    for mount in container.get("Mounts") or ():
        target, name = str(mount.get("Destination", "")), mount.get("Name")
        if mount.get("Type") != _VOLUME or not name:
            continue
        if target not in by_target:
            found[key_of(said.slot, target)] = str(name)
        elif by_target[target].named and manifest.project is None:
            found[by_target[target].source] = str(name)
    return found
