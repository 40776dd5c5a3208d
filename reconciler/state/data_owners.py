"""Whose data lies in the services' data folders: `state/data-owners.json`, see `drive.inheritance`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from manifests.files import read_json, set_aside, write_atomically
from reconciler.decide.inheritance import LOCAL
from runtimes.docker.volume_names import has_volumes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class DataFolders:
    """Implements `DataOwners` over a home. `problems` has a sentence for what could not be read."""

    def __init__(self, home: Path) -> None:
        self.problems: list[str] = []
        self._home = home
        self._file = home / "state" / "data-owners.json"
        self._owners = self._read()

    def owner(self, service_id: str) -> str:
        return self._owners.get(service_id, LOCAL)

    def is_held(self, service_id: str) -> bool:
        """Every service gets a folder for temporary files; an empty one is nobody's. Volumes go with it."""
        folder = self._home / "data" / service_id
        if has_volumes(self._home, service_id) or _has_entries(self._home / "kept" / service_id):
            return True
        try:
            return any(name != "tmp" for name in os.listdir(folder)) or _has_entries(folder / "tmp")
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def note(self, owners: Mapping[str, str]) -> None:
        """So seldom that everybody else may wait for the disk."""
        merged = {each: owner for each, owner in {**self._owners, **owners}.items() if owner != LOCAL}
        if self.problems:
            set_aside(self._file)
        write_atomically(self._file, json.dumps({"owners": merged}, indent=1).encode())
        self._owners = merged

    def _read(self) -> dict[str, str]:
        try:
            value = read_json(self._file)
            owners = dict(value["owners"]) if value is not None else {}
            if not all(isinstance(owner, str) for owner in owners.values()):
                raise ValueError("not what this node writes")
        except (OSError, ValueError, KeyError, TypeError):
            self.problems.append(f"{self._file} is damaged: all data folders count as the node's own")
            return {}
        return owners


def _has_entries(folder: Path) -> bool:
    try:
        return bool(os.listdir(folder))
    except FileNotFoundError:
        return False
