"""What a person granted to services that others wrote: `state/grants`, see `decide.grants`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from manifests.files import read_json, set_aside, write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


class GrantsFile:
    """Implements `reconciler.drive.gate.Grants` over a home. `problems`: a sentence for what cannot be read.

    A damaged file grants nothing, and is set aside once somebody grants anew.
    """

    def __init__(self, home: Path) -> None:
        self.problems: list[str] = []
        self._file = home / "state" / "grants"
        self._granted = self._read()

    def all(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """(owner, service) → the ids of rights."""
        return self._granted

    def of(self, owner: str, service_id: str) -> frozenset[str]:
        return self._granted.get((owner, service_id), frozenset())

    def put(self, owner: str, service_id: str, rights: Collection[str]) -> None:
        """From now on it has these. So seldom that everybody else may wait for the disk. Raises OSError."""
        self._write({**self._granted, (owner, service_id): frozenset(rights)})

    def forget(self, owner: str) -> None:
        """Nobody has anything of that owner's any more. Raises OSError."""
        kept = {key: rights for key, rights in self._granted.items() if key[0] != owner}
        if len(kept) != len(self._granted):
            self._write(kept)

    def _write(self, granted: Mapping[tuple[str, str], frozenset[str]]) -> None:
        granted = {key: rights for key, rights in sorted(granted.items()) if rights}
        rows = [
            {"owner": owner, "service": service_id, "rights": sorted(rights)}
            for (owner, service_id), rights in granted.items()
        ]
        if self.problems:
            set_aside(self._file)
        write_atomically(self._file, json.dumps({"grants": rows}, indent=1).encode())
        self._granted = granted

    def _read(self) -> Mapping[tuple[str, str], frozenset[str]]:
        try:
            value = read_json(self._file)
            rows = value["grants"] if value is not None else []
            found = {(row["owner"], row["service"]): frozenset(row["rights"]) for row in rows}
            if not all(isinstance(text, str) for key, rights in found.items() for text in (*key, *rights)):
                raise ValueError("not what this node writes")
        except (OSError, ValueError, KeyError, TypeError):
            self.problems.append(
                f"{self._file} is damaged: nothing counts as granted; `atek grant` grants anew"
            )
            return {}
        return found
