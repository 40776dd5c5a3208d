"""The values of a Compose file: where Compose takes several spellings, one comes out. Pure.

What came out of `${VAR}` is text, so numbers and truths may be text everywhere.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.documents.document import Path

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DURATION = re.compile(r"(\d+(?:\.\d+)?(us|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Invalid(Exception):
    """Something in the file cannot be taken. `path` leads to it from the document's root."""

    def __init__(self, path: Path, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.hint = hint


def table(value: Any, path: Path) -> dict[str, Any]:
    """Keys and values without extensions (`x-…`); nothing is an empty table. Raises Invalid."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(path, "should be a table of keys and values")
    return {str(key): item for key, item in value.items() if not str(key).startswith("x-")}


def only(value: Any, path: Path, *known: str) -> dict[str, Any]:
    """A table that has no other keys than these. Raises Invalid."""
    found = table(value, path)
    for key in found:
        if key not in known:
            raise Invalid((*path, key), "is not supported", f"supported here: {', '.join(known)}")
    return found


def items(value: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    """The items of a list, or a single one that stands for a list. Raises Invalid."""
    if isinstance(value, dict):
        raise Invalid(path, "should be a list")
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        yield item, (*path, index)


def text(value: Any, path: Path) -> str:
    """Raises Invalid."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Invalid(path, "should be text")


def boolean(value: Any, path: Path) -> bool:
    """Raises Invalid."""
    match str(value).lower():
        case "true" | "yes" | "on":
            return True
        case "false" | "no" | "off":
            return False
    raise Invalid(path, "should be true or false")


def integer(value: Any, path: Path) -> int:
    """Raises Invalid."""
    if not re.fullmatch(r"\d{1,18}", text(value, path)):
        raise Invalid(path, "should be a whole number")
    return int(value)


def number(value: Any, path: Path) -> float:
    """Raises Invalid."""
    if not re.fullmatch(r"\d{1,18}(\.\d{0,18})?|\.\d{1,18}", text(value, path)):
        raise Invalid(path, "should be a number")
    return float(value)


def size(value: Any, path: Path) -> int:
    """Bytes: `512m`, `1.5gb`, `1024`. Units are powers of 1024, as Docker has them. Raises Invalid."""
    match = _SIZE.fullmatch(text(value, path).strip())
    if match is None:
        raise Invalid(path, "should be a size, like 512m or 1g")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def duration(value: Any, path: Path) -> float:
    """Seconds: `1m30s`, `500ms`. Raises Invalid."""
    written = text(value, path).strip()
    if written != "0" and not _DURATION.fullmatch(written):
        raise Invalid(path, "should be a duration, like 30s or 1m30s")
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(written))


def words(value: Any, path: Path) -> list[str]:
    """A command: a list, or a line that is split as a shell would. Raises Invalid."""
    if isinstance(value, list):
        return [text(item, (*path, index)) for index, item in enumerate(value)]
    try:
        return shlex.split(text(value, path))
    except ValueError as error:
        raise Invalid(path, "a quote is never closed") from error


def pairs(value: Any, path: Path) -> Iterator[tuple[str, str | None, Path]]:
    """Names and values of a table, or of a list of `NAME=value`; None without a value. Raises Invalid."""
    if isinstance(value, dict):
        for name, item in value.items():
            here = (*path, str(name))
            yield str(name), None if item is None else text(item, here), here
        return
    for item, here in items([] if value is None else value, path):
        name, given, rest = text(item, here).partition("=")
        yield name, rest if given else None, here
