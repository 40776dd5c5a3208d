"""At which release of its repository each service stays: `state/releases.json`.

It is written before a service runs from a release for the first time, so whatever happens to the node, the
service is at that one the next time too. Losing the file moves services to the newest releases, so backups
have it. A copy that cannot be read counts as none.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from manifests.files import read_json, write_atomically
from manifests.model.releases import Pin

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from manifests.model.git import GitPackage

#: In the home.
FILE = "state/releases.json"


class Releases:
    """The file, read when it is first needed. Without one, nothing is kept beyond this life."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._pins: dict[str, Pin] | None = None

    def get(self, package: GitPackage) -> Pin | None:
        """Where the package's service stays, if that is in this repository and in the range it asks for."""
        pin = self._all().get(package.service)
        if pin is None or (pin.url, pin.own) != (package.url, package.own):
            return None
        return pin if pin.is_in(package.range) else None

    def put(self, service_id: str, pin: Pin) -> None:
        """Raises OSError with nothing changed."""
        if self._all().get(service_id) != pin:
            self._write({**self._all(), service_id: pin})

    def pin(self, service_id: str) -> Pin | None:
        """Where the service stays, in whatever repository."""
        return self._all().get(service_id)

    def take_back(self, service_id: str, pin: Pin | None) -> None:
        """It stays where it was before. Raises OSError."""
        others = {each: pin for each, pin in self._all().items() if each != service_id}
        self._write(others if pin is None else {**others, service_id: pin})

    def rename(self, old: str, new: str) -> None:
        """The service stays where it is under its new id. Raises OSError."""
        if (pin := self._all().get(old)) is not None:
            self._write({**self._all(), new: pin})

    def keep(self, service_ids: Collection[str]) -> None:
        """Forgets all others. Raises OSError."""
        kept = {each: pin for each, pin in self._all().items() if each in service_ids}
        if kept.keys() != self._all().keys():
            self._write(kept)

    def ids(self) -> set[str]:
        """The services that stay somewhere."""
        return set(self._all())

    def _all(self) -> dict[str, Pin]:
        if self._pins is None:
            self._pins = _read(self._file) if self._file else {}
        return self._pins

    def _write(self, pins: dict[str, Pin]) -> None:
        if self._file is not None:
            services = {service_id: asdict(pin) for service_id, pin in sorted(pins.items())}
            write_atomically(self._file, json.dumps({"services": services}).encode())
        self._pins = pins


def _read(file: Path) -> dict[str, Pin]:
    try:
        value = read_json(file)
        services = value["services"] if isinstance(value, dict) else {}
        return {str(service_id): _pin(about) for service_id, about in services.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _pin(about: dict[str, object]) -> Pin:
    """Raises TypeError or ValueError for what this node did not write."""
    pin = Pin(**about)  # type: ignore[arg-type]
    if not all(isinstance(text, str) for text in (pin.url, pin.commit, pin.tag)):
        raise ValueError("not what this node writes")
    return pin
