"""What updates by themselves have to know in the next life of the node: `state/updates.json`.

Which move is on trial and where it came from, what was bad, what waits for a person, when a server was asked
last. It is written before what it tells of is done. A copy that cannot be read counts as none: then nothing
is known to be bad, and the next look is one schedule away.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from manifests.files import read_json, write_atomically
from reconciler.decide.updating import Bad, Choice, Kept, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: In the home.
FILE = "state/updates.json"


class UpdatesFile:
    """The file, read when it is first needed. Without one, nothing is kept beyond this life."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._kept: dict[str, Kept] | None = None
        self._unsaved = False

    def all(self) -> Mapping[str, Kept]:
        """By the service's id."""
        if self._kept is None:
            self._kept = _read(self._file) if self._file else {}
        return self._kept

    def get(self, service_id: str) -> Kept | None:
        """What is kept of one service."""
        return self.all().get(service_id)

    def put(self, service_id: str, kept: Kept | None) -> None:
        """None forgets it. Raises OSError with nothing changed."""
        others = {each: value for each, value in self.all().items() if each != service_id}
        new = others if kept is None else {**others, service_id: kept}
        if new != self._kept or self._unsaved:
            self._write(new)

    def put_later(self, service_id: str, kept: Kept) -> None:
        """What may be lost by a kill -9; it goes along with the next `put` or `save`."""
        self._kept = {**self.all(), service_id: kept}
        self._unsaved = True

    def rename(self, old: str, new: str) -> None:
        """What is known of a service is known of it under its new id. Raises OSError."""
        if (kept := self.get(old)) is not None:
            self.put(new, kept)

    def save(self) -> None:
        """Raises OSError."""
        if self._unsaved:
            self._write(dict(self.all()))

    def _write(self, new: dict[str, Kept]) -> None:
        if self._file is not None:
            services = {each: asdict(value) for each, value in sorted(new.items())}
            write_atomically(self._file, json.dumps({"services": services}).encode())
        self._kept, self._unsaved = new, False


def _read(file: Path) -> dict[str, Kept]:
    try:
        value = read_json(file)
        services = value["services"] if isinstance(value, dict) else {}
        return {str(service_id): _kept_of(about) for service_id, about in services.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _kept_of(about: dict[str, Any]) -> Kept:
    """Raises what is raised for what this node did not write."""
    trial = about["trial"]
    return Kept(
        origin=str(about["origin"]),
        looked=float(about["looked"]),
        trial=trial and Trial(_choice(trial["before"]), _choice(trial["to"]), float(trial["begun"])),
        bad=tuple(
            Bad(_choice(each["choice"]), str(each["why"]), str(each["back"]), bool(each["ran"]))
            for each in about["bad"]
        ),
        waiting=about["waiting"] and _choice(about["waiting"]),
        why=str(about["why"]),
    )


def _choice(about: dict[str, Any]) -> Choice:
    return Choice(str(about["at"]), str(about["tag"]), bool(about.get("rolling")))
