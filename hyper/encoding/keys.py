"""How a record's path becomes its key in the bee: its parts, joined by a NUL, as the original wrote them.

Keys are ordered by their UTF-8 bytes, which is the order of Python's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyper.port import HyperError

if TYPE_CHECKING:
    from hyper.port import RecordPath

SEPARATOR = "\0"


def key_of(path: RecordPath) -> str:
    """Raises BAD_REQUEST for what can be no record's path."""
    if not path:
        raise HyperError("BAD_REQUEST", "a record needs a path")
    check_path(path)
    return SEPARATOR.join(path)


def path_of(key: str) -> RecordPath:
    return tuple(key.split(SEPARATOR))


def start_of(prefix: RecordPath) -> str:
    """What the keys of all records under a prefix begin with. Raises BAD_REQUEST."""
    check_path(prefix)
    return "".join(part + SEPARATOR for part in prefix)


def check_path(path: RecordPath) -> None:
    """Parts are text that is not empty, has no NUL, and can be UTF-8."""
    for part in path:
        if not isinstance(part, str) or not part or SEPARATOR in part or not _is_utf8(part):
            raise HyperError("BAD_REQUEST", f"{part!r} cannot be part of a record's path")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
