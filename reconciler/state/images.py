"""Which image each service stays at that takes newer ones by itself: `state/images.json`.

Only what its manifest does not say: a service that is not there runs its manifest's image. It is written
before a service runs from an image. A copy that cannot be read counts as none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: In the home.
FILE = "state/images.json"


@dataclass(frozen=True, slots=True)
class ImagePin:
    """`origin`: of which manifest's words it is true. `digest` is what runs, and `tag` what led there."""

    origin: str
    digest: str
    tag: str


class ImagePins:
    """The file, read when it is first needed. Without one, nothing is kept beyond this life."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._pins: Mapping[str, ImagePin] | None = None

    def get(self, service_id: str, origin: str) -> ImagePin | None:
        """Where the service stays, if its manifest says the same as then."""
        pin = self._all().get(service_id)
        return pin if pin is not None and pin.origin == origin else None

    def put(self, service_id: str, pin: ImagePin | None) -> None:
        """None: it runs what its manifest says. Raises OSError with nothing changed."""
        others = {each: value for each, value in self._all().items() if each != service_id}
        pins = others if pin is None else {**others, service_id: pin}
        if pins != self._pins:
            if self._file is not None:
                services = {each: asdict(value) for each, value in sorted(pins.items())}
                write_atomically(self._file, json.dumps({"services": services}).encode())
            self._pins = pins

    def rename(self, old: str, new: str) -> None:
        """The service stays where it is under its new id. Raises OSError."""
        if (pin := self._all().get(old)) is not None:
            self.put(new, pin)

    def _all(self) -> Mapping[str, ImagePin]:
        if self._pins is None:
            self._pins = _read(self._file) if self._file else {}
        return self._pins


def _read(file: Path) -> dict[str, ImagePin]:
    try:
        value = read_json(file)
        services = value["services"] if isinstance(value, dict) else {}
        return {
            str(service_id): ImagePin(str(about["origin"]), str(about["digest"]), str(about["tag"]))
            for service_id, about in services.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
