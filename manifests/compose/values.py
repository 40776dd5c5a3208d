"""The values of a Compose file: where Compose takes several spellings, one comes out. Pure.

What came out of `${VAR}` is text, so numbers and truths may be text everywhere.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from manifests.compose.words import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.documents.document import Path

_SIZE = re.compile(r"((?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,2})?) ?([kmgtp]?)(?:i?b|i)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")
_UNITS = {
    "ns": "1e-9", "us": "1e-6", "µs": "1e-6", "μs": "1e-6", "ms": "1e-3", "s": "1", "m": "60", "h": "3600",
    "d": "86400", "w": "604800",
}  # fmt: skip


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
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, (str, int)):
        return str(value)
    raise Invalid(path, "should be text")


def _go_float(value: float) -> str:
    """As Go's %v has it: 1.0 is 1, 1500000.0 is 1.5e+06."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    minus, written = "-" if sign else "", "".join(map(str, digits))
    power = exponent + len(digits) - 1
    if -4 <= power < 21 and (power < 6 or not value):
        return f"{minus}{Decimal((0, digits, exponent)):f}"
    point = f".{written[1:]}" if len(written) > 1 else ""
    return f"{minus}{written[0]}{point}e{'-' if power < 0 else '+'}{abs(power):02d}"


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
    written = text(value, path)
    if not re.fullmatch(r"\+?\d{1,18}", written):
        raise Invalid(path, "should be a whole number")
    return int(written)


def number(value: Any, path: Path) -> float:
    """Raises Invalid."""
    if not re.fullmatch(r"\d{1,18}(\.\d{0,18})?|\.\d{1,18}", text(value, path)):
        raise Invalid(path, "should be a number")
    return float(value)


def limit(value: Any, path: Path) -> int:
    """A whole number of which there may be -1, for none: 0 then. Raises Invalid."""
    return 0 if text(value, path) == "-1" else integer(value, path)


def size(value: Any, path: Path) -> int:
    """Bytes: `512m`, `1.5gb`, `1024`. Units are powers of 1024, as Docker has them. Raises Invalid.

    A number that is none of bytes, such as `1e9` without quotes or `-1`, is no limit: 0.
    """
    if value == -1 or isinstance(value, float):
        return 0
    match = _SIZE.fullmatch(text(value, path).replace("_", ""))
    if match is None:
        raise Invalid(path, "should be a size, like 512m or 1g")
    return int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()])


def duration(value: Any, path: Path) -> float:
    """Seconds: `1m30s`, `500ms`, `1d`. Raises Invalid."""
    written = text(value, path)
    if written != "0" and not _DURATION.fullmatch(written):
        raise Invalid(path, "should be a duration, like 30s or 1m30s")
    return float(sum(Decimal(amount) * Decimal(_UNITS[unit]) for amount, unit in _PART.findall(written)))


def words(value: Any, path: Path) -> list[str]:
    """A command: a list, or a line that is split as Compose does. Raises Invalid."""
    if isinstance(value, list):
        return [text(item, (*path, index)) for index, item in enumerate(value)]
    try:
        return split(text(value, path))
    except ValueError as error:
        raise Invalid(path, str(error), "or write a list of words: [sh, -c, …]") from error


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
