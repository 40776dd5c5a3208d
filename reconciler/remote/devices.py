"""The devices that may come by a tunnel: `state/devices.json`, whose every change is on the disk first."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from manifests.files import read_json, set_aside, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Device:
    """`key` is what it proves, `person` the key of whose it is (empty: nobody's). Times are Unix seconds."""

    key: str
    name: str
    person: str = ""
    paired: float = 0.0
    seen: float = 0.0


class DevicesFile:
    """`problems`: a sentence for what cannot be read. A damaged file lets nobody in, and is set aside."""

    def __init__(self, home: Path) -> None:
        self.problems: list[str] = []
        self._file = home / "state" / "devices.json"
        self._devices = self._read()

    def all(self) -> Mapping[str, Device]:
        """By their keys."""
        return self._devices

    def put(self, device: Device) -> Device:
        """Lets it in from now on, under a name that no other device has. Raises OSError."""
        others = {each.name for each in self._devices.values() if each.key != device.key}
        device = replace(device, name=_free(device.name, others))
        self._write({**self._devices, device.key: device})
        return device

    def remove(self, key: str) -> None:
        """Lets it in no more. Raises OSError."""
        self._write({each: device for each, device in self._devices.items() if each != key})

    def seen(self, moments: Mapping[str, float]) -> None:
        """When they were last here, by their keys. Raises OSError."""
        later = {
            key: replace(self._devices[key], seen=moment)
            for key, moment in moments.items()
            if key in self._devices and moment > self._devices[key].seen
        }
        if later:
            self._write({**self._devices, **later}, durable=False)

    def _write(self, devices: dict[str, Device], *, durable: bool = True) -> None:
        if self.problems:
            set_aside(self._file)
        value = {"devices": [asdict(device) for device in devices.values()]}
        write_atomically(self._file, json.dumps(value, indent=1).encode(), durable=durable)
        self._devices = devices

    def _read(self) -> dict[str, Device]:
        try:
            value = read_json(self._file)
            found = [Device(**row) for row in value["devices"]] if value is not None else []
            if not all(isinstance(each.key, str) and isinstance(each.person, str) for each in found):
                raise ValueError("not what this node writes")
        except (OSError, ValueError, KeyError, TypeError):
            self.problems.append(f"{self._file} is damaged: no device is let in; `atek pair` pairs anew")
            return {}
        return {each.key: each for each in found}


def _free(name: str, others: set[str]) -> str:
    if name not in others:
        return name
    return next(new for number in range(2, len(others) + 3) if (new := f"{name}-{number}") not in others)
