"""What stays known of this node's own databases while no daemon answers: `state/databases.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Own:
    """The ids of its two databases, and how others reach it. Without ids none were ever made."""

    records: str = ""
    status: str = ""
    noise: str = ""
    address: str = ""


class OwnFile:
    """The file. It repeats what the daemon knows, so one that cannot be read is as good as none."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state" / "databases.json"
        self.value = self._read()

    def write(self, value: Own) -> None:
        """Raises OSError with nothing changed. So seldom that everybody else may wait for the disk."""
        if value != self.value:
            write_atomically(self._path, json.dumps(asdict(value)).encode())
            self.value = value

    def _read(self) -> Own:
        try:
            value = read_json(self._path)
        except (OSError, ValueError):
            return Own()
        if not isinstance(value, dict):
            return Own()
        known = {field.name: value.get(field.name, "") for field in fields(Own)}
        return Own(**{name: text for name, text in known.items() if isinstance(text, str)})
