"""JSON, and the JSON around a file of any bytes. A number is a number with a point, as SOPS takes it."""

from __future__ import annotations

import json
from typing import Any

from manifests.sops.tree import DEEPEST, MOST_VALUES, Branch, Comment, Item, Value, plain_float
from manifests.sops.trouble import SopsTrouble

#: The key under which the whole of a binary file is.
DATA = "data"


def load(text: str) -> Branch:
    """Raises SopsTrouble."""
    try:
        value = json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=_branch, parse_int=_number, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        raise SopsTrouble("BrokenFile", "it is not valid JSON") from None
    if not isinstance(value, Branch):
        raise SopsTrouble("BrokenFile", "a file is an object, not a list or one value")
    _count(value)
    return value


def emit(branch: Branch) -> str:
    return json.dumps(_plain(branch), ensure_ascii=False, indent="\t", default=str) + "\n"


def wrap(data: bytes) -> Branch:
    """Any file, as one value. Text is text."""
    try:
        return Branch([Item(DATA, data.decode())])
    except UnicodeDecodeError:
        return Branch([Item(DATA, data)])


def unwrap(branch: Branch) -> bytes:
    """Raises SopsTrouble."""
    item = branch.get(DATA)
    if item is None or not isinstance(item.value, str | bytes):
        raise SopsTrouble("WrongStore", "it has no file's content under `data`, so it is no binary file")
    return item.value.encode() if isinstance(item.value, str) else item.value


def _branch(pairs: list[tuple[str, Any]]) -> Branch:
    if len({key for key, _ in pairs}) < len(pairs):
        raise SopsTrouble("BrokenFile", "a key stands there twice")
    return Branch([Item(key, value) for key, value in pairs])


def _number(text: str) -> float:
    found = float(text)
    if len(text) > 400 or plain_float(found) != text:
        what = "a number has more digits than JSON's numbers keep"
        raise SopsTrouble("BrokenFile", what, "put it into quotes")
    return found


def _refuse(word: str) -> None:
    raise ValueError(word)


def _count(value: Value, depth: int = 0) -> int:
    inner = value if isinstance(value, list) else []
    if isinstance(value, Branch):
        inner = [each.value for each in value.items if isinstance(each, Item)]
    found = 1 + sum(_count(each, depth + 1) for each in inner)
    if depth > DEEPEST or found > MOST_VALUES:
        raise SopsTrouble("BrokenFile", "it is too deep, or has too many values")
    return found


def _plain(value: Value) -> Any:
    """JSON has no comments."""
    match value:
        case Branch():
            return {each.key: _plain(each.value) for each in value.items if isinstance(each, Item)}
        case list():
            return [_plain(each) for each in value if not isinstance(each, Comment)]
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(plain_float(value))
    return value
