"""Which service's user has which number: `state/users.json`, for ever.

A number that went to another service would take the files that the first one left along. So an id keeps its
number also when nobody declares it any more, and none is given away that anything still belongs to. Should
the file be lost or damaged, the data folders say whose they are: only the node can have made them so, since
no program may give its files away.
"""

from __future__ import annotations

import json
import os
import pwd
from contextlib import suppress
from typing import TYPE_CHECKING

from manifests.files import read_json, set_aside, write_atomically
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runtimes.users.ranges import UserRange

FILE = "state/users.json"
#: Where something may lie that belongs to a service's user, each with a folder for every id.
_FOLDERS = ("data", "packages", "kept")


class Numbers:
    """Those of one home. `problems` has a sentence for what could not be read."""

    def __init__(self, home: Path, users: UserRange) -> None:
        self.problems: list[str] = []
        self._home = home
        self._file = home / FILE
        self._range = users
        self._numbers = self._read()

    def known(self) -> Mapping[str, int]:
        return self._numbers

    def of(self, service_id: str) -> int:
        """The same as ever; on disk before anybody has it. Raises RuntimeFailure or OSError."""
        found = self._numbers.get(service_id)
        if found is not None:
            return found
        taken = frozenset({*self._numbers.values(), *self._owners(), *_machines_own()})
        number = self._range.free(taken)
        if number is None:
            raise RuntimeFailure(
                "NoUserLeft", f"all users from {self._range} are taken", hint="give users a larger range"
            )
        numbers = {**self._numbers, service_id: number}
        if self.problems:
            set_aside(self._file)
        write_atomically(self._file, json.dumps({"numbers": numbers}, indent=1).encode())
        self._numbers = numbers
        return number

    def _read(self) -> dict[str, int]:
        try:
            value = read_json(self._file)
            numbers = {} if value is None else dict(value["numbers"])
            if not all(isinstance(each, int) for each in numbers.values()):
                raise ValueError("not what this node writes")
            if len(set(numbers.values())) < len(numbers):
                raise ValueError("two services have one number")
        except (OSError, ValueError, KeyError, TypeError):
            self.problems.append(f"{self._file} is damaged: users of services are known by their data")
            numbers = {}
        # Also where a backup of the file was older than the data.
        return {**dict(self._found()), **numbers}

    def _found(self) -> Iterator[tuple[str, int]]:
        """Each id whose data folder belongs to a number of the range, but for what two claim."""
        claims: dict[int, list[str]] = {}
        for name, number in self._entries("data"):
            if number in self._range:
                claims.setdefault(number, []).append(name)
        for number, names in claims.items():
            if len(names) == 1:
                yield names[0], number

    def _owners(self) -> Iterator[int]:
        """Everybody who has anything here."""
        for folder in _FOLDERS:
            for _, number in self._entries(folder):
                yield number

    def _entries(self, folder: str) -> Iterator[tuple[str, int]]:
        with suppress(OSError):
            for entry in os.scandir(self._home / folder):
                with suppress(OSError):
                    yield entry.name, entry.stat(follow_symlinks=False).st_uid


def _machines_own() -> set[int]:
    """The users that the machine knows by name; what asks a directory server for more does not list all."""
    return {each.pw_uid for each in pwd.getpwall()}
