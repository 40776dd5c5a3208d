"""What programs write into their own packages, as the node has found out: `state/rewriting.json`.

So neither a node that starts again nor `atek plan` takes such a file for an edit. Losing it costs a service
the few revisions until it is known again; a file that cannot be read counts as none.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from manifests.files import read_json, write_atomically
from reconciler.decide.rewriting import Habit, Look

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: In the home.
FILE = "state/rewriting.json"


class HabitsFile:
    """The file; one writer at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written: Mapping[str, Habit] = {}

    def read(self) -> dict[str, Habit]:
        """By service id."""
        try:
            value = read_json(self._file)
            services = value["services"] if isinstance(value, dict) else {}
            found = {str(service_id): _habit(about) for service_id, about in services.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        self._written = found
        return dict(found)

    def differs(self, habits: Mapping[str, Habit]) -> bool:
        """Whether `write` has anything to do."""
        return habits != self._written

    def write(self, habits: Mapping[str, Habit]) -> None:
        """A disk that is full is tried again when something changes."""
        services = {service_id: _plain(habit) for service_id, habit in habits.items()}
        with suppress(OSError):
            write_atomically(self._file, json.dumps({"services": services}).encode())
            self._written = dict(habits)


def _plain(habit: Habit) -> dict[str, Any]:
    taken = habit.taken
    return {
        "digest": taken.digest,
        "generation": taken.generation,
        "files": {name: content.hex() for name, content in taken.files.items()},
        "own": sorted(habit.own),
    }


def _habit(about: Mapping[str, Any]) -> Habit:
    """Raises KeyError, TypeError, ValueError or AttributeError for what this node did not write."""
    files = {str(name): bytes.fromhex(content) for name, content in about["files"].items()}
    taken = Look(str(about["digest"]), files, int(about["generation"]))
    return Habit(taken, own=frozenset(map(str, about["own"])))
