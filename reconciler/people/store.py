"""People and sessions on disk: `state/people/people.json`, twice, and `sessions.json`; their owner's alone.

Nothing is answered before it is there. People are written twice because without them a home would be open to
everybody on its loopback: where neither copy can be read it is not, and says so. Sessions that are lost are
only signed in again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from manifests.files import read_json, set_aside, write_atomically
from reconciler.people.model import (
    Everybody,
    everybody_from_json,
    everybody_to_json,
    sessions_from_json,
    sessions_to_json,
)
from reconciler.people.port import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from reconciler.people.model import SignedIn

_WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError)


class PeopleFiles:
    """Of one home, read once. `problems`: sentences for a person.

    `unreadable`: there are people, and nobody knows who.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._copies = (self._folder / "people.json", self._folder / "people.copy.json")
        self._sessions = self._folder / "sessions.json"
        self.problems: list[str] = []
        self.unreadable = False
        self.everybody = self._read_everybody()
        self.sessions = self._read_sessions()

    def write_everybody(self, everybody: Everybody) -> None:
        """On disk when it returns. Raises OSError with the first copy, which is what is read, as it was."""
        self._make_folder()
        if self.unreadable:
            for file in self._copies:
                set_aside(file)
        data = json.dumps(everybody_to_json(everybody), indent=1).encode()
        # Last the one that counts: the other is never older, so nobody comes back who was removed.
        for file in reversed(self._copies):
            write_atomically(file, data)
        self.everybody, self.unreadable = everybody, False

    def write_sessions(self, sessions: Mapping[str, SignedIn], *, durable: bool = True) -> None:
        """On disk when it returns; not `durable`: a power cut may undo it. Raises OSError."""
        self._make_folder()
        write_atomically(self._sessions, json.dumps(sessions_to_json(sessions)).encode(), durable=durable)
        self.sessions = dict(sessions)

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def _read_everybody(self) -> Everybody:
        damaged: list[Path] = []
        for file in self._copies:
            try:
                value = read_json(file)
                if value is not None:
                    return everybody_from_json(value)
            except _WRONG:
                damaged.append(file)
        if damaged:
            self.unreadable = True
            self.problems.append(
                f"{damaged[0]} and its copy cannot be read: nobody can sign in; `atek user add` begins anew"
            )
        return Everybody()

    def _read_sessions(self) -> dict[str, SignedIn]:
        return _read(self._sessions, sessions_from_json)


def _read(file: Path, parse: Callable[[Any], dict[str, SignedIn]]) -> dict[str, SignedIn]:
    try:
        value = read_json(file)
        return parse(value) if value is not None else {}
    except _WRONG:
        return {}
