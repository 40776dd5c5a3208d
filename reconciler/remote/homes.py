"""The homes that this machine may reach: `homes.json` in the folder of its `atek connect`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """`key` is its tunnel key; `bootstrap` where it is found, empty for the public DHT."""

    name: str
    key: str
    bootstrap: tuple[str, ...] = ()


class HomesFile:
    """Raises ValueError for a damaged file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "homes.json"

    def all(self) -> Sequence[Home]:
        value = read_json(self._file)
        rows = value["homes"] if value is not None else []
        return [Home(row["name"], row["key"], tuple(row["bootstrap"])) for row in rows]

    def put(self, home: Home) -> None:
        """In place of what had its key or its name. Raises OSError."""
        others = [each for each in self.all() if each.key != home.key and each.name != home.name]
        value = {"homes": [asdict(each) for each in (*others, home)]}
        write_atomically(self._file, json.dumps(value, indent=1).encode())
