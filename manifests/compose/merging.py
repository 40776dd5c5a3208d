"""Several documents of one project into one: a Compose file, and what overrides it. Pure.

The rules are those of the Compose Specification (Merge): tables are merged key by key, what is in a list
comes after what was there, and any other value is the later one's. Besides:

    command, entrypoint, healthcheck.test     the later one's as a whole
    environment, labels, build.args           by name, however each of the two is written
    ports, volumes, secrets, configs          one that leads to the same place is the later one's
    !reset, !override                         what was there before does not count; !reset: nor what is here

Each value is told where it was written, so that a mistake is found in the file that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.compose import mounts, ports, volumes
from manifests.compose.values import Invalid, items, pairs, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from manifests.documents.document import LineOf, Path

RESET = "!reset"
#: What may stand before a value, for the documents that come before.
TAGS = frozenset({RESET, "!override"})

_REPLACED = frozenset({("command",), ("entrypoint",), ("healthcheck", "test")})
_BY_NAME = frozenset({("environment",), ("labels",), ("build", "args")})
#: What may be written in a shorter way than as a table.
_TABLES: Mapping[Path, Callable[[Any, Path], dict[str, Any]]] = {
    ("build",): lambda value, path: {"context": text(value, path)},
    ("depends_on",): lambda value, path: {
        text(item, here): {"condition": "service_started"} for item, here in items(value, path)
    },
    ("networks",): lambda value, path: {text(item, here): None for item, here in items(value, path)},
}
#: What two items of a list lead to, where only one of them can be.
_UNIQUE: Mapping[Path, Callable[[Any], str]] = {
    ("ports",): ports.identity,
    ("volumes",): volumes.target,
    ("secrets",): mounts.target("secrets"),
    ("configs",): mounts.target("configs"),
    **{(key,): str for key in ("expose", "env_file", "cap_add", "cap_drop", "security_opt")},
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One document of the project. `tags`: which values have which of `TAGS`."""

    file: str
    value: dict[str, Any]
    line_of: LineOf
    tags: Mapping[Path, str]

    def check(self) -> None:
        """Raises Invalid."""
        for path, tag in self.tags.items():
            if any(isinstance(step, int) for step in path):
                raise Invalid(path, f"{tag} cannot be said of a part of a list", "say it of the list")


class Merged:
    """The documents, the first of them first, as one. Raises Invalid."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._origins: dict[Path, tuple[int, Path]] = {}
        self.value: dict[str, Any] = {}
        for number, layer in enumerate(layers):
            self._number = number
            right = layer.value
            for path, tag in layer.tags.items():
                self.value = _without(self.value, path)
                right = _without(right, path) if tag == RESET else right
            self.value = self._tables(self.value, right, ())

    def place(self, path: Path) -> tuple[str, int | None]:
        """The file and the line that have what stands at a path."""
        number, written = self._origin(path, len(self._layers))
        return self._layers[number].file, self._layers[number].line_of(written)

    def _origin(self, path: Path, before: int) -> tuple[int, Path]:
        """The last document of the first ones that has something there, and where it has it."""
        for length in range(len(path), 0, -1):
            if (known := self._origins.get(path[:length])) is not None and known[0] < before:
                return known[0], (*known[1], *path[length:])
        depths = [_depth(layer.value, path) for layer in self._layers[:before]]
        deepest = max(range(len(depths)), key=lambda number: (depths[number], number), default=0)
        return deepest, path

    def _merge(self, left: Any, right: Any, path: Path) -> Any:
        rule = path[2:] if path[0] == "services" else ()
        if rule in _REPLACED:
            return right
        if left is not None and right is not None:
            if rule in _BY_NAME:
                before, _ = self._origin(path, self._number)
                return self._named(left, before, path) | self._named(right, self._number, path)
            left, right = (_as_written_long(each, rule, path) for each in (left, right))
        if right is None:
            return left
        if isinstance(left, dict) and isinstance(right, dict):
            return self._tables(left, right, path)
        if isinstance(left, list) and isinstance(right, list):
            return self._lists(left, right, path)
        if isinstance(left, (dict, list)):
            raise Invalid(path, "is written in another way where it is overridden")
        return right

    def _tables(self, left: dict[str, Any], right: dict[str, Any], path: Path) -> dict[str, Any]:
        found = {str(key): value for key, value in left.items()}
        for key, value in right.items():
            name = str(key)
            found[name] = self._merge(found[name], value, (*path, name)) if name in found else value
        return found

    def _lists(self, left: list[Any], right: list[Any], path: Path) -> list[Any]:
        origins = [self._origin((*path, index), self._number) for index in range(len(left))]
        origins += [(self._number, (*path, index)) for index in range(len(right))]
        key_of = _UNIQUE.get(path[2:]) if path[:1] == ("services",) else None
        found: dict[object, tuple[Any, tuple[int, Path]]] = {}
        for index, (value, origin) in enumerate(zip([*left, *right], origins, strict=True)):
            found[key_of(value) if key_of else index] = value, origin
        self._origins |= {(*path, index): origin for index, (_, origin) in enumerate(found.values())}
        return [value for value, _ in found.values()]

    def _named(self, value: Any, number: int, path: Path) -> dict[str, str | None]:
        """A table or a list of `NAME=value`, as a table."""
        found = {}
        for name, given, here in pairs(value, path):
            found[name] = given
            if isinstance(value, list):
                self._origins[*path, name] = number, here
            elif number == self._number:
                self._origins.pop((*path, name), None)
        return found


def _as_written_long(value: Any, rule: Path, path: Path) -> Any:
    if rule == ("env_file",):
        return value if isinstance(value, list) else [value]
    return _TABLES[rule](value, path) if rule in _TABLES and not isinstance(value, dict) else value


def _without(value: Any, path: Path) -> Any:
    """A copy that has nothing at a path."""
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}


def _depth(value: Any, path: Path) -> int:
    """How much of a path there is in a value."""
    for depth, step in enumerate(path):
        try:
            value = value[step]
        except (LookupError, TypeError):
            return depth
    return len(path)
