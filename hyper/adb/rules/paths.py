"""Ids of databases, paths of records, and how a record is shown to a caller. Pure.

A path is a list of parts, or text with slashes between them. In a record's `key`, `path` and `url` there are
always slashes, as the original wrote them, also where a part has one of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hyper.port import Undecodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyper.port import Record, RecordPath

_KEY = re.compile(r"[0-9a-f]{64}")
_SCHEME = "hyper://"


def db_key(text: str) -> str | None:
    """The key that a database's id names: 64 hexadecimal digits, alone or in a hyper:// URL; else None."""
    key = text.lower()
    if key.startswith(_SCHEME):
        key = key[len(_SCHEME) :].split("/", 1)[0]
    return key if _KEY.fullmatch(key) else None


def split_path(text: str) -> RecordPath:
    return tuple(part for part in text.split("/") if part)


def is_path(parts: Sequence[str]) -> bool:
    """Whether a record may be at these parts, or under them."""
    return all(part and "\0" not in part for part in parts)


def shown(db_id: str, record: Record, prefix: RecordPath = ()) -> dict[str, Any]:
    """A record as callers see it; its `key` is what follows the prefix."""
    return shown_at(db_id, record.path, record.seq, record.value, prefix)


def shown_at(db_id: str, path: RecordPath, seq: int, value: Any, prefix: RecordPath = ()) -> dict[str, Any]:
    """What is at a path. Clients expect an object in place of null, and of what nobody can read."""
    whole = "/" + "/".join(path)
    return {
        "key": "/".join(path[len(prefix) :]),
        "path": whole,
        "url": f"{_SCHEME}{db_id}{whole}",
        "seq": seq,
        "value": {} if value is None or isinstance(value, Undecodable) else value,
    }
