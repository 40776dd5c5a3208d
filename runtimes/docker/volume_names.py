"""What the engine calls the volumes of each service: `state/volumes/<id>.json`.

A volume's name comes from the service's id, and stays when the id changes; one that the engine named itself
(an earlier version left the VOLUMEs of images to it) stays too. So names are noted, and what is noted holds.
A note belongs to the service's data folder: it moves with it, and goes when a person has removed it.

Keys are the names in manifests, and `<slot>:<path>` for what an image keeps in a VOLUME.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from manifests.files import read_json, write_atomically
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_HASH = 12
#: In the folder of all data folders: whoever does not find it there looks at another disk's mount point.
_IS_MOUNTED = ".volumes"


class VolumeNames:
    """The notes of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = notes_folder(home)
        self._data = home / "data"

    def of(self, service_id: str) -> dict[str, str]:
        """Key → the engine's name. Raises RuntimeFailure when nobody can know."""
        file = self._file(service_id)
        try:
            found = read_json(file)
            names = dict(found["volumes"]) if found is not None else {}
            if not all(isinstance(name, str) for name in names.values()):
                raise ValueError(f"{file} is damaged")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RuntimeFailure(
                "VolumesUnknown",
                f"{file} cannot be read, so nobody knows which volumes are those of {service_id}",
                hint="mend it; or remove it, and the volumes get the names that new ones have",
            ) from error
        return names

    def choose(self, service_id: str, wanted: Mapping[str, str]) -> dict[str, str]:
        """The names of the wanted keys, which are on disk by now. `wanted` has what new ones are called.

        Raises RuntimeFailure or OSError.
        """
        known = self.of(service_id)
        missing = {key: name for key, name in wanted.items() if key not in known}
        if missing:
            # A service that has another id by now may have taken its volumes with it.
            taken = self._taken(besides=service_id)
            self._write(service_id, {**known, **{key: _free(name, taken) for key, name in missing.items()}})
            known = self.of(service_id)
        return {key: known[key] for key in wanted}

    def note(self, service_id: str, found: Mapping[str, str]) -> None:
        """What is mounted already; what is noted already stays. Raises RuntimeFailure or OSError."""
        known = self.of(service_id)
        if found.keys() - known.keys():
            self._write(service_id, {**found, **known})

    def forget(self, service_id: str) -> None:
        self._file(service_id).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """All services of which something is noted."""
        return [file.stem for file in self._files()]

    def is_orphan(self, service_id: str) -> bool:
        """Whether a person has removed the data folder that the volumes belong to."""
        is_there = os.path.lexists(self._data / service_id)
        return not is_there and (self._data / _IS_MOUNTED).exists()

    def _taken(self, *, besides: str) -> set[str]:
        found: set[str] = set()
        for service_id in self.ids():
            with suppress(RuntimeFailure):
                found |= set(self.of(service_id).values() if service_id != besides else ())
        return found

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("[!.]*.json")

    def _file(self, service_id: str) -> Path:
        return self._folder / f"{service_id}.json"

    def _write(self, service_id: str, names: Mapping[str, str]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._data / _IS_MOUNTED).touch()
        write_atomically(self._file(service_id), json.dumps({"volumes": names}, indent=1).encode())


def notes_folder(home: Path) -> Path:
    return home / "state" / "volumes"


def has_volumes(home: Path, service_id: str) -> bool:
    """Whether the engine keeps volumes of that service: data, like what is in its data folder. Cheap."""
    return (notes_folder(home) / f"{service_id}.json").exists()


def move_note(home: Path, old: str, new: str) -> None:
    """The service has another id, and its volumes go with it, unless that one has some. Raises OSError."""
    note, place = (notes_folder(home) / f"{service_id}.json" for service_id in (old, new))
    if note.exists() and not place.exists():
        note.rename(place)


def key_of(slot: int, path: str) -> str:
    """The key of what an image keeps at `path`: each replica has its own."""
    return f"{slot}:{path}"


def image_volume_name(node: str, service_id: str, slot: int, path: str) -> str:
    """A name that no other volume has: those of manifests have a `-` where this one has its first dot."""
    return f"atek-{node[:8]}.{service_id}.{slot}.{hashlib.sha256(path.encode()).hexdigest()[:_HASH]}"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free
